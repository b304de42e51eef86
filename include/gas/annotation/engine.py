"""Annotating a file: the caller's side.

Everything is done in a process of the engine's own, with limits on memory and time: bcftools can die of SIGSEGV, and
must not take the caller along. When the caller dies, the kernel ends the engine.
"""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gas.annotation.bcftools import die_with_parent
from gas.annotation.channel import Receiver
from gas.annotation.limits import Limits
from gas.errors import EngineError, GasError, InputError
from gas.job import Progress
from gas.references import Reference

SUFFIX = ".vcf.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The files of an annotation, and the head of its summary."""

    vcf: Path
    index: Path
    log: Path
    """Counts by consequence, gene and source, and what was skipped: ``NAME.vcf.count.log``."""
    summary: Path
    table: Path
    digest: Path | None
    """What is compared with another annotation, where it was asked for: ``NAME.digest.parquet``."""
    counts: dict[str, Any]
    notes: tuple[str, ...]
    """What the check accepted with a remark, in sentences."""
    timings: dict[str, float]
    """Seconds by step, added up over processes; ``total`` is wall time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One annotation, as the engine's process gets it."""

    input: Path
    output: Path
    """The stem, in the work folder, after which the result's files are named."""
    file_name: str
    reference: Reference
    others: tuple[Reference, ...]
    processors: int
    limits: Limits
    folder: Path
    """For everything that lies on disk meanwhile."""
    digest: bool
    """Whether to leave a digest, too."""


def annotate(
    input: Path,
    output: Path,
    *,
    reference: Reference,
    file_name: str | None = None,
    processors: int = 1,
    limits: Limits | None = None,
    progress: Callable[[Progress], None] | None = None,
    work_dir: Path | None = None,
    others: Sequence[Reference] = (),
    digest: bool = False,
) -> Result:
    """Check, normalise and annotate a VCF or BCF.

    :param output: ``NAME.vcf.gz``; beside it come ``NAME.vcf.gz.tbi``, ``NAME.vcf.count.log``, ``NAME.summary.json``
        and ``NAME.parquet``. Existing ones are replaced, together, when everything is done.
    :param file_name: what the person calls the input; it is shown and never opened.
    :param processors: how many processes may work at once. The bytes of the result do not depend on it.
    :param progress: called often, in this process, with the records done.
    :param work_dir: where intermediate files lie (about the size of the input as text); beside ``output`` by default.
    :param others: other installed references, tried when most REF alleles differ from ``reference``.
    :param digest: leave ``NAME.digest.parquet`` too, see :mod:`gas.comparison`.
    :raises InputError: a subclass that says what is wrong with the input. No file is left.
    :raises EngineError: when the engine fails or reaches a limit. No file is left.
    """
    began = time.monotonic()
    limits = limits or Limits()
    if not output.name.endswith(SUFFIX) or output.name == SUFFIX:
        raise InputError(f"The output must be called NAME{SUFFIX}, and is {output.name!r}.")
    if not input.is_file():
        raise InputError(f"There is no file {str(input)!r}.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gas-", dir=work_dir or output.parent) as made:
            folder = Path(made)
            # bcftools reads meaning into some names ("-", "##idx##", "s3://"): it only ever sees this one.
            link = folder / "input"
            link.symlink_to(input.resolve())
            task = Task(
                input=link,
                output=folder / "result",
                file_name=file_name or input.name,
                reference=reference,
                others=tuple(other for other in others if other.name != reference.name),
                processors=max(1, processors),
                limits=limits,
                folder=folder,
                digest=digest,
            )
            outcome = _run(task, began=began, progress=progress or _ignore)
            return _publish(outcome, output, seconds=time.monotonic() - began)
    except OSError as error:
        raise EngineError(f"The result cannot be written: {error}.") from error


