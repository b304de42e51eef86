"""Cutting the checked records into chunks that can be annotated apart.

Where a chunk ends follows from the records and the reference alone, never from the number of processors: so the bytes
of a result do not depend on it. A cut lies where no gene and no REF allele spans it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gas.annotation.check import Block, Check, interval
from gas.annotation.header import Header
from gas.references import Reference

RECORDS = 100_000
"""A chunk ends at the first cut point after so many records ... (half as many cost 14 % more CPU time in all)."""
TEXT_BYTES = 64 << 20
"""... or so many bytes: with thousands of samples a record is long."""
_ROOM = 64 << 10
"""Bytes left for declarations that are found to be missing."""


@dataclass(slots=True)
class Chunk:
    """Records in a file: room for a header that is not known yet, then the text of the records."""

    number: int
    path: Path
    room: int
    """Where the records begin; the header is written to end here."""
    starts_at: tuple[int, int] | None
    """Index of the contig and cut point before which none of its records may come to lie."""
    records: int = 0
    size: int = 0
    begun: bool = False
    """Whether it is being normalised, or has been."""
    header_at: int = 0
    """Where the header begins, once it is written."""
    odd: bool = False
    """Some allele is not plain bases."""
    stretches: dict[int, set[int]] = field(default_factory=dict)
    """For each contig the stretches between cut points that hold records."""
    contigs: dict[bytes, int] = field(default_factory=dict)
    """For the header: names in the input's spelling, with lengths in bases (0: unknown)."""
    renames: dict[bytes, bytes] = field(default_factory=dict)
    """The reference's name of each contig that the input spells otherwise."""

    def file(self, suffix: str) -> Path:
        """A file of this chunk, beside its text."""
        return self.path.with_suffix(suffix)


