"""The records of a result's VCF that a view has a row of, as a VCF with the same header.

The table is in the order of the VCF, so both are read side by side, once: memory does not grow with them.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from gas.annotation import bgzf
from gas.errors import Damaged, InputError
from gas.explore.table import Row, Table
from gas.explore.view import View

_LEVEL = 4
_BLOCKS = 1 << 20  # bytes of text that are compressed at once
_RECORD = re.compile(rb"(?:^|;)GAS_REC=0*([0-9]+)")
_HEADER_CSQ = b"##INFO=<ID=CSQ,"
_KEY = ("rec", "pos", "ref", "alt")
_CSQ_COLUMNS = ("consequence", "impact", "gene", "transcript", "biotype", "strand", "amino_acid_change")
CSQ_FIELDS = (
    *("Allele", "Consequence", "IMPACT", "SYMBOL", "Gene", "Feature_type", "Feature", "BIOTYPE"),
    *("Protein_position", "Amino_acids", "STRAND"),
)
_CSQ_LINE = (
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations in the form of Ensembl VEP, '
    f'made of BCSQ. Format: {"|".join(CSQ_FIELDS)}">\n'
)
_CHANGE = re.compile(r"^([0-9]+)([A-Z*]+)(?:>[0-9]+([A-Z*]+))?$")
_UNSAFE = re.compile(r"[|;,=\s]")


class _Wanted(NamedTuple):
    """A variant that is to be written."""

    rec: int
    pos: int
    ref: str
    alt: str | None
    csq: str


def chunks(table: Table, view: View, vcf: Iterable[bytes], *, csq: bool = False) -> Iterator[bytes]:
    """The file, bgzip-compressed; a record is there once, and in the VCF's order, however the view is sorted.

    :param vcf: the bytes of the result's VCF.
    :param csq: add each variant's consequences as Ensembl's VEP writes them, all of them, beside BCSQ.
    :raises InputError: when the VCF has a CSQ of its own.
    :raises Damaged: when the table speaks of a record that the VCF does not have.
    """
    text = bytearray()
    for line in _lines(table, view, vcf, csq=csq):
        text += line
        if len(text) > _BLOCKS:
            yield bgzf.compress(bytes(text), level=_LEVEL)
            text.clear()
    yield bgzf.compress(bytes(text), level=_LEVEL) + bgzf.END


def _lines(table: Table, view: View, vcf: Iterable[bytes], *, csq: bool) -> Iterator[bytes]:
    unsorted = replace(view, sort=(), cursor=None)
    wanted = _with_csq(table.marked(unsorted, (*_KEY, *_CSQ_COLUMNS))) if csq else _bare(table.stream(unsorted, _KEY))
    following = next(wanted, None)
    with gzip.GzipFile(fileobj=io.BufferedReader(_Stream(vcf), 1 << 20)) as lines:
        for line in lines:
            if line.startswith(b"#"):
                if csq and line.startswith(_HEADER_CSQ):
                    raise InputError("this VCF came with a CSQ of its own, which stays: ask for it without csq")
                if csq and line.startswith(b"#CHROM"):
                    yield _CSQ_LINE.encode()
                yield line
            elif following is None:
                return
            else:
                fields = line.split(b"\t", 8)
                if _is(fields, following):
                    yield _added(fields, following.csq) if following.csq else line
                    following = next(wanted, None)
    if following is not None:
        raise Damaged(f"the table names record {following.rec:,} at {following.pos:,}, which the VCF does not have")


def _is(fields: list[bytes], wanted: _Wanted) -> bool:
    return (
        record_number(fields[7]) == wanted.rec
        and int(fields[1]) == wanted.pos
        and fields[3].decode("utf-8", errors="replace") == wanted.ref
        and fields[4].decode("utf-8", errors="replace") == (wanted.alt or ".")
    )


def record_number(info: bytes) -> int | None:
    """The number of a record in the input, from its INFO."""
    found = _RECORD.search(info)
    return int(found[1]) if found else None


def _bare(batches: Iterator[list[Row]]) -> Iterator[_Wanted]:
    """The variants of rows in the file's order, each once."""
    for (rec, pos, ref, alt), _ in groupby(row for batch in batches for row in batch):
        yield _Wanted(rec, pos, ref, alt, csq="")


def _with_csq(batches: Iterator[list[Row]]) -> Iterator[_Wanted]:
    """The variants of which a row is marked, each with the consequences of all its rows."""
    for (rec, pos, ref, alt), group in groupby(
        (row for batch in batches for row in batch), key=lambda row: row[: len(_KEY)]
    ):
        rows = [row[len(_KEY) :] for row in group]
        if any(shown for *_, shown in rows):
            entries = [_entry(ref, alt, *held) for *held, _ in rows if held[0] is not None]
            yield _Wanted(rec, pos, ref, alt, csq=",".join(entries))


def _entry(
    ref: str,
    alt: str | None,
    consequence: str,
    impact: str,
    gene: str | None,
    transcript: str | None,
    biotype: str | None,
    strand: str | None,
    change: str | None,
) -> str:
    residue = _CHANGE.match(change or "")
    position, acids = "", ""
    if residue:
        position = residue[1]
        acids = f"{residue[2]}/{residue[3]}" if residue[3] else residue[2]
    return "|".join(
        [
            _allele(ref, alt or ""),
            consequence,
            impact,
            _plain(gene),
            _plain(gene),
            "Transcript" if transcript else "",
            _plain(transcript),
            _plain(biotype),
            position,
            acids,
            {"+": "1", "-": "-1"}.get(strand or "", ""),
        ]
    )


def _allele(ref: str, alt: str) -> str:
    """The alternate allele as VEP names it: an insertion or deletion without the base before it."""
    if len(ref) != len(alt) and ref[:1] == alt[:1] and not alt.startswith("<"):
        return _plain(alt[1:]) or "-"
    return _plain(alt)


def _plain(text: str | None) -> str:
    return _UNSAFE.sub("_", text or "")


def _added(fields: list[bytes], csq: str) -> bytes:
    """The record with CSQ in its INFO."""
    end = b"\n" if len(fields) == 8 else b""
    info = fields[7].rstrip(b"\n")
    own = b"CSQ=" + csq.encode()
    fields[7] = (own if info == b"." else info + b";" + own) + end
    return b"\t".join(fields)


class _Stream(io.RawIOBase):
    """Chunks of bytes as a file that can be read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
