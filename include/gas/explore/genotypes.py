"""Who carries the variants of a page: genotypes from the stored VCF, read in the stretches that its index names.

The index is tabix's (https://samtools.github.io/hts-specs/tabix.pdf): for each window of 16,384 bases it says where in
the file the first record begins that reaches into the window.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple, Protocol

from gas.errors import Damaged, Unavailable
from gas.explore.vcf import record_number
from gas.job import StoredObject

_WINDOW_BITS = 14
_READ_BYTES = 1 << 18
#: What is read at most of the compressed file for one window; where more would be needed, nothing is shown.
_WINDOW_BYTES = 8 << 20
_READERS = 8
_MAGIC = b"TBI\1"


class Variant(NamedTuple):
    """What tells a variant's record in the VCF."""

    rec: int
    chrom: str
    pos: int
    ref: str
    alt: str | None


#: The samples that have the alternate allele, with their genotypes as the VCF writes them.
Carriers = Mapping[str, str]


class Ranges(Protocol):
    """Where stretches of a stored object come from: :class:`gas.objects.Objects`."""

    def read_range(self, stored: StoredObject, first: int, last: int) -> bytes:
        """The bytes from ``first`` to ``last``, both included, or to the end."""


def carriers(
    variants: Sequence[Variant], *, vcf: StoredObject, index: StoredObject, objects: Ranges
) -> dict[Variant, Carriers]:
    """Who carries each variant; none are said of a variant in whose surroundings the file is too dense to be read.

    :raises Unavailable: when the index is of another kind.
    :raises Damaged: when it is cut short.
    """
    if not variants:
        return {}
    samples = _samples(vcf, objects)
    if not samples:
        return {variant: {} for variant in variants}
    starts = _starts(gzip.decompress(objects.read_range(index, 0, index.size_bytes - 1)))
    near = sorted(set(variants), key=_window)
    groups = [(window, list(group)) for window, group in groupby(near, key=_window)]

    def read(job: tuple[tuple[str, int], list[Variant]]) -> dict[Variant, Carriers]:
        (chrom, window), wanted = job
        offsets = starts.get(chrom, ())
        if window >= len(offsets):
            return {}
        return _read(wanted, samples, _lines_from(offsets[window], vcf, objects))

    with ThreadPoolExecutor(min(_READERS, len(groups))) as threads:
        found: dict[Variant, Carriers] = {}
        for part in threads.map(read, groups):
            found |= part
    return found


def _window(variant: Variant) -> tuple[str, int]:
    return variant.chrom, (variant.pos - 1) >> _WINDOW_BITS


def _read(wanted: list[Variant], samples: list[str], lines: Iterator[bytes]) -> dict[Variant, Carriers]:
    """What the records from some place on say of the wanted variants, all of one contig."""
    left: dict[tuple[int | None, int, str, str | None], Variant] = {
        (variant.rec, variant.pos, variant.ref, variant.alt): variant for variant in wanted
    }
    chrom, last = wanted[0].chrom, max(variant.pos for variant in wanted)
    found: dict[Variant, Carriers] = {}
    for line in lines:
        fields = line.split(b"\t", 9)
        pos = int(fields[1])
        if fields[0].decode("utf-8", errors="replace") != chrom or pos > last:
            break
        ref, alt = (field.decode("utf-8", errors="replace") for field in fields[3:5])
        variant = left.pop((record_number(fields[7]), pos, ref, None if alt == "." else alt), None)
        if variant is not None:
            found[variant] = _genotypes(fields, samples)
            if not left:
                break
    return found


def _genotypes(fields: list[bytes], samples: list[str]) -> dict[str, str]:
    if len(fields) < 10 or fields[8].split(b":", 1)[0] != b"GT":
        return {}
    calls = (call.split(b":", 1)[0].strip() for call in fields[9].split(b"\t"))
    return {
        sample: call.decode("ascii", errors="replace")
        for sample, call in zip(samples, calls, strict=False)
        if call.strip(b"0./|")  # what is left is an alternate allele
    }


def _samples(vcf: StoredObject, objects: Ranges) -> list[str]:
    for line in _lines_from(0, vcf, objects):
        if line.startswith(b"#CHROM"):
            return [name.decode("utf-8", errors="replace") for name in line.rstrip(b"\n").split(b"\t")[9:]]
    return []


def _starts(index: bytes) -> dict[str, tuple[int, ...]]:
    """For each contig, the virtual offset at which each of its windows begins.

    A virtual offset is that of a block in the file, shifted by 16 bits, and that within the block's text.
    """
    if index[:4] != _MAGIC:
        raise Unavailable("the index of this result is not tabix's, so its genotypes cannot be looked up here")
    try:
        contigs, *_, names_bytes = struct.unpack_from("<8i", index, 4)
        at = 36 + names_bytes
        starts = {}
        for name in index[36:at].split(b"\0")[:contigs]:
            (bins,) = struct.unpack_from("<i", index, at)
            at += 4
            for _ in range(bins):
                _, pieces = struct.unpack_from("<Ii", index, at)
                at += 8 + 16 * pieces
            (windows,) = struct.unpack_from("<i", index, at)
            starts[name.decode("utf-8", errors="replace")] = struct.unpack_from(f"<{windows}Q", index, at + 4)
            at += 4 + 8 * windows
    except struct.error as error:
        raise Damaged("the index of this result is cut short") from error
    return starts


def _lines_from(virtual_offset: int, vcf: StoredObject, objects: Ranges) -> Iterator[bytes]:
    """The lines from a virtual offset on, as far as ``_WINDOW_BYTES`` of the file reach."""
    start, skipped = virtual_offset >> 16, virtual_offset & 0xFFFF
    end = min(start + _WINDOW_BYTES, vcf.size_bytes)
    inflate, rest = zlib.decompressobj(31), b""
    for first in range(start, end, _READ_BYTES):
        data = objects.read_range(vcf, first, min(first + _READ_BYTES, end) - 1)
        while data:
            rest += inflate.decompress(data)
            data = inflate.unused_data
            if inflate.eof:
                inflate = zlib.decompressobj(31)
            if skipped and len(rest) >= skipped:
                rest, skipped = rest[skipped:], 0
        if not skipped:
            *lines, rest = rest.split(b"\n")
            yield from lines
