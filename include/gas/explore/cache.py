"""Copies of result tables on this machine's disk, so that a page does not wait for S3.

One version of one S3 object is one file, named by a digest of bucket, key and VersionId: what it holds never changes.
Several processes may share the folder. Each file is written beside its name under an exclusive lock and gets its name
only when it is whole and its SHA-256 is the record's; whoever reads a file holds a shared lock on it, so that making
room never takes it away. The least recently used go first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from gas.errors import Damaged, Unavailable
from gas.job import StoredObject

_WHOLE = ".parquet"
#: Of a file that is not whole, or is to be gone soon; whoever is at it holds a lock on it.
PART = ".part"


class Source(Protocol):
    """Where the bytes of a stored object come from: :class:`gas.objects.Objects`."""

    def stream(self, stored: StoredObject) -> Iterator[bytes]:
        """The bytes of exactly this version."""


class TableCache:
    """The copies in one folder.

    :param limit_bytes: what all copies may take together.
    """

    def __init__(self, source: Source, folder: Path, *, limit_bytes: int) -> None:
        self._source = source
        self._folder = folder
        self._limit_bytes = limit_bytes

    @property
    def folder(self) -> Path:
        """Where the copies lie."""
        return self._folder

    @contextmanager
    def held(self, stored: StoredObject) -> Iterator[Path]:
        """The path of a copy of this version, fetched where it is not there yet; it stays there within the block.

        :raises Unavailable: when it is larger than the cache.
        :raises Damaged: when what arrived is not what the record says.
        """
        path = self._folder / f"{_name(stored)}{_WHOLE}"
        self._folder.mkdir(parents=True, exist_ok=True)
        while (file := _shared(path)) is None:
            self._fetch(stored, path)
        with file:
            yield path

    def _fetch(self, stored: StoredObject, path: Path) -> None:
        """Put the copy in its place, unless somebody else just did."""
        if stored.size_bytes > self._limit_bytes:
            raise Unavailable(
                f"this table has {stored.size_bytes:,} bytes, more than this server keeps for looking at tables: "
                "download it, or ask the operator to raise GAS_TABLE_CACHE_BYTES"
            )
        part = path.with_suffix(PART)
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, part):  # whoever held the lock has finished, or given up
                return
            try:
                if path.exists():
                    part.unlink()
                    return
                self._make_room(stored.size_bytes, sparing=part)
                file.truncate(0)
                _write(self._source.stream(stored), file, sha256=stored.sha256)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def _make_room(self, size_bytes: int, *, sparing: Path) -> None:
        """Delete what nobody reads, oldest use first, until ``size_bytes`` more fit; leftovers of the dead go first.

        What is being read stays, so for a while the copies may take more than the limit.
        """
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path != sparing and path.suffix in (_WHOLE, PART):
                    status = path.stat()
                    files.append((path.suffix == _WHOLE, status.st_mtime_ns, path, status.st_size))
        taken = sum(size for *_, size in files)
        for whole, _, path, size in sorted(files):
            if whole and taken + size_bytes <= self._limit_bytes:
                return
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file, path):
                    path.unlink()
                    taken -= size


def _name(stored: StoredObject) -> str:
    identity = "\0".join((stored.bucket, stored.key, stored.version_id))
    return hashlib.sha256(identity.encode()).hexdigest()


def _shared(path: Path) -> BinaryIO | None:
    """The file, open and locked against deletion; None where there is none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    fcntl.flock(file, fcntl.LOCK_SH)
    if not _is_at(file, path):  # room was made between the open and the lock
        file.close()
        return None
    os.utime(path)
    return file


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _write(chunks: Iterable[bytes], file: BinaryIO, *, sha256: str) -> None:
    digest = hashlib.sha256()
    for chunk in chunks:
        file.write(chunk)
        digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise Damaged("the table that arrived is not the one in the job's record; nothing of it was kept")
    file.flush()
    os.fsync(file.fileno())
