"""Copies of tables on the web server's disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gas.errors import Damaged, Unavailable
from gas.explore.cache import TableCache
from gas.job import StoredObject
from tests.unit.explore_inputs import Store

SIZE = 5000


def stored(store: Store, name: str) -> StoredObject:
    return store.put(name, name.encode() * (SIZE // len(name)))


def held(folder: Path) -> int:
    return len(list(folder.glob("*.parquet")))


def test_a_table_is_fetched_once_and_whole(tmp_path: Path) -> None:
    """The copy has the version's bytes; looking again asks the store for nothing."""
    store = Store()
    cache = TableCache(store, tmp_path / "new", limit_bytes=10 * SIZE)
    table = stored(store, "aaaa")
    for _ in range(2):
        with cache.held(table) as path:
            assert path.read_bytes() == store.held["aaaa"]
    assert store.fetched == ["aaaa"]
    assert os.listdir(tmp_path / "new") == [path.name]  # noqa: PTH208 - names alone are compared


def test_versions_of_one_key_are_kept_apart(tmp_path: Path) -> None:
    """A result that came back from the archive is another version, and never the old copy."""
    store = Store()
    cache = TableCache(store, tmp_path, limit_bytes=10 * SIZE)
    with cache.held(stored(store, "aaaa")) as one, cache.held(stored(store, "bbbb")) as other:
        assert one.read_bytes() != other.read_bytes()


def test_many_who_ask_at_once_fetch_it_once(tmp_path: Path) -> None:
    """As gunicorn's threads and processes do: each has a cache of its own over the same folder."""
    store = Store()
    table = stored(store, "aaaa")
    together = threading.Barrier(8)

    def look(_: int) -> bytes:
        cache = TableCache(store, tmp_path, limit_bytes=10 * SIZE)
        together.wait()
        with cache.held(table) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(look, range(8))) == {store.held["aaaa"]}
    assert store.fetched == ["aaaa"]


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    """Room is made before the next one comes, so that the copies stay within the limit."""
    store = Store()
    cache = TableCache(store, tmp_path, limit_bytes=2 * SIZE)
    tables = {name: stored(store, name) for name in ("aaaa", "bbbb", "cccc")}
    for name in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa"):
        with cache.held(tables[name]):
            pass
        assert held(tmp_path) <= 2
    assert store.fetched == ["aaaa", "bbbb", "cccc"]
    with cache.held(tables["bbbb"]):
        assert store.fetched[-1] == "bbbb"


def test_what_is_being_read_stays(tmp_path: Path) -> None:
    """Making room takes nothing away from under a reader."""
    store = Store()
    cache = TableCache(store, tmp_path, limit_bytes=SIZE)
    with cache.held(stored(store, "aaaa")) as path, cache.held(stored(store, "bbbb")):
        assert path.read_bytes() == store.held["aaaa"]
    with cache.held(stored(store, "cccc")):
        assert held(tmp_path) == 1


class Breaking(Store):
    """A store whose transfers end half way."""

    def stream(self, stored: StoredObject) -> Iterator[bytes]:
        yield from list(super().stream(stored))[:2]
        raise ConnectionError("broken off")


def test_half_a_table_never_counts(tmp_path: Path) -> None:
    """A transfer that breaks off leaves nothing; one whose process died is done again from the start."""
    broken = Breaking()
    table = stored(broken, "aaaa")
    with pytest.raises(ConnectionError), TableCache(broken, tmp_path, limit_bytes=10 * SIZE).held(table):
        pass
    assert list(tmp_path.iterdir()) == []
    store = Store(held=broken.held)
    cache = TableCache(store, tmp_path, limit_bytes=10 * SIZE)
    with cache.held(table) as path:
        pass
    path.rename(path.with_suffix(".part"))
    os.truncate(path.with_suffix(".part"), 10)
    with cache.held(table) as again:
        assert again.read_bytes() == store.held["aaaa"]
    assert [file.suffix for file in tmp_path.iterdir()] == [".parquet"]


def test_leftovers_of_the_dead_make_room(tmp_path: Path) -> None:
    """A part that nobody writes any more goes when the next table is fetched."""
    (tmp_path / "dead.part").write_bytes(b"x" * SIZE)
    store = Store()
    with TableCache(store, tmp_path, limit_bytes=SIZE).held(stored(store, "aaaa")):
        assert [file.suffix for file in tmp_path.iterdir()] == [".parquet"]


def test_bytes_that_are_not_the_records_are_refused(tmp_path: Path) -> None:
    """A table whose SHA-256 differs is not kept."""
    store = Store()
    table = stored(store, "aaaa")
    store.held["aaaa"] = b"b" * SIZE
    cache = TableCache(store, tmp_path, limit_bytes=10 * SIZE)
    with pytest.raises(Damaged, match="not the one in the job's record"), cache.held(table):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_table_larger_than_the_cache_is_refused(tmp_path: Path) -> None:
    """The sentence names the setting."""
    store = Store()
    cache = TableCache(store, tmp_path, limit_bytes=10)
    with pytest.raises(Unavailable, match="GAS_TABLE_CACHE_BYTES"), cache.held(stored(store, "aaaa")):
        pass
    assert store.fetched == []


def test_an_error_of_the_reader_is_the_readers(tmp_path: Path) -> None:
    """A missing file that the reader speaks of is not taken for a missing copy."""
    store = Store()
    cache = TableCache(store, tmp_path, limit_bytes=10 * SIZE)
    with pytest.raises(FileNotFoundError, match="elsewhere"), cache.held(stored(store, "aaaa")):
        raise FileNotFoundError("elsewhere")
    assert store.fetched == ["aaaa"]
