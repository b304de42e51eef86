"""What the AWS stand-in keeps over a restart.

A snapshot is one pickle of moto's state, and one file for each large body, named by the SHA-256 of its content and
written once: the next snapshot of the same gigabyte costs what the pickle costs.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

SERVICES = ("dynamodb", "glacier", "s3", "ses", "sns", "sqs")

_LARGE_BYTES = 64 << 10
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())


class Snapshot:
    """Saves moto's state in a folder and loads it again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bodies = folder / "bodies"
        self._bodies.mkdir(parents=True, exist_ok=True)
        self._file = folder / "state.pickle"
        self._named: weakref.WeakKeyDictionary[IO[bytes], str] = weakref.WeakKeyDictionary()

    def load(self) -> None:
        """Put moto into the state that was saved last, if one was."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            saved: dict[str, dict[str, dict[str, dict[str, Any]]]] = _Unpickler(file, self).load()
        for service, accounts in saved.items():
            for account, regions in accounts.items():
                for region, state in regions.items():
                    _backends(service)[account][region].__dict__.update(state)

    def save(self) -> None:
        """Save the state, whole or not at all. Nothing may change it meanwhile."""
        state: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        identities: dict[int, tuple[str, str, str]] = {}
        for service in SERVICES:
            for account, region, backend in _used(service):
                state.setdefault(service, {}).setdefault(account, {})[region] = backend.__dict__
                identities[id(backend)] = (service, account, region)
        kept: set[str] = set()
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".state.")
        with os.fdopen(handle, "wb") as file:
            _Pickler(file, self, identities, kept).dump(state)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._file)
        for body in self._bodies.iterdir():
            if body.name not in kept:
                body.unlink()

    def keep(self, content: bytes) -> str:
        """Store a body under the name of its content and return that name."""
        name = hashlib.sha256(content).hexdigest()
        path = self._bodies / name
        if not path.exists():
            handle, unfinished = tempfile.mkstemp(dir=self._bodies, prefix=".")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(path)
        return name

    def keep_key(self, key: Any) -> str:
        """Store the body of an S3 object version, which never changes, reading it only the first time."""
        buffer = key._value_buffer
        if buffer not in self._named:
            self._named[buffer] = self.keep(key.value)
        return self._named[buffer]

    def body(self, name: str) -> bytes:
        """Return a stored body."""
        return (self._bodies / name).read_bytes()


@dataclass(frozen=True)
class _Stored:
    """In a pickle's place of a large body: the name of its file."""

    name: str


class _Pickler(pickle.Pickler):
    def __init__(
        self, file: IO[bytes], snapshot: Snapshot, backends: dict[int, tuple[str, str, str]], kept: set[str]
    ) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._snapshot = snapshot
        self._backends = backends
        self._kept = kept

    def persistent_id(self, obj: Any) -> tuple[str, ...] | None:
        if type(obj) is bytes and len(obj) >= _LARGE_BYTES:
            obj = _Stored(self._snapshot.keep(obj))
        if isinstance(obj, _Stored):
            self._kept.add(obj.name)
            return "body", obj.name
        backend = self._backends.get(id(obj))
        return None if backend is None else ("backend", *backend)

    def reducer_override(self, obj: Any) -> Any:
        from moto.s3.models import FakeKey
        from moto.s3.utils import _VersionedKeyStore

        if isinstance(obj, FakeKey) and not obj.disposed and obj.contentsize >= _LARGE_BYTES:
            state = {name: value for name, value in obj.__dict__.items() if name not in ("_value_buffer", "lock")}
            return _blank, (type(obj),), {**state, "value": _Stored(self._snapshot.keep_key(obj))}
        if isinstance(obj, _VersionedKeyStore):  # it shows the newest version alone; pickle would drop the others
            return type(obj), (), dict(obj.lists()), None, None, _fill
        if isinstance(obj, _LOCK):
            return threading.Lock, ()
        if isinstance(obj, _RLOCK):
            return threading.RLock, ()
        if isinstance(obj, tempfile.SpooledTemporaryFile):
            position = obj.tell()
            obj.seek(0)
            content = obj.read()
            obj.seek(position)
            return _spooled, (content,)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], snapshot: Snapshot) -> None:
        super().__init__(file)
        self._snapshot = snapshot

    def persistent_load(self, pid: Any) -> Any:
        kind, *rest = pid
        if kind == "body":
            return self._snapshot.body(rest[0])
        service, account, region = rest
        return _backends(service)[account][region]


def _blank(kind: type[Any]) -> Any:
    return object.__new__(kind)


def _fill(store: dict[str, Any], versions: dict[str, list[Any]]) -> None:
    for key, value in versions.items():
        dict.__setitem__(store, key, value)


def _spooled(content: bytes) -> tempfile.SpooledTemporaryFile[bytes]:
    file: tempfile.SpooledTemporaryFile[bytes] = tempfile.SpooledTemporaryFile(1 << 20)  # noqa: SIM115 - moto closes it
    file.write(content)
    return file


def _backends(service: str) -> Any:
    import moto.backends

    return moto.backends.get_backend(service)  # type: ignore[call-overload]  # its stub lists each name by itself


def _used(service: str) -> Iterator[tuple[str, str, Any]]:
    """The backends of a service that hold anything: account, region (S3's is the partition), backend."""
    for account, regions in list(_backends(service).items()):
        for region, backend in list(regions.items()):
            yield account, region, backend
