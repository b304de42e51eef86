"""``bcftools``, as pysam carries it, in this process or in a child.

Nothing of this runs in the caller's process: the engine's own child imports it. pysam is imported inside the
functions, because the checks that need no bcftools shall not wait for it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_PR_SET_PDEATHSIG = 1
_NO_MEMORY = re.compile(r"alloc|out of memory", re.IGNORECASE)


class ToolFailed(Exception):
    """bcftools ended with an error; ``said`` is everything it wrote on stderr."""

    def __init__(self, command: str, said: str) -> None:
        self.command = command
        self.said = said
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        self.last_line = lines[-1] if lines else "no reason given"
        super().__init__(f"bcftools {command}: {self.last_line}")

    def __reduce__(self) -> tuple[type[ToolFailed], tuple[str, str]]:
        """Pickle by what it was made of: it comes out of child processes."""
        return ToolFailed, (self.command, self.said)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux; elsewhere nothing happens)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def bcftools(command: str, *arguments: str, log: Path, stdin: int | None = None) -> str:
    """Run one bcftools command in this process and return what it said on stderr.

    :param log: a file for the messages of htslib, which go to descriptor 2 and not through pysam.
    :param stdin: an open descriptor, read from where it stands, for the argument ``-``.
    :raises ToolFailed: when it ends with an error.
    :raises MemoryError: when that is for want of memory.
    """
    import pysam.bcftools

    dispatcher = getattr(pysam.bcftools, command)
    kept = os.dup(2)
    messages = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(messages, 2)
    os.close(messages)
    if stdin is not None:
        os.dup2(stdin, 0)
    try:
        dispatcher(*arguments, catch_stdout=False)
        said = str(dispatcher.get_messages() or "")
    except pysam.utils.SamtoolsError as error:
        said = _whole(log, str(error.value).partition("stderr=")[2])
        if _NO_MEMORY.search(said):
            raise MemoryError(said) from error
        raise ToolFailed(command, said) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    return _whole(log, said)


def _whole(log: Path, said: str) -> str:
    return log.read_text(errors="replace") + said


def bcftools_output(command: str, *arguments: str) -> Iterator[bytes]:
    """Run one bcftools command in a child and yield its standard output as it comes.

    :raises ToolFailed: at the end, when it ended with an error or was killed.
    """
    output, child_end = os.pipe()
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, whatever happens; a pipe could fill up
    child = os.fork()
    if child == 0:
        _become_bcftools(command, arguments, output=child_end, errors=errors.fileno())
    os.close(child_end)
    status = None
    try:
        while piece := os.read(output, _PIPE_BYTES):
            yield piece
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            raise ToolFailed(command, f"killed by {signal.Signals(-status).name}")
        if status:
            errors.seek(0)
            raise ToolFailed(command, errors.read().decode(errors="replace"))
    finally:
        os.close(output)
        errors.close()
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _become_bcftools(command: str, arguments: tuple[str, ...], *, output: int, errors: int) -> None:
    status = 1
    try:
        die_with_parent()
        os.dup2(output, 1)
        os.dup2(errors, 2)
        import pysam.bcftools

        getattr(pysam.bcftools, command)(*arguments, catch_stdout=False)
        status = 0
    except Exception as error:
        os.write(errors, str(getattr(error, "value", error)).encode()[-4000:])
    finally:
        os._exit(status)
