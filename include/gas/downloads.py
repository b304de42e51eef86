"""Large files from a web server: resumed where they stopped, whole or not there, and checked against a checksum.

What has arrived lies beside the target as ``NAME.part``, and what the server said of the file as ``NAME.part.json``.
Whoever asks for the file again, in this process or after a crash, goes on from there, provided that the server still
has the same file (its ``ETag`` or date, sent as ``If-Range``); else it begins anew. A file that is not what its
checksum says is deleted.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
from rich.filesize import decimal

from gas.errors import Damaged, NoSpace, NotFound, Unavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0
#: Tries in a row that bring not one byte, until the server is given up.
TRIES = 5
PAUSE_S = 2.0
"""The pause after the first such try; it doubles."""
#: What disks are left with, in bytes, when the need of a download is reckoned.
MARGIN = 64 << 20
_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

#: Told of the bytes that are there, and of how many there will be (0 where the server does not say).
Progress = Callable[[int, int], None]


class Checksum(Protocol):
    """What a publisher says of a file."""

    def holds(self, path: Path) -> bool:
        """Whether it is true of this file."""

    def __str__(self) -> str:
        """It in one word, such as a file may be named by."""


@dataclass(frozen=True, slots=True)
class Md5:
    """Hex MD5, as NCBI publishes it."""

    digest: str

    def __str__(self) -> str:
        return self.digest

    def holds(self, path: Path) -> bool:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == self.digest


@dataclass(frozen=True, slots=True)
class BsdSum:
    """The sum of BSD's ``sum`` and the number of KiB, as Ensembl publishes them in ``CHECKSUMS``.

    Sixteen bits tell truncation and most damage; the CRC-32 of the gzip stream, checked when it is read, the rest.
    """

    checksum: int
    kib: int

    def __str__(self) -> str:
        return f"{self.checksum}-{self.kib}"

    def holds(self, path: Path) -> bool:
        if -(-path.stat().st_size // 1024) != self.kib:
            return False
        return bsd_sum(path) == self.checksum


def bsd_sum(path: Path) -> int:
    """The sum of BSD's ``sum``: by that very program where there is one, else byte by byte."""
    if program := shutil.which("sum"):
        with path.open("rb") as file:
            said = subprocess.run([program], stdin=file, capture_output=True, check=True, env={"LC_ALL": "C"})
        return int(said.stdout.split()[0])
    return bsd_sum_of(path)


