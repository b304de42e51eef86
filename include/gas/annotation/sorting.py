"""Sorting records that came unsorted, on disk where they do not fit in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gas.annotation.check import Block

_RUN_BYTES = 128 << 20
_KEY = b"%04x%010x%012x"  # rank of the contig, position, number of the record: equal places keep their order
_KEY_BYTES = 26
_PIECE_LINES = 20_000


def sorted_text(blocks: Iterable[Block], *, rank: Mapping[int, int], folder: Path) -> Iterator[bytes]:
    """The records of all blocks in the order of ``rank`` and position, as pieces of whole lines.

    :param folder: where sorted runs lie meanwhile.
    """
    runs: list[Path] = []
    held: list[bytes] = []
    size = number = 0
    for block in blocks:
        ends = [*[int(start) for start in block.starts[1:]], len(block.text)] if len(block.starts) else []
        for start, end, contig, position in zip(block.starts, ends, block.contigs, block.positions, strict=True):
            held.append(_KEY % (rank[int(contig)], position, number) + block.text[start:end])
            number += 1
        size += len(block.text)
        if size >= _RUN_BYTES:
            runs.append(_write_run(held, folder / f"run-{len(runs)}"))
            held, size = [], 0
    held.sort()
    files = [run.open("rb", buffering=1 << 20) for run in runs]
    try:
        lines: list[bytes] = []
        for line in heapq.merge(*files, held) if files else held:
            lines.append(line[_KEY_BYTES:])
            if len(lines) == _PIECE_LINES:
                yield b"".join(lines)
                lines = []
        if lines:
            yield b"".join(lines)
    finally:
        for file in files:
            file.close()
        for run in runs:
            run.unlink()


def _write_run(lines: list[bytes], path: Path) -> Path:
    lines.sort()
    with path.open("wb", buffering=1 << 20) as out:
        out.writelines(lines)
    return path
