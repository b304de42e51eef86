"""Digests of results, and what two of them differ in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from gas.comparison import Change, Comparison, compare
from tests.digests import INTRON, MISSENSE, STOP, made_digest


def compared(tmp_path: Path, before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], **options: Any) -> Comparison:
    return compare(made_digest(tmp_path / "before", *before), made_digest(tmp_path / "after", *after), **options)


def test_a_digest_has_what_says_something(tmp_path: Path) -> None:
    """Variants with more than MODIFIER impact or a significance are in it, once each; all others are not."""
    digest = made_digest(
        tmp_path / "digest",
        (1, *MISSENSE, None),
        (2, *INTRON, None),
        (3, *INTRON, "Benign"),
        (4, None, None, None, None),
    )
    with duckdb.connect() as database:
        found = database.read_parquet(str(digest)).project("pos, significance").order("pos").fetchall()
    assert found == [(1, None), (3, "Benign")]


def test_a_source_without_significance_has_a_digest_too(tmp_path: Path) -> None:
    """Where no source has a CLNSIG, consequences alone are compared."""
    digest = made_digest(tmp_path / "digest", (1, *MISSENSE, "B.1"), significance="LINEAGES_NAME")
    with duckdb.connect() as database:
        assert database.read_parquet(str(digest)).project("significance").fetchall() == [(None,)]


def test_what_became_of_a_significance(tmp_path: Path) -> None:
    """New, lost and changed significances are told apart; what stayed is not named."""
    found = compared(
        tmp_path,
        [(1, *MISSENSE, None), (2, *MISSENSE, "Benign"), (3, *INTRON, "Benign"), (4, *MISSENSE, "Benign")],
        [(1, *MISSENSE, "Benign"), (2, *MISSENSE, None), (3, *INTRON, "Pathogenic"), (4, *MISSENSE, "Benign")],
    )
    assert {d.pos: d.significance for d in found.differences} == {1: Change.NEW, 2: Change.LOST, 3: Change.CHANGED}
    assert found.counts.form() == {
        "significance": {"new": 1, "lost": 1, "changed": 1},
        "consequence": {"new": 0, "lost": 0, "changed": 0},
    }
    assert found.differences[0].before.significance == "Benign"
    assert found.differences[0].after.significance == "Pathogenic"


def test_what_became_of_a_consequence(tmp_path: Path) -> None:
    """New, lost and changed consequences are told apart, also where the gene alone is another."""
    found = compared(
        tmp_path,
        [(2, *MISSENSE, None), (3, *MISSENSE, None), (4, *MISSENSE, None), (5, *MISSENSE, None)],
        [(1, *STOP, None), (3, *STOP, None), (4, "missense_variant", "MODERATE", "B", None), (5, *MISSENSE, None)],
    )
    changes = {d.pos: d.consequence for d in found.differences}
    assert changes == {1: Change.NEW, 2: Change.LOST, 3: Change.CHANGED, 4: Change.CHANGED}
    assert found.counts.any


def test_a_modifier_is_no_news(tmp_path: Path) -> None:
    """A variant that is in one digest for its new significance alone has no new consequence."""
    found = compared(tmp_path, [], [(1, *INTRON, "Benign")])
    assert [(d.significance, d.consequence) for d in found.differences] == [(Change.NEW, None)]


def test_significance_comes_first_and_pathogenic_before_all(tmp_path: Path) -> None:
    """The order is what a person has to look at first; what is not named is counted."""
    after = [
        (1, *STOP, None),
        (2, *INTRON, "Benign"),
        (3, *INTRON, "Likely_pathogenic"),
        (4, *INTRON, "Conflicting_classifications_of_pathogenicity"),
        (5, *MISSENSE, None),
        (6, *STOP, "Pathogenic/Likely_pathogenic"),
    ]
    assert [d.pos for d in compared(tmp_path, [], after).differences] == [6, 3, 2, 4, 1, 5]
    first = compared(tmp_path, [], after, named=2)
    assert ([d.pos for d in first.differences], first.more) == ([6, 3], 4)


@pytest.mark.parametrize("rows", [[], [(1, *MISSENSE, "Benign"), (1, *MISSENSE, "Benign")]], ids=["none", "twice"])
def test_nothing_differs(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    """Two digests of one result have no difference, though a file may hold a variant twice."""
    found = compared(tmp_path, rows, rows)
    assert not found.counts.any
    assert (list(found.differences), found.more) == ([], 0)
