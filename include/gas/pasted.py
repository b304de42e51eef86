"""A few variants as a person pastes them, annotated at once: no job, no record, and nothing is kept.

Each line is looked at on its own, so that one that cannot be used costs none of the others: it gets a sentence, and the
others get their rows.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pysam

from gas.annotation import Limits, annotate
from gas.annotation.check import Check
from gas.annotation.header import FIXED, Header
from gas.errors import EngineError, InputError, Unavailable
from gas.explore.table import Table
from gas.explore.view import View, default_columns
from gas.references import Reference
from gas.settings import Settings

MAX_LINES = 100
#: Of all lines together, in bytes as UTF-8.
MAX_BYTES = 64 * 1024
#: An ALT with many alleles is many variants.
MAX_ALLELES = 200
#: Engines that one process runs at once for this, and how long one more waits for its turn.
AT_ONCE = 2
WAIT_S = 5.0
TIMEOUT_S = 20.0
#: A scratch folder this old is of a process that was killed: none is in use for longer than the time-out.
ABANDONED_S = 600
#: Characters of a line that are said back, and bases of an allele.
_SHOWN, _SHOWN_BASES = 200, 20
_SHOWN_CONTIGS = 10

#: ``chr1-100-A-G``, ``1:100:A:G``, ``1 100 A G``, ``1:100A>G`` or ``NC_000001.11:g.100A>G``, white space run together.
#: A contig's own name may hold the marks that separate.
_SPELLED = re.compile(
    r"(?P<contig>\S{1,200}?) ?[-:_ ] ?(?:g\.)?(?P<position>[0-9][0-9,]{0,13})"
    r" ?[-:_ ]? ?(?P<ref>[A-Za-z]+) ?[-:_>/ ] ?(?P<alt>\S+)"
)
_POSITION = re.compile(r"[0-9][0-9,]{0,13}")
_ID = re.compile(r"[A-Za-z0-9_.:;-]{1,200}")
_ACGT = frozenset("ACGT")
_ALWAYS = frozenset({"chrom", "pos", "ref", "alt", "gene", "consequence", "impact"})
_HEADER = ["##fileformat=VCFv4.3", "#" + "\t".join(FIXED)]

_turns = threading.BoundedSemaphore(AT_ONCE)


class Busy(Unavailable):
    """Others' variants are being annotated just now."""

    retry_after_s = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A line that could not be annotated, and why."""

    line: int
    """1-based, among all that was pasted."""
    text: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """What was pasted, read and held against the reference."""

    reference: Reference
    records: tuple[bytes, ...]
    """VCF lines in the order of the genome, under the reference's own names of contigs."""
    lines: tuple[int, ...]
    """The line that each record stood in, from 1."""
    texts: tuple[str, ...]
    """The line itself, cut short where it is long."""
    problems: tuple[Problem, ...]

    @property
    def vcf(self) -> bytes:
        """The records as a file."""
        contigs = (f"##contig=<ID={c.name},length={c.length}>" for c in self.reference.contigs)
        head = "\n".join([_HEADER[0], *contigs, _HEADER[1], ""])
        return head.encode() + b"".join(self.records)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known of the pasted variants."""

    reference: str
    columns: tuple[str, ...]
    """Those of a result's table that are filled in some row, and a few that always stand, in their order."""
    rows: tuple[dict[str, Any], ...]
    """By column, and the number of the ``line`` and its ``text`` besides: one for each consequence of each allele."""
    problems: tuple[Problem, ...]


def read(lines: Sequence[str], reference: Reference) -> Pasted:
    """Read what was pasted: VCF lines, of which the first five columns count, or variants in a person's spelling.

    Blank lines and those of a VCF's header are passed over.

    :raises InputError: when there is no variant in it, or more than is taken.
    """
    wanted = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    wanted = [(number, line) for number, line in wanted if line and not line.startswith("#")]
    if not wanted:
        raise InputError("There is no variant in it. Write one a line, such as chr21-25891784-C-T.")
    size = sum(len(line.encode(errors="replace")) + 1 for line in lines)
    if len(wanted) > MAX_LINES or size > MAX_BYTES:
        raise InputError(
            f"That is more than {MAX_LINES} variants or {MAX_BYTES // 1024} KiB: submit it as a file instead."
        )
    records: list[tuple[int, int, int, bytes]] = []
    problems: list[Problem] = []
    with pysam.FastaFile(str(reference.fasta)) as genome:
        reader = _Reader(reference, genome)
        for number, line in wanted:
            try:
                contig, position, record = reader.record(line)
            except InputError as refusal:
                said = str(refusal) if refusal.line is None else str(refusal).partition(": ")[2]
                problems.append(Problem(line=number, text=_short(line, _SHOWN), sentence=said))
            else:
                records.append((contig, position, number, record))
    records.sort()
    alleles = sum(record.split(b"\t", 5)[4].count(b",") + 1 for *_, record in records)
    if alleles > MAX_ALLELES:
        raise InputError(f"These are {alleles:,} alleles, and {MAX_ALLELES} are taken: submit them as a file instead.")
    texts = dict(wanted)
    return Pasted(
        reference=reference,
        records=tuple(record for *_, record in records),
        lines=tuple(number for *_, number, _ in records),
        texts=tuple(_short(texts[number], _SHOWN) for *_, number, _ in records),
        problems=tuple(problems),
    )


