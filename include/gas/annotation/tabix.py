"""Joining the tabix indexes of parts of a file, so that the whole need not be read again.

The format is that of the tabix paper (Li 2011, Bioinformatics 27:718) and htslib's ``tabix.tex``; offsets are
virtual: place of a BGZF block in the file << 16 | place in the block.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gas.annotation import bgzf

_MAGIC = b"TBI\1"
_COUNTS_BIN = 37450
"""htslib's bin of no place: from where to where a contig's records lie, and how many they are."""


@dataclass(slots=True)
class _Contig:
    bins: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """The stretches of the file, as virtual offsets, that hold each bin's records."""
    span: tuple[int, int] | None = None
    counts: tuple[int, int] = (0, 0)
    windows: list[int] = field(default_factory=list)
    """For each 16,384 bases the first virtual offset."""

    def add(self, other: _Contig) -> None:
        """Take up what comes later in the file."""
        for number, stretches in other.bins.items():
            self.bins.setdefault(number, []).extend(stretches)
        if other.span is not None:
            self.span = (self.span[0] if self.span else other.span[0], other.span[1])
        self.counts = (self.counts[0] + other.counts[0], self.counts[1] + other.counts[1])
        self.windows += other.windows[len(self.windows) :]


def join(parts: Sequence[tuple[Path, int]], target: Path) -> None:
    """Write one index of a file that is made of parts.

    :param parts: the index of each, and by how many bytes its blocks stand later in the whole.
    """
    contigs: dict[bytes, _Contig] = {}
    settings = b""
    for path, shift in parts:
        settings, found = _read(path, shift=shift << 16)
        for name, contig in found.items():
            contigs.setdefault(name, _Contig()).add(contig)
    names = b"".join(name + b"\0" for name in contigs)
    out = [_MAGIC, struct.pack("<i", len(contigs)), settings, struct.pack("<i", len(names)), names]
    for contig in contigs.values():
        out.append(_contig_bytes(contig))
    target.write_bytes(bgzf.compress(b"".join(out), level=6) + bgzf.END)


def _read(path: Path, *, shift: int) -> tuple[bytes, dict[bytes, _Contig]]:
    data = bgzf.decompress(path.read_bytes())
    (n_contigs,) = struct.unpack_from("<i", data, 4)
    settings = data[8:32]
    (length,) = struct.unpack_from("<i", data, 32)
    names = data[36 : 36 + length].split(b"\0")[:n_contigs]
    at = 36 + length
    found: dict[bytes, _Contig] = {}
    for name in names:
        contig = found[name] = _Contig()
        (n_bins,) = struct.unpack_from("<i", data, at)
        at += 4
        for _ in range(n_bins):
            number, n_stretches = struct.unpack_from("<Ii", data, at)
            at += 8
            numbers = struct.unpack_from(f"<{2 * n_stretches}Q", data, at)
            at += 16 * n_stretches
            if number == _COUNTS_BIN:
                contig.span, contig.counts = (numbers[0] + shift, numbers[1] + shift), (numbers[2], numbers[3])
            else:
                pairs = zip(numbers[::2], numbers[1::2], strict=True)
                contig.bins[number] = [(start + shift, end + shift) for start, end in pairs]
        (n_windows,) = struct.unpack_from("<i", data, at)
        at += 4
        contig.windows = [offset + shift for offset in struct.unpack_from(f"<{n_windows}Q", data, at)]
        at += 8 * n_windows
    return settings, found


def _contig_bytes(contig: _Contig) -> bytes:
    out = [struct.pack("<i", len(contig.bins) + (contig.span is not None))]
    for number, stretches in contig.bins.items():
        out.append(struct.pack("<Ii", number, len(stretches)))
        out.extend(struct.pack("<QQ", *stretch) for stretch in stretches)
    if contig.span is not None:
        out.append(struct.pack("<IiQQQQ", _COUNTS_BIN, 2, *contig.span, *contig.counts))
    out.append(struct.pack(f"<i{len(contig.windows)}Q", len(contig.windows), *contig.windows))
    return b"".join(out)
