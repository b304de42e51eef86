"""The check of the records: refuses what cannot be annotated, and numbers what can.

Two ways lead to the same answer. A block of text is looked at as one array of bytes; only when something in it is not
plain (or numpy is not worth its import) it is read line by line, which is exact and finds the words for a refusal.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from gas.annotation.header import Header
from gas.annotation.limits import Limits
from gas.annotation.refusals import (
    BadAllele,
    BadColumns,
    BadPosition,
    BadQuality,
    ControlCharacters,
    LineTooLong,
    MixedContigNames,
    OutsideContig,
    TruncatedLine,
    UnknownContigs,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gas.references import Reference

    Ints: TypeAlias = list[int] | NDArray[np.int64]

_ALLOWED = bytes(set(range(32, 256)) - {127} | {9, 10})
_POSITION = re.compile(rb"\d{1,10}$")
_REF = re.compile(rb"[ACGTUNMRWSYKVHDB]+$", re.IGNORECASE)
_BASES = re.compile(rb"[ACGT]+$")
_AMBIGUOUS = re.compile(rb"[ACGTNMRWSYKVHDB]+$")
_SYMBOLIC = re.compile(rb"<[^<>\s,]+>$")
_BREAKEND = re.compile(rb"(?:[ACGTN.]*[\[\]][^\[\]\s,]+:\d+[\[\]][ACGTN.]*|\.[ACGTN]+|[ACGTN]+\.)$", re.IGNORECASE)
_QUALITY = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$|\.$|(?i:nan|[-+]?inf(?:inity)?)$")
_ALLELE = re.compile(rb"[/|]")
_LOWER = re.compile(rb"[a-z]")

#: Why an allele is kept without a consequence, in the words of the log.
SPANNING, SYMBOLIC, BREAKEND, AMBIGUOUS, NO_ALT = (
    "spanning deletion (*)",
    "symbolic allele",
    "breakend",
    "allele with ambiguous bases",
    "no alternative allele",
)
_SHOWN_CONTIGS = 10
_NUMPY_FROM_BYTES = 2 << 20
"""Below this, reading line by line is faster than importing numpy (130 ms against 4 microseconds a line)."""


@dataclass(slots=True)
class Block:
    """Checked records: their text, each with its ``GAS_REC``, and where they lie."""

    text: bytes
    starts: Ints
    """Where each record begins in ``text``."""
    contigs: Ints
    """Index of each record's contig in the reference."""
    positions: Ints
    ends: Ints
    """The last base of REF, 1-based."""
    odd: list[int]
    """Records (by index in the block) with an allele that norm and csq must not touch."""


@dataclass(slots=True)
class Contigs:
    """The contigs of the reference under the names that the input uses."""

    names: list[str]
    lengths: list[int]
    index: dict[bytes, int]
    """Every spelling that is understood."""
    spelled: dict[int, bytes] = field(default_factory=dict)
    """The input's name of each contig seen or declared."""
    rank: dict[int, int] = field(default_factory=dict)
    """The order of contigs in the result: as the input declares them, then as the reference has them."""

    @classmethod
    def of(cls, reference: Reference, header: Header) -> Contigs:
        """Match the header's contigs to the reference's."""
        names = [contig.name for contig in reference.contigs]
        own = {name.encode(): number for number, name in enumerate(names)}
        index = {alias.encode(): own[name.encode()] for alias, name in reference.aliases.items()} | own
        contigs = cls(names, [contig.length for contig in reference.contigs], index)
        for name in header.contigs:
            number = index.get(name)
            if number is not None and number not in contigs.rank:
                contigs.rank[number] = len(contigs.rank)
        declared = len(contigs.rank)
        for number in range(len(names)):
            contigs.rank.setdefault(number, declared + number)
        return contigs