def answer(pasted: Pasted, settings: Settings) -> Answer:
    """Annotate what was read. Every record has a row at least.

    :raises Busy: when others take up all turns.
    :raises Unavailable: when the engine fails, or takes longer than it may.
    """
    if not pasted.records:
        return Answer(reference=pasted.reference.name, columns=(), rows=(), problems=pasted.problems)
    with _turn(), _scratch(settings.scratch_folder / "pasted") as folder:
        given = folder / "pasted.vcf"
        given.write_bytes(pasted.vcf)
        try:
            result = annotate(
                given,
                folder / "answer.vcf.gz",
                reference=pasted.reference,
                limits=Limits(memory_bytes=settings.engine_memory_bytes, timeout_s=TIMEOUT_S),
            )
        except EngineError as error:
            raise Unavailable(f"{error} Try again, or submit these variants as a file.") from error
        columns, rows = _rows(result.table, pasted)
    return Answer(reference=pasted.reference.name, columns=columns, rows=rows, problems=pasted.problems)


class _Reader:
    """Reads lines against one reference, with the engine's own check."""

    def __init__(self, reference: Reference, genome: pysam.FastaFile) -> None:
        self._reference = reference
        self._genome = genome
        self._check = Check(
            header=Header.parse([line.encode() for line in _HEADER]), reference=reference, limits=Limits()
        )

    def record(self, line: str) -> tuple[int, int, bytes]:
        """The contig by its number in the reference, the position, and the line as a VCF record.

        :raises InputError: saying what is wrong with it.
        """
        name, position, own_id, ref, alt = _parts(line)
        contigs = self._check.contigs
        number = contigs.index.get(name.encode(errors="replace"))
        if number is None:
            has = ", ".join(contigs.names[:_SHOWN_CONTIGS])
            more = len(contigs.names) - _SHOWN_CONTIGS
            raise InputError(
                f"{self._reference.name} has no contig {_short(name, 40)!r}. It has {has}"
                + (f" and {more:,} more." if more > 0 else ".")
            )
        contig = contigs.names[number]
        text = f"{contig}\t{position}\t{own_id}\t{ref.upper()}\t{alt}\t.\t.\t.\n"
        block = self._check.block(text.encode(errors="replace"))
        fields = block.text.split(b"\t")
        self._compare(contig, position, fields[3].decode())
        fields[7] = b".\n"  # the engine numbers the records itself
        return number, position, b"\t".join(fields)

    def _compare(self, contig: str, position: int, ref: str) -> None:
        start, length = position - 1, len(ref)
        found = self._genome.fetch(contig, start, start + length).upper()
        if not _differ(ref, found):
            return
        sentence = (
            f"REF is {_short(ref, _SHOWN_BASES)}, and {self._reference.name} has {_short(found, _SHOWN_BASES)} "
            f"at {contig}:{position:,}."
        )
        if not _differ(ref, self._genome.fetch(contig, start + 1, start + 1 + length).upper()):
            sentence += " It would fit one base further on: positions count from 1."
        raise InputError(sentence)


def _parts(line: str) -> tuple[str, int, str, str, str]:
    """Contig, position, ID, REF and ALT of a line.

    :raises InputError: when it is no variant.
    """
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) >= 5 and _POSITION.fullmatch(columns[1].strip()):
        name, position, own_id, ref, alt = (column.strip() for column in columns[:5])
    else:
        spelled = _SPELLED.fullmatch(" ".join(line.split()))
        if spelled is None:
            raise InputError(
                "This cannot be read as a variant: write chrom-pos-ref-alt, or the first columns of a VCF line "
                "(CHROM POS ID REF ALT)."
            )
        name, position, ref, alt = spelled.group("contig", "position", "ref", "alt")
        own_id = "."
    return name, int(position.replace(",", "")), own_id if _ID.fullmatch(own_id) else ".", ref, alt


def _differ(ref: str, found: str) -> bool:
    """Whether two plain bases differ; an ambiguous one fits all, as in the engine."""
    return len(ref) != len(found) or any(a != b and {a, b} <= _ACGT for a, b in zip(ref, found, strict=True))


def _rows(path: Path, pasted: Pasted) -> tuple[tuple[str, ...], tuple[dict[str, Any], ...]]:
    """The columns worth showing, and the rows in the order of the lines, each variant's worst consequence first."""
    with duckdb.connect(config={"threads": 1}) as connection:
        table = Table(path, connection, remember=lambda _path, _sql, ask: ask())
        names = tuple(table.schema)
        found = [
            dict(zip(names, row, strict=True)) for batch in table.stream(View(columns=names), names) for row in batch
        ]
    usual = default_columns(table.schema)
    sources = [name for name in pasted.reference.source_columns if name not in usual]
    filled = {name for name in names if any(row[name] is not None for row in found)}
    columns = tuple(name for name in (*usual, *sources, "why_not") if name in filled or name in _ALWAYS)
    rows = [{"line": pasted.lines[row["rec"] - 1], "text": pasted.texts[row["rec"] - 1], **row} for row in found]
    rows.sort(key=lambda row: (row["line"], row["pos"], row["ref"], row["alt"] or "", not row["most_severe"]))
    return columns, tuple(rows)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=WAIT_S):
        raise Busy("Other variants are being annotated just now. Try again in some seconds.")
    try:
        yield
    finally:
        _turns.release()


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A folder that is gone afterwards; those that a killed process left behind go as well."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        try:
            abandoned = time.time() - left.stat().st_mtime > ABANDONED_S
        except FileNotFoundError:
            continue  # another request's, just done
        if abandoned:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent) as made:
        yield Path(made)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
