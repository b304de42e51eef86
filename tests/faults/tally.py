"""How many faults, crashes and schedules the tests of this folder have gone through, for the end of their report."""

from __future__ import annotations

from collections import Counter

COUNTED: Counter[str] = Counter()


def count(what: str, number: int) -> None:
    """Add to the count of these."""
    COUNTED[what] += number