class Check:
    """The state of the check between blocks; see :meth:`block` and :meth:`finish`."""

    def __init__(self, *, header: Header, reference: Reference, limits: Limits, number: bool = True) -> None:
        self.contigs = Contigs.of(reference, header)
        self.reference_name = reference.name
        self.limits = limits
        self.records = 0
        self.sorted = True
        self.phase_unknown = False
        """A sample has an unphased heterozygote, or more than two alleles."""
        self.genotyped = False
        """Some record has genotypes."""
        self.seen: Counter[str] = Counter()
        """Records with each thing that is accepted with a note."""
        self.skipped: Counter[str] = Counter()
        """Alleles that are kept without a consequence, by reason."""
        self.number = number
        self.n_columns = len(header.columns)
        self.line = header.n_lines
        self.last = (-1, 0)
        self._unknown: Counter[bytes] = Counter()
        self._arrays = False

    def block(self, data: bytes, *, last: bool = False) -> Block:
        """Check whole lines of text; ``last`` when the file ends with them, maybe without a newline.

        :raises InputError: a subclass for what is wrong, with the line.
        """
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
            self.seen["crlf"] += 1
            if last:
                data = data.removesuffix(b"\r")
        unfinished = last and bool(data) and not data.endswith(b"\n")
        if unfinished:
            self._refuse_cut_line(data[data.rfind(b"\n") + 1 :], lines_before=data.count(b"\n"))
            data += b"\n"
            self.seen["no final newline"] += 1
        if data.translate(None, _ALLOWED):
            self._refuse_control_characters(data)
        self._arrays = self._arrays or len(data) >= _NUMPY_FROM_BYTES
        block = None
        if self._arrays:
            from gas.annotation import check_arrays

            block = check_arrays.block(self, data)
        if block is None:
            block = self._by_line(data)
        return block

    def finish(self) -> None:
        """Refuse what only the whole file shows.

        :raises UnknownContigs: naming those the reference lacks, and those it has.
        """
        if self._unknown:
            names = ", ".join(name.decode(errors="replace")[:60] for name in list(self._unknown)[:_SHOWN_CONTIGS])
            more = ", ..." if len(self._unknown) > _SHOWN_CONTIGS else ""
            has = ", ".join(self.contigs.names[:_SHOWN_CONTIGS])
            has_more = (
                f" and {len(self.contigs.names) - _SHOWN_CONTIGS:,} more"
                if len(self.contigs.names) > _SHOWN_CONTIGS
                else ""
            )
            raise UnknownContigs(
                f"{self._unknown.total():,} of {self.records:,} records lie on contigs that the reference "
                f"{self.reference_name} does not have: {names}{more}. It has {has}{has_more}. "
                "Choose the reference that the file was made on, or leave these records out."
            )

    def advance(self, *, records: int, lines: int) -> None:
        """Count records and lines that were checked elsewhere."""
        self.records += records
        self.line += lines

    def contig_of(self, name: bytes, *, line: int) -> int | None:
        """The index of a contig by the input's name; None when the reference does not have it.

        :raises MixedContigNames: when the same contig came under another name before.
        """
        number = self.contigs.index.get(name)
        if number is None:
            return None
        before = self.contigs.spelled.setdefault(number, name)
        if before != name:
            raise MixedContigNames(
                f"{name.decode()} and {before.decode()} are the same contig; use one name for it in the whole file.",
                line=line,
            )
        return number

    def _by_line(self, data: bytes) -> Block:
        out: list[bytes] = []
        starts: list[int] = []
        numbers: list[int] = []
        positions: list[int] = []
        ends: list[int] = []
        odd: list[int] = []
        size = 0
        columns, has_samples = self.n_columns, self.n_columns > 9
        contig, name_before = None, b""
        last_rank, last_position = self.last
        max_line = self.limits.max_line_bytes
        first = self.line
        lines = data.split(b"\n")
        lines.pop()
        for self.line, line in enumerate(lines, start=first + 1):
            if len(line) > max_line:
                raise LineTooLong(f"The line is longer than {max_line:,} bytes.", line=self.line)
            fields = line.split(b"\t", 9)
            n_columns = len(fields) if len(fields) < 10 else 10 + fields[9].count(b"\t")
            if n_columns != columns or b"" in fields or line[:1] == b"#":
                if not line.strip():
                    self.seen["blank line"] += 1
                    continue
                self._refuse_columns(line, n_columns)
            self.records += 1
            name, pos_text, _, ref, alt, quality, _, info = fields[:8]
            if name != name_before:
                contig, name_before = self.contig_of(name, line=self.line), name
            if contig is None:
                self._unknown[name] += 1
                continue
            if not _POSITION.match(pos_text):
                raise BadPosition(f"POS must be a whole number, and is {_shown(pos_text)}.", line=self.line)
            position = int(pos_text)
            end = position + len(ref) - 1
            if not position >= 1 or end > self.contigs.lengths[contig]:
                raise OutsideContig(
                    f"{name.decode(errors='replace')}:{position:,} with its REF of {len(ref):,} lies outside the "
                    f"contig, which has {self.contigs.lengths[contig]:,} bases in {self.reference_name}. "
                    "Was the file made on another genome?",
                    line=self.line,
                )
            if not (len(ref) == len(alt) == 1 and ref in b"ACGT" and alt in b"ACGT"):
                upper_ref, upper_alt, is_odd = self.alleles(ref, alt, line=self.line)
                if is_odd:
                    odd.append(len(starts))
                if upper_ref is not ref or upper_alt is not alt:
                    fields[3], fields[4] = upper_ref, upper_alt
                    line = b"\t".join(fields)
            if quality != b"." and not _QUALITY.match(quality):
                raise BadQuality(f"QUAL must be a number or '.', and is {_shown(quality)}.", line=self.line)
            if has_samples:
                if fields[9][:1] == b"\t" or b"\t\t" in fields[9] or fields[9][-1:] == b"\t":
                    self._refuse_columns(line, n_columns)
                if not self.phase_unknown and fields[8][:2] == b"GT":
                    self.genotypes(fields[9].split(b"\t"))
            rank = self.contigs.rank[contig]
            if (rank, position) < (last_rank, last_position):
                self.sorted = False
            last_rank, last_position = rank, position
            if self.number:
                tagged = b"GAS_REC=%d" % self.records if info == b"." else b"GAS_REC=%d;%b" % (self.records, info)
                fields[7] = tagged
                line = b"\t".join(fields)
            starts.append(size)
            size += len(line) + 1
            out.append(line)
            numbers.append(contig)
            positions.append(position)
            ends.append(end)
        self.line = first + len(lines)
        self.last = (last_rank, last_position)
        out.append(b"")
        return Block(b"\n".join(out), starts, numbers, positions, ends, odd)

    def alleles(self, ref: bytes, alt: bytes, *, line: int) -> tuple[bytes, bytes, bool]:
        """REF and ALT in capitals, and whether an allele must be kept away from norm and csq.

        :raises BadAllele: when one is no allele.
        """
        if not _REF.match(ref):
            raise BadAllele(f"REF must be bases, and is {_shown(ref)}.", line=line)
        if not ref.isupper():
            ref = ref.upper()
            self.seen["lower case"] += 1
        if alt == b".":
            self.skipped[NO_ALT] += 1
            return ref, alt, False
        alleles = alt.split(b",")
        if len(alleles) > 1:
            self.seen["multi-allelic"] += 1
        odd = False
        for number, allele in enumerate(alleles):
            if _BASES.match(allele):
                continue
            capitals = allele.upper()
            if _AMBIGUOUS.match(capitals):
                if capitals != allele:
                    self.seen["lower case"] += 1
                    alleles[number] = capitals
                if not _BASES.match(capitals):
                    self.skipped[AMBIGUOUS] += 1
                    odd = True
                continue
            odd = True
            if allele == b"*":
                self.skipped[SPANNING] += 1
            elif _SYMBOLIC.match(allele):
                self.skipped[SYMBOLIC] += 1
            elif _BREAKEND.match(allele):
                self.skipped[BREAKEND] += 1
            else:
                raise BadAllele(f"ALT must be bases, '*', <SYMBOLIC> or a breakend, and is {_shown(alt)}.", line=line)
        changed = b",".join(alleles)
        return ref, changed if changed != alt else alt, odd

    def genotypes(self, samples: Sequence[bytes]) -> None:
        """Look for a genotype whose phase matters and is not known."""
        self.genotyped = True
        for sample in samples:
            genotype = sample.partition(b":")[0].lstrip(b"/|")
            if b"/" not in genotype and b"|" not in genotype:
                continue
            alleles = _ALLELE.split(genotype)
            if len(alleles) > 2 or (b"/" in genotype and alleles[0] != alleles[1]):
                self.phase_unknown = True
                return

    def _refuse_columns(self, line: bytes, n_columns: int) -> None:
        if line.startswith(b"#"):
            raise BadColumns("A header line stands among the records; are two files joined here?", line=self.line)
        if n_columns == self.n_columns:
            raise BadColumns("A column is empty; a missing value is written '.'.", line=self.line)
        hint = " Columns are separated by tabs, not by spaces." if n_columns == 1 else ""
        raise BadColumns(
            f"The record has {n_columns:,} columns, and the #CHROM line has {self.n_columns:,}.{hint}", line=self.line
        )

    def _refuse_cut_line(self, line: bytes, *, lines_before: int) -> None:
        number = self.line + lines_before + 1
        if line.strip() and line.count(b"\t") + 1 < self.n_columns:
            raise TruncatedLine(
                "The last line ends in the middle: the file is cut off. Upload the whole file.", line=number
            )

    def _refuse_control_characters(self, data: bytes) -> None:
        for number, line in enumerate(data.split(b"\n"), start=self.line + 1):
            bad = line.translate(None, _ALLOWED)
            if bad:
                raise ControlCharacters(
                    f"The line holds the control character 0x{bad[0]:02x}: this is not text, or it is damaged.",
                    line=number,
                )