class Chunks:
    """Takes checked blocks, writes chunks, and gives each one out when it is complete.

    ``whole`` makes one chunk of all.
    """

    def __init__(self, *, check: Check, header: Header, reference: Reference, folder: Path, whole: bool) -> None:
        self._whole = whole
        self._check = check
        self._header = header
        self._reference = reference
        self._folder = folder
        self._file: Any = None
        self._chunk: Chunk | None = None
        self._made = 0
        self._contig = -1
        self._reach = 0  # the last base of any REF on this contig so far

    def add(self, block: Block) -> list[Chunk]:
        """Take a block; returns the chunks that it completes."""
        n = len(block.starts)
        complete: list[Chunk] = []
        done = 0
        chunk = self._open()
        if not self._whole and (chunk.records + n > RECORDS or chunk.size + len(block.text) > TEXT_BYTES):
            for place, cut in self._cuts(block):
                if place <= done and chunk.records == 0:
                    continue
                size = int(block.starts[place]) - (int(block.starts[done]) if done < n else 0)
                if chunk.records + place - done >= RECORDS or chunk.size + size >= TEXT_BYTES:
                    self._put(block, done, place)
                    complete.append(self._close())
                    chunk = self._open(starts_at=cut)
                    done = place
        self._put(block, done, n)
        self._remember_reach(block)
        return complete

    def finish(self) -> Chunk:
        """The last chunk; there is always one, so that a file without records has a result too."""
        self._open()
        return self._close()

    def discard(self) -> None:
        """Close without a chunk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, starts_at: tuple[int, int] | None = None) -> Chunk:
        if self._chunk is None:
            path = self._folder / f"{self._made:06d}.vcf"
            room = len(self._header_text()) + _ROOM
            self._chunk = Chunk(self._made, path, room, starts_at)
            self._made += 1
            self._file = path.open("wb", buffering=0)
            self._file.seek(room)
        return self._chunk

    def _close(self) -> Chunk:
        chunk = self._chunk
        assert chunk is not None  # noqa: S101 - only called after _open
        self._file.close()
        self._file = self._chunk = None
        chunk.contigs = header_contigs(self._check, self._header)
        contigs = self._check.contigs
        chunk.renames = {
            name: contigs.names[number].encode()
            for number, name in contigs.spelled.items()
            if name != contigs.names[number].encode()
        }
        return chunk

    def _header_text(self) -> bytes:
        return self._header.text(header_contigs(self._check, self._header))

    def _put(self, block: Block, start: int, end: int) -> None:
        if end <= start:
            return
        chunk = self._open()
        first = int(block.starts[start])
        last = int(block.starts[end]) if end < len(block.starts) else len(block.text)
        view = memoryview(block.text)[first:last]
        while view:
            view = view[os.write(self._file.fileno(), view) :]
        chunk.records += end - start
        chunk.size += last - first
        chunk.odd = chunk.odd or any(start <= place < end for place in block.odd)
        self._add_stretches(chunk, block, start, end)

    def _add_stretches(self, chunk: Chunk, block: Block, start: int, end: int) -> None:
        for contig, run_start, run_end in _runs(block.contigs, start, end):
            cuts = self._reference.cut_points(self._check.contigs.names[contig])
            held = chunk.stretches.setdefault(contig, set())
            if isinstance(block.positions, list):
                held.update(interval(cuts, p) for p in block.positions[run_start:run_end])
                held.update(interval(cuts, p) for p in block.ends[run_start:run_end])
            else:
                import numpy as np

                for places in (block.positions, block.ends):
                    found = np.searchsorted(np.asarray(cuts), np.asarray(places[run_start:run_end]), side="right")
                    held.update(np.unique(found).tolist())

    def _cuts(self, block: Block) -> list[tuple[int, tuple[int, int]]]:
        """Every place in the block before which a chunk may end: (index, (contig, cut point))."""
        import numpy as np

        found: list[tuple[int, tuple[int, int]]] = []
        contig, reach = self._contig, self._reach
        for number, start, end in _runs(block.contigs, 0, len(block.starts)):
            if number != contig:
                contig, reach = number, 0
                found.append((start, (number, 1)))
            cuts = np.asarray(self._reference.cut_points(self._check.contigs.names[number]), np.int64)
            if not len(cuts):
                continue
            positions = np.asarray(block.positions[start:end])
            ends = np.asarray(block.ends[start:end])
            before = np.maximum.accumulate(np.concatenate(([reach], ends)))[:-1]
            which = np.searchsorted(cuts, positions, side="right") - 1
            cut = np.where(which >= 0, cuts[which], 0)
            at = np.flatnonzero((which >= 0) & (cut > before) & (before > 0))
            found += [(start + int(i), (number, int(cut[i]))) for i in at]
            reach = max(reach, int(ends.max()))
        return found

    def _remember_reach(self, block: Block) -> None:
        for number, start, end in _runs(block.contigs, 0, len(block.starts)):
            if number != self._contig:
                self._contig, self._reach = number, 0
            ends = block.ends[start:end]
            self._reach = max(self._reach, max(ends) if isinstance(ends, list) else int(ends.max()))


def header_contigs(check: Check, header: Header) -> dict[bytes, int]:
    """The contigs for a header: the input's own declarations, then those it uses without, in the reference's order."""
    contigs = check.contigs
    found: dict[bytes, int] = {}
    for name in header.contigs:
        number = contigs.index.get(name)
        if number is None:
            found[name] = 0  # nothing lies on it, or the check refuses the file
        else:
            found[contigs.spelled.get(number, name)] = contigs.lengths[number]
    for number in sorted(contigs.spelled):
        found.setdefault(contigs.spelled[number], contigs.lengths[number])
    if not any(found.values()):
        found |= {name.encode(): length for name, length in zip(contigs.names, contigs.lengths, strict=True)}
    return found


def _runs(numbers: Any, start: int, end: int) -> Sequence[tuple[int, int, int]]:
    """Stretches of equal contigs between ``start`` and ``end``: (contig, start, end)."""
    if start >= end:
        return ()
    if isinstance(numbers, list):
        changes = [i for i in range(start + 1, end) if numbers[i] != numbers[i - 1]]
    else:
        import numpy as np

        changes = (np.flatnonzero(np.diff(numbers[start:end])) + start + 1).tolist()
    edges = [start, *changes, end]
    return [(int(numbers[a]), a, b) for a, b in pairwise(edges)]