def bsd_sum_of(path: Path) -> int:
    """The same without the program: rotate right by one of sixteen bits, then add the byte."""
    total = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            for byte in block:
                total = ((total >> 1) + ((total & 1) << 15) + byte) & 0xFFFF
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What a server says of a file."""

    size: int
    """Bytes; 0 where it does not say."""
    validator: str
    """A strong ``ETag``, else the date of the last change, else nothing."""
    modified: str
    """``Last-Modified`` as it came."""


class Downloads:
    """Downloads over one client. ``sleep`` is called between tries, with seconds."""

    def __init__(self, *, client: httpx.Client | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client or httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def text(self, url: str) -> str:
        """A small text.

        :raises NotFound: when the server has no such file.
        :raises Unavailable: when it does not answer.
        """
        return self._answer("GET", url).text

    def look(self, url: str) -> Remote:
        """What the server says of a file, without fetching it; raises as :meth:`text` does."""
        return _remote(self._answer("HEAD", url))

    def fetch(self, url: str, target: Path, *, checksum: Checksum, progress: Progress | None = None) -> Path:
        """Have the file at ``target``, whole and checked; goes on where an earlier call stopped.

        :raises NotFound: when the server has no such file.
        :raises Unavailable: when the server does not answer, or keeps breaking off; what arrived is kept.
        :raises NoSpace: when the disk is full; what arrived is kept.
        :raises Damaged: when the file is not what the checksum says; nothing is kept.
        """
        if target.exists():  # it was checked before it got its name
            return target
        part = _Part(target)
        tell = progress or (lambda _there, _total: None)
        idle = 0
        while not self._whole(url, part, tell):
            idle = 0 if part.grew else idle + 1
            if idle >= TRIES:
                raise _gone(url)
            self._sleep(PAUSE_S * 2 ** max(idle - 1, 0))
        if not checksum.holds(part.path):
            part.discard()
            raise Damaged(f"{url} is not what its checksum says; what arrived was deleted. Try again later.")
        part.finish()
        return target

    def _whole(self, url: str, part: _Part, tell: Progress) -> bool:
        """Fetch what is missing; whether that is all."""
        there, validator = part.state()
        part.grew = False
        headers = {"Accept-Encoding": "identity"}
        if there:
            headers |= {"Range": f"bytes={there}-", "If-Range": validator}
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    total = answer.headers.get("content-range", "").rpartition("/")[2]
                    if total == str(there):
                        return True
                    part.discard()
                    part.grew = True
                    return False
                if _refused(answer, url):
                    return False
                remote = _remote(answer)
                total = remote.size
                if answer.status_code == httpx.codes.PARTIAL_CONTENT:
                    match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
                    if match is None or int(match[1]) != there:
                        part.discard()
                        return False
                    total = int(match[2])
                else:
                    there = 0
                    part.begin(remote)
                tell(there, total)
                with part.appending() as out:
                    for block in answer.iter_raw():
                        out(block)
                        there += len(block)
                        part.grew = True
                        tell(there, total)
                return not total or there == total
        except httpx.HTTPError as error:
            log.warning("%s broke off after %d bytes: %s: %s", url, there, type(error).__name__, error)
            return False

    def _answer(self, method: str, url: str) -> httpx.Response:
        for number in range(TRIES):
            if number:
                self._sleep(PAUSE_S * 2 ** (number - 1))
            try:
                answer = self._client.request(method, url, headers={"Accept-Encoding": "identity"})
            except httpx.HTTPError as error:
                log.warning("%s does not answer: %s: %s", url, type(error).__name__, error)
                continue
            if not _refused(answer, url):
                return answer
        raise _gone(url)


class _Part:
    """The file as far as it has arrived."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self.grew = False
        self._target = target
        self._said = target.with_name(f"{target.name}.part.json")

    def state(self) -> tuple[int, str]:
        """How many bytes are there, and of which state of the server's file; none where that is not known."""
        try:
            validator: str = json.loads(self._said.read_bytes())["validator"]
            size = self.path.stat().st_size
        except (OSError, ValueError, KeyError):
            return 0, ""
        return (size, validator) if validator else (0, "")

    def begin(self, remote: Remote) -> None:
        """Begin anew: the bytes go first, so that none is ever taken for another file's."""
        with self._writing():
            self.path.open("wb").close()
            self._said.write_text(json.dumps({"validator": remote.validator}))

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], object]]:
        with self._writing(), self.path.open("ab", buffering=0) as out:

            def write(block: bytes) -> None:
                view = memoryview(block)
                while view:
                    view = view[out.write(view) or 0 :]

            yield write
            if out.seekable():
                os.fsync(out.fileno())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise NoSpace(
                f"The disk that holds {self.path.parent} is full. What arrived is kept: make room, and run it again."
            ) from error

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._said.unlink(missing_ok=True)

    def finish(self) -> None:
        self.path.replace(self._target)
        self._said.unlink(missing_ok=True)


def require_space(folder: Path, needed: int, *, what: str) -> int:
    """See that the disk of ``folder`` has room for ``needed`` bytes; how many are free.

    :param what: what they are needed for, for the sentence.
    :raises NoSpace: when there is not.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if free < needed + MARGIN:
        raise NoSpace(
            f"{what} needs {decimal(needed)} on the disk that holds {folder}, and {decimal(free)} are free. "
            "Nothing was fetched: make room, or set GAS_REFERENCES to a folder on another disk."
        )
    return free


def _remote(answer: httpx.Response) -> Remote:
    etag = answer.headers.get("etag", "")
    modified = answer.headers.get("last-modified", "")
    strong = etag if etag.startswith('"') else ""
    return Remote(size=int(answer.headers.get("content-length") or 0), validator=strong or modified, modified=modified)


def _refused(answer: httpx.Response, url: str) -> bool:
    """Whether the server refuses for now; what it refuses for good is raised."""
    if answer.is_success:
        return False
    if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return True
    raise NotFound(f"{url} is not to be had: the server answers {answer.status_code} {answer.reason_phrase}.")


def _gone(url: str) -> Unavailable:
    return Unavailable(f"{url} cannot be fetched now: the server does not answer, or breaks off. Run it again later.")