def lines_of(pieces: Any, *, limits: Limits, first_line: int) -> Any:
    """Turn pieces cut anywhere into blocks of whole lines; yields (block, whether it is the last).

    :raises LineTooLong: before more than the limit is held in memory.
    """
    held: list[bytes] = []
    size = 0
    ready: bytes | None = None
    line = first_line
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end:
            held.append(piece)
            size += len(piece)
            if size > limits.max_line_bytes:
                if ready is not None:
                    line += ready.count(b"\n")
                raise LineTooLong(f"The line is longer than {limits.max_line_bytes:,} bytes.", line=line + 1)
            continue
        if ready is not None:
            yield ready, False
            line += ready.count(b"\n")
        ready = b"".join([*held, piece[:end]])
        held, size = ([piece[end:]], len(piece) - end) if end < len(piece) else ([], 0)
    rest = b"".join(held)
    if ready is None:
        if rest:
            yield rest, True
    elif rest:
        yield ready + rest, True
    else:
        yield ready, True


def interval(cuts: Sequence[int], position: int) -> int:
    """Which of the stretches between cut points a position lies in."""
    return bisect_right(cuts, position)


def _shown(text: bytes) -> str:
    shown = text[:40].decode(errors="replace")
    return repr(shown + "..." if len(text) > 40 else shown)
