"""Joining Parquet files by their footers."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gas.annotation import parquet


def write(path: Path, query: str, options: str = "COMPRESSION zstd, ROW_GROUP_SIZE 2048") -> Path:
    with duckdb.connect() as database:
        database.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, {options})")
    return path


def rows(*paths: Path) -> list[tuple[object, ...]]:
    with duckdb.connect() as database:
        return database.read_parquet([str(path) for path in paths]).fetchall()


NUMBERS = """
SELECT i, CASE WHEN i % 3 = 0 THEN 'word ' || i % 7 END AS word, i / 7 AS ratio, i % 2 = 0 AS even
FROM range({}, {}) r(i)
"""


@pytest.mark.parametrize(
    "options", ["COMPRESSION zstd, ROW_GROUP_SIZE 2048", "COMPRESSION snappy", "PARQUET_VERSION v2"]
)
def test_the_rows_of_all_parts_in_their_order(tmp_path: Path, options: str) -> None:
    """Dictionaries, nulls, several row groups: everything is found at its new place, statistics as well."""
    parts = [
        write(tmp_path / f"{start}.parquet", NUMBERS.format(start, start + 5000), options)
        for start in (0, 5000, 10_000)
    ]
    parquet.join(parts, tmp_path / "whole.parquet")
    assert rows(tmp_path / "whole.parquet") == rows(*parts)
    with duckdb.connect() as database:
        found = database.read_parquet(str(tmp_path / "whole.parquet"))
        assert found.filter("i = 12345").fetchall() == [(12345, "word 4", 12345 / 7, False)]
        groups = database.execute(
            "SELECT row_group_id, min(row_group_num_rows) FROM parquet_metadata(?) GROUP BY 1 ORDER BY 1",
            [str(tmp_path / "whole.parquet")],
        ).fetchall()
    assert [group[0] for group in groups] == list(range(len(groups)))
    assert sum(group[1] for group in groups) == 15_000


def test_parts_without_rows_add_none(tmp_path: Path) -> None:
    """A piece of the genome may have no variant."""
    empty = write(tmp_path / "empty.parquet", NUMBERS.format(0, 0))
    full = write(tmp_path / "full.parquet", NUMBERS.format(0, 10))
    parquet.join([empty, full, empty], tmp_path / "whole.parquet")
    assert rows(tmp_path / "whole.parquet") == rows(full)
    parquet.join([empty, empty], tmp_path / "none.parquet")
    assert rows(tmp_path / "none.parquet") == []


def test_other_columns_are_refused(tmp_path: Path) -> None:
    """Nothing sensible could come of it."""
    parts = [write(tmp_path / "a.parquet", "SELECT 1 AS a"), write(tmp_path / "b.parquet", "SELECT 1 AS b")]
    with pytest.raises(ValueError, match=r"b\.parquet has other columns than a\.parquet"):
        parquet.join(parts, tmp_path / "whole.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"no Parquet file at all"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """With its name."""
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.parquet is no Parquet file"):
        parquet.join([tmp_path / "x.parquet"], tmp_path / "whole.parquet")


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=20))
def test_any_number_of_parts_of_any_size(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """More than fifteen row groups are written with a longer list head; none is lost."""
    folder = tmp_path_factory.mktemp("parts")
    parts = [write(folder / f"{i}.parquet", NUMBERS.format(i * 1000, i * 1000 + n)) for i, n in enumerate(sizes)]
    parquet.join(parts, folder / "whole.parquet")
    assert rows(folder / "whole.parquet") == rows(*parts)
