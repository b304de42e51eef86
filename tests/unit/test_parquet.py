"""Parquet files joined by their row groups."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from gas.annotation import parquet

COLUMNS = (
    "i AS number, 'text ' || i % 7 AS few, repeat('x', (i % 50)::BIGINT) || i AS many, i % 2 = 0 AS even, "
    "i / 3 AS ratio, CASE WHEN i % 3 = 0 THEN i END AS some, [i, i + 1] AS list"
)


def write(path: Path, start: int, end: int, *, columns: str = COLUMNS, options: str = "") -> Path:
    rows = f"SELECT {columns} FROM range({start}, {end}) AS r(i)"  # noqa: S608 - the tests' own
    with duckdb.connect() as database:
        database.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048 {options})")
    return path


@pytest.mark.parametrize("options", ["", ", COMPRESSION zstd", ", PARQUET_VERSION v2", ", KV_METADATA {made: 'here'}"])
def test_the_rows_are_those_of_the_parts_in_their_order(tmp_path: Path, options: str) -> None:
    """As though they had been written to one file, with one row and with none among them."""
    bounds = [(0, 5_000), (5_000, 5_001), (5_001, 5_001), (5_001, 60_000)]
    parts = [write(tmp_path / f"{start}-{end}", start, end, options=options) for start, end in bounds]
    whole = write(tmp_path / "whole", 0, 60_000, options=options)
    joined = tmp_path / "joined"
    parquet.join(parts, joined)
    with duckdb.connect() as database:
        assert database.read_parquet(str(joined)).fetchall() == database.read_parquet(str(whole)).fetchall()
        for facts in ("parquet_schema", "parquet_kv_metadata"):
            found = [
                [row[1:] for row in database.execute(f"FROM {facts}('{path}')").fetchall()] for path in (joined, whole)
            ]
            assert found[0] == found[1]


def test_a_value_is_found_by_its_row_group(tmp_path: Path) -> None:
    """Statistics and Bloom filters of the parts lead to the rows where these now are."""
    parts = [write(tmp_path / str(start), start, start + 10_000) for start in (0, 10_000, 20_000)]
    joined = tmp_path / "joined"
    parquet.join(parts, joined)
    with duckdb.connect() as database:
        rows = database.read_parquet(str(joined)).filter("number = 25000 OR few = 'none'").project("number")
        assert rows.fetchall() == [(25_000,)]
        for value, excluded in (("text 3", False), ("none", True)):
            probed = database.execute("FROM parquet_bloom_probe(?, 'few', ?)", [str(joined), value]).fetchall()
            assert {row[-1] for row in probed} == {excluded}


def test_other_columns_are_refused(tmp_path: Path) -> None:
    """Rows of another shape cannot stand in the same file."""
    parts = [write(tmp_path / "a", 0, 10), write(tmp_path / "b", 0, 10, columns="i AS number")]
    with pytest.raises(ValueError, match="other columns"):
        parquet.join(parts, tmp_path / "joined")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 4 + b"PAR1", b"no table at all"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that was cut short, or is something else."""
    part = tmp_path / "part"
    part.write_bytes(content)
    with pytest.raises(ValueError, match="no Parquet file"):
        parquet.join([part], tmp_path / "joined")