def _run(task: Task, *, began: float, progress: Callable[[Progress], None]) -> Any:
    with _engine(task) as (receiver, process):
        while True:
            try:
                message = receiver.receive(deadline=began + task.limits.timeout_s)
            except TimeoutError:
                raise EngineError(
                    f"The annotation took longer than {task.limits.timeout_s:g} seconds, the limit here."
                ) from None
            if isinstance(message, Progress):
                progress(message)
            elif isinstance(message, GasError):
                raise message
            elif message is None:
                code = process.wait()
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                raise EngineError(f"The annotation engine {how}; the memory limit may be too low for this file.")
            else:
                return message


@contextmanager
def _engine(task: Task) -> Iterator[tuple[Receiver, _Forked | subprocess.Popen[bytes]]]:
    """Start the engine's process, and end it with all its children whatever happens."""
    reading, writing = os.pipe()
    process: _Forked | subprocess.Popen[bytes] | None = None
    try:
        process = _Forked(task, writing) if _has_one_thread() else _fresh(task, writing)
        os.close(writing)
        writing = -1
        yield Receiver(reading), process
    finally:
        if writing >= 0:
            os.close(writing)
        os.close(reading)
        if process is not None:
            _end(process)


def _has_one_thread() -> bool:
    """Whether this process may fork: a lock held by another thread would stay locked in the child for ever."""
    tasks = Path("/proc/self/task")
    return tasks.is_dir() and len(list(tasks.iterdir())) == 1


class _Forked:
    """The engine as a fork of this process: nothing has to be imported again, which saves 0.1 s a job."""

    def __init__(self, task: Task, channel: int) -> None:
        self.pid = os.fork()
        self.returncode: int | None = None
        if self.pid == 0:
            status = 70  # EX_SOFTWARE
            try:
                os.setsid()
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL)
                serve(task, channel)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)

    def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def _fresh(task: Task, channel: int) -> subprocess.Popen[bytes]:
    """The engine as a new interpreter."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "from gas.annotation import engine; engine.main()", str(channel)],
        stdin=subprocess.PIPE,
        pass_fds=(channel,),
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    try:
        with process.stdin as stdin:
            stdin.write(pickle.dumps(task))
    except BaseException:  # it has no owner yet
        _end(process)
        raise
    return process


def _end(process: _Forked | subprocess.Popen[bytes]) -> None:
    """Kill the engine's whole session, and take its exit code so that nothing lingers."""
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it has ended; wait() takes it either way
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def serve(task: Task, channel: int) -> None:
    """The engine's process: limits first, then the work."""
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (task.limits.memory_bytes, task.limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from gas.annotation import work

    work.serve(task, channel)


def _publish(outcome: Any, output: Path, *, seconds: float) -> Result:
    """Move the files into place, the VCF last: where it is, everything is."""
    stem = output.with_name(output.name.removesuffix(SUFFIX))
    index = output.with_name(output.name + outcome.index.suffix)
    log, summary, table = (stem.with_name(stem.name + end) for end in (".vcf.count.log", ".summary.json", ".parquet"))
    digest = stem.with_name(f"{stem.name}.digest.parquet") if outcome.digest else None
    moved: list[Path] = []
    try:
        for source, target in (
            (outcome.log, log),
            (outcome.summary, summary),
            (outcome.table, table),
            *([(outcome.digest, digest)] if digest else []),
            (outcome.index, index),
            (outcome.vcf, output),
        ):
            shutil.move(source, target)
            moved.append(target)
    except OSError:
        for target in moved:
            target.unlink(missing_ok=True)
        raise
    os.utime(index)  # tabix warns of an index older than its file
    return Result(
        vcf=output,
        index=index,
        log=log,
        summary=summary,
        table=table,
        digest=digest,
        counts=outcome.counts,
        notes=outcome.notes,
        timings={**outcome.timings, "total": round(seconds, 4)},
    )


def _ignore(progress: Progress) -> None:
    """Report to nobody."""


def main() -> None:
    """The engine as a new interpreter: the task comes on standard input, the channel's number as the argument."""
    serve(pickle.load(sys.stdin.buffer), int(sys.argv[1]))  # noqa: S301 - written by the caller's process
