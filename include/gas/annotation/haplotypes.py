"""Consequences of several changes on one haplotype, put back where they belong.

``csq`` writes the consequence of a haplotype once, at one of its records, with all of its changes
(``...|203R>203K|28881G>A+28882G>A``). The haplotype's other records hold ``@28881``: that position, whatever the
transcript. So what such a record means are those entries at that position that name its own change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

_TAB = b"\t"


def resolve(text: Path, *, columns: Sequence[str]) -> int:
    """Rewrite a table of variants so that each ``@POS`` is replaced by the consequences it stands for.

    :param text: tab-separated, one variant a line, one contig after the other; rewritten in place.
    :param columns: its columns, among them ``chrom``, ``pos``, ``ref``, ``alt`` and ``bcsq``.
    :return: how many references led nowhere; they are taken out.
    """
    chrom, pos, ref, alt, bcsq = (columns.index(name) for name in ("chrom", "pos", "ref", "alt", "bcsq"))
    wanted: set[tuple[bytes, bytes]] = set()
    with text.open("rb") as lines:
        for line in lines:
            if _may_refer(line):
                cells = line.split(_TAB)
                wanted.update((cells[chrom], entry[1:]) for entry in cells[bcsq].split(b",") if entry[:1] == b"@")
    if not wanted:
        return 0
    offered: dict[tuple[bytes, bytes], list[tuple[bytes, frozenset[bytes]]]] = defaultdict(list)
    with text.open("rb") as lines:
        for line in lines:
            cells = line.split(_TAB, bcsq + 1)
            if (place := (cells[chrom], cells[pos])) in wanted:
                for entry in cells[bcsq].split(b","):
                    offered[place].append((entry, frozenset(entry.rpartition(b"|")[2].split(b"+"))))
    lost = 0
    resolved = text.with_suffix(".resolved")
    with text.open("rb") as lines, resolved.open("wb") as out:
        for line in lines:
            if _may_refer(line):
                cells = line.rstrip(b"\n").split(_TAB)
                change = cells[pos] + cells[ref] + b">" + cells[alt]
                found: dict[bytes, None] = {}
                for entry in cells[bcsq].split(b","):
                    if entry[:1] != b"@":
                        found[entry] = None
                        continue
                    meant = [e for e, changes in offered[cells[chrom], entry[1:]] if change in changes]
                    lost += not meant
                    found.update(dict.fromkeys(meant))
                cells[bcsq] = b",".join(found) or b"."
                line = _TAB.join(cells) + b"\n"
            out.write(line)
    resolved.replace(text)
    return lost


def _may_refer(line: bytes) -> bool:
    """Whether the line can hold a reference: quick, and never wrong when it says no."""
    return b"\t@" in line or b",@" in line
