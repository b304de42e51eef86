"""What is done to one chunk, in a child of its own: normalise, then consequences, sources, text and table."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gas.annotation.bcftools import ToolFailed, bcftools
from gas.annotation.bgzf import bcf_header, first_record, in_order, rename_contigs
from gas.annotation.children import Children
from gas.annotation.chunks import Chunk
from gas.annotation.header import OWN_INFO, Header
from gas.annotation.refusals import BadValue
from gas.annotation.report import ChunkTable, chunk_table
from gas.errors import EngineError
from gas.references import Reference

COMPRESSION_LEVEL = 2
"""Of the result's bgzip. Measured on 300,000 human variants (28.9 MB of text), CPU time of writing: level 1 takes
0.23 s for 7.6 MB, 2 takes 0.25 s for 7.3 MB, 3 takes 0.30 s for 7.1 MB, 4 takes 0.33 s for 6.7 MB."""
_OTHER_ALLELES = 'ALT~"[^ACGT]"'
"""In bcftools' filter language: records that norm's left-alignment and csq must leave alone."""
_UNCARRIED = 'COUNT(GT="alt")=0 & ALT!~"[^ACGT]"'
"""Records that lie on no sample's haplotype, so that haplotype-aware calling says nothing of them."""
_SORT_WINDOW = 100
"""Bases over which norm sorts what left-alignment moved. Its own default of 1,000 doubles its time where variants are
dense; what moves farther is found by csq, and sorted then."""
_CONSEQUENCES_A_SITE = 1024
"""Per haplotype; csq's own default of 15 drops the rest where many transcripts overlap."""
_WHOLE_GFF_BYTES = 256 << 10
"""A smaller (compressed) GFF is parsed faster than a part is taken out of it."""
_UNDECLARED = re.compile(r"(INFO|FORMAT|FILTER) '([^']+)' (?:at \S+ )?is not defined in the header")
_WRONG_NUMBER = re.compile(r"wrong number of fields in (INFO|FORMAT)/(\S+) at (\S+):(\d+)")
_PLACE = re.compile(r"at (\S+):(\d+)")
_MISMATCH = re.compile(r"^REF_MISMATCH\t([^\t]+)\t(\d+)\t(\S+)\t(\S+)", re.MULTILINE)


class LeftOfCut(EngineError):
    """Left-alignment led a record so far over a cut that the file must be annotated in one chunk."""


@dataclass(slots=True)
class Normalised:
    """The outcome of :func:`normalise`."""

    first: tuple[bytes, int] | None
    """Contig and position of the first record; None when there is none."""
    mismatches: int = 0
    first_mismatch: tuple[str, int, str, str] | None = None
    """Contig, position, REF of the file, bases of the genome."""
    undeclared: dict[str, list[str]] = field(default_factory=dict)
    loosened: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class Annotated:
    """The outcome of :func:`annotate_chunk`."""

    header: bytes
    vcf: Path
    table: ChunkTable
    timings: dict[str, float]


def normalise(chunk: Chunk, *, header: Header, fasta: Path) -> Normalised:
    """Text to BCF: multi-allelic records split, indels left-aligned, REF compared with the genome.

    Declarations that turn out to be missing or wrong are mended, and the chunk is read again.

    :param fasta: the genome under the input's names of its contigs.
    :raises BadValue: when htslib cannot read a record.
    """
    began = time.perf_counter()
    outcome = Normalised(first=None)
    while True:
        _write_header(chunk, header.text(chunk.contigs))
        try:
            said = _norm(chunk, fasta=fasta)
        except ToolFailed as error:
            if _loosen(header, error.said, outcome):
                continue
            raise _unreadable(chunk, error) from error
        if not _declare(chunk, header, said, outcome):
            break
    chunk.path.unlink()
    mismatches = _MISMATCH.findall(said)
    if mismatches:
        contig, position, ref, genome = mismatches[0]
        outcome.mismatches = len(mismatches)
        outcome.first_mismatch = contig, int(position), ref, genome
    outcome.first = first_record(chunk.file(".norm.bcf"))
    outcome.seconds = time.perf_counter() - began
    return outcome


def _write_header(chunk: Chunk, text: bytes) -> None:
    """Write the header so that it ends where the records begin, making more room when there is too little."""
    if len(text) > chunk.room:
        roomier = chunk.file(".roomier")
        room = len(text) * 2
        with chunk.path.open("rb") as old, roomier.open("wb") as new:
            old.seek(chunk.room)
            new.seek(room)
            shutil.copyfileobj(old, new, 1 << 20)
        roomier.rename(chunk.path)
        chunk.room = room
    with chunk.path.open("r+b") as file:
        file.seek(chunk.room - len(text))
        file.write(text)
    chunk.header_at = chunk.room - len(text)


def _norm(chunk: Chunk, *, fasta: Path) -> str:
    """Run norm and return what it said. Alleles that are not plain bases are split off, but never moved."""
    split = ["--no-version", "-m", "-any", "--old-rec-tag", "GAS_OLD", "-Ou"]
    align = ["-c", "w", "-f", str(fasta), "-w", str(_SORT_WINDOW)]
    log, result = chunk.file(".log"), chunk.file(".norm.bcf")
    text = os.open(chunk.path, os.O_RDONLY)
    try:
        os.lseek(text, chunk.header_at, os.SEEK_SET)
        if not chunk.odd:
            return bcftools("norm", *split, *align, "-o", str(result), "-", log=log, stdin=text)
        parts = chunk.file(".split.bcf")
        said = bcftools("norm", *split, "-w", "1", "-o", str(parts), "-", log=log, stdin=text)
    finally:
        os.close(text)
    if _UNDECLARED.search(said):
        return said  # a BCF with undeclared tags cannot be read back; it is made again
    said += bcftools(
        "norm", "--no-version", "-Ou", *align, "-e", _OTHER_ALLELES, "--old-rec-tag", "GAS_OLD",
        "-o", str(result), str(parts), log=log,
    )  # fmt: skip
    parts.unlink()
    return said


def _declare(chunk: Chunk, header: Header, said: str, outcome: Normalised) -> bool:
    """Supply every declaration the chunk lacks, when norm missed one; whether there was anything to do."""
    if not _UNDECLARED.search(said):
        return False
    for kind, tags in _used_tags(chunk).items():
        for tag, is_flag in tags.items():
            if tag not in header.declared[kind]:
                header.declare(kind, tag, flag=is_flag)
                outcome.undeclared.setdefault(kind, []).append(tag.decode(errors="replace"))
    for kind, tag in _UNDECLARED.findall(said):  # also what is only found by htslib's reading
        if tag.encode() not in header.declared[kind]:
            header.declare(kind, tag.encode())
            outcome.undeclared.setdefault(kind, []).append(tag)
    return True


def _used_tags(chunk: Chunk) -> dict[str, dict[bytes, bool]]:
    """Every INFO, FORMAT and FILTER tag in the chunk's text; of INFO tags, whether they never have a value."""
    info: dict[bytes, bool] = {}
    format_: set[bytes] = set()
    filters: set[bytes] = set()
    with chunk.path.open("rb") as text:
        text.seek(chunk.room)
        for line in text:
            fields = line.rstrip(b"\n").split(b"\t", 9)
            filters.update(fields[6].split(b";"))
            for entry in fields[7].split(b";"):
                tag, equals, _ = entry.partition(b"=")
                info[tag] = info.get(tag, True) and not equals
            if len(fields) > 8:
                format_.update(fields[8].split(b":"))
    missing = {b".", b"", b"PASS", *(tag.encode() for tag in OWN_INFO)}
    return {
        "INFO": {tag: flag for tag, flag in info.items() if tag not in missing},
        "FORMAT": dict.fromkeys(format_ - missing, False),
        "FILTER": dict.fromkeys(filters - missing, False),
    }


def _loosen(header: Header, said: str, outcome: Normalised) -> bool:
    """Where a tag has another number of values than declared, declare any number; whether that was the trouble."""
    match = _WRONG_NUMBER.search(said)
    if match is None or match[2].encode() not in header.declared[match[1]]:
        return False
    before = header.declared[match[1]][match[2].encode()]
    header.loosen(match[1], match[2].encode())
    outcome.loosened.append(f"{match[1]}/{match[2]} at {match[3]}:{int(match[4]):,}")
    return header.declared[match[1]][match[2].encode()] != before


def _unreadable(chunk: Chunk, error: ToolFailed) -> Exception:
    """The refusal for a record that htslib cannot read, with the record's number where it can be told."""
    reasons = [line for line in error.said.splitlines() if line.startswith(("[E::", "Error"))]
    reason = re.sub(r"^\[E::\w+\] |^Error: ", "", reasons[0]) if reasons else error.last_line
    place = _PLACE.search(reason)
    if place is None:
        return EngineError(f"Normalising failed: {reason}")
    record = _record_at(chunk, place[1].encode(), int(place[2]))
    where = f"Record {record:,} cannot be read" if record else "A record cannot be read"
    return BadValue(f"{where}: {reason}.")


def _record_at(chunk: Chunk, contig: bytes, position: int) -> int | None:
    """The ``GAS_REC`` of the first record at this place of the chunk's text."""
    with chunk.path.open("rb") as text:
        text.seek(chunk.room)
        for line in text:
            fields = line.split(b"\t", 8)
            if fields[0] == contig and int(fields[1]) == position:
                number = re.match(rb"GAS_REC=(\d+)", fields[7])
                return int(number[1]) if number else None
    return None


def annotate_chunk(
    parts: Sequence[Chunk], *, reference: Reference, haplotype_aware: bool, whole: bool, work_dir: Path
) -> Annotated:
    """Consequences, sources, text and table of one chunk, or of neighbours that left-alignment brought together.

    :param whole: whether this is all of the file, so that its table is the result's.

    :raises EngineError: when a tool fails.
    """
    timings: dict[str, float] = defaultdict(float)
    chunk = parts[0]
    log = chunk.file(".log")

    def step(name: str, command: str, *arguments: str) -> None:
        began = time.perf_counter()
        bcftools(command, "--no-version", *arguments, log=log)
        timings[name] += time.perf_counter() - began

    current = chunk.file(".norm.bcf")
    try:
        if len(parts) > 1:
            joined, current = chunk.file(".joined.bcf"), chunk.file(".sorted.bcf")
            step("normalise", "concat", "-Ou", "-o", str(joined), *(str(part.file(".norm.bcf")) for part in parts))
            _sort(joined, current, log=log)
        renames = {old: new for part in parts for old, new in part.renames.items()}
        if renames:
            rename_contigs(current, renames)
        genes = _genes(parts, reference=reference)
        called = False
        if genes is not None:
            found = chunk.file(".csq.bcf")
            genome = ("-f", str(reference.fasta), "-g", str(genes), "-n", str(_CONSEQUENCES_A_SITE), "-v", "0")
            mode = ("-p", "a") if haplotype_aware else ("-l",)
            plain = ("-e", _OTHER_ALLELES) if any(part.odd for part in parts) else ()
            arguments = (*genome, *mode, *plain, "-Ou", "-o", str(found))
            csq = partial(_csq, folder=chunk.file(".csq"), log=log, timings=timings)
            try:
                try:
                    csq(*arguments, str(current))
                except ToolFailed as error:
                    if "is not sorted" not in error.said:
                        raise
                    current = _arrange(chunk, current, reference=reference, log=log)
                    csq(*arguments, str(current))
                current = _replace(current, found)
                called = True
                if haplotype_aware:
                    alone = chunk.file(".alone.bcf")
                    csq(*genome, "-l", "-i", _UNCARRIED, "-Ou", "-o", str(alone), str(current))
                    current = _replace(current, alone)
            except ToolFailed as error:
                if "No usable transcripts" not in error.said:
                    raise
        if not called and not in_order(current):
            current = _arrange(chunk, current, reference=reference, log=log)
        for number, source in enumerate(reference.sources):
            matched = chunk.file(f".source{number}.bcf")
            columns = ",".join(("CHROM", "POS", "REF", "ALT", "+ID", *source.columns.values()))
            step(
                "sources", "annotate", "-a", str(source.path), "-h", str(source.header), "-c", columns,
                "-Ou", "-o", str(matched), str(current),
            )  # fmt: skip
            current = _replace(current, matched)
        if renames:
            rename_contigs(current, {new: old for old, new in renames.items()})
        vcf = chunk.file(".records.vcf.gz")
        step("write", "view", f"-Oz{COMPRESSION_LEVEL}", "-o", str(vcf), str(current))
        header = bcf_header(current)
    except ToolFailed as error:
        raise EngineError(f"The annotation engine failed: {error}") from error
    began = time.perf_counter()
    table = chunk_table(
        current,
        chunk.file(".parquet"),
        source_columns=reference.source_columns,
        work_dir=work_dir,
        whole=whole,
    )
    timings["table"] += time.perf_counter() - began
    current.unlink()
    return Annotated(header, vcf, table, timings)


def _csq(*arguments: str, folder: Path, log: Path, timings: dict[str, float]) -> None:
    """Run csq in a process of its own: after an error it remembers its last position, and would refuse sorted input."""
    began = time.perf_counter()
    child = Children(at_once=1, folder=folder)
    child.start("calling consequences", partial(bcftools, "csq", "--no-version", *arguments, log=log), lambda _: None)
    child.finish()
    timings["consequences"] += time.perf_counter() - began


def _arrange(chunk: Chunk, current: Path, *, reference: Reference, log: Path) -> Path:
    """Sort what left-alignment moved farther than norm looks.

    :raises LeftOfCut: when a record turns out to lie before the cut where the chunk begins.
    """
    arranged = chunk.file(".arranged.bcf")
    _sort(current, arranged, log=log)
    if lies_left_of_cut(chunk, first_record(arranged), reference=reference):
        raise LeftOfCut("Left-alignment led a record over a cut.")
    return _replace(current, arranged)


def lies_left_of_cut(chunk: Chunk, first: tuple[bytes, int] | None, *, reference: Reference) -> bool:
    """Whether the first record of a chunk lies before the cut point where the chunk should begin."""
    if first is None or chunk.starts_at is None:
        return False
    contig, cut = chunk.starts_at
    own = chunk.renames.get(first[0], first[0]).decode()
    return own == reference.contigs[contig].name and first[1] < cut


def _sort(source: Path, target: Path, *, log: Path) -> None:
    bcftools("sort", "-Ou", "-T", str(target.with_suffix(".sorting")), "-o", str(target), str(source), log=log)


def _replace(old: Path, new: Path) -> Path:
    old.unlink()
    return new


def _genes(parts: Sequence[Chunk], *, reference: Reference) -> Path | None:
    """The part of the reference's GFF that lies around the records; None when there is no transcript."""
    if not any(part.stretches for part in parts):
        return None
    if reference.gff.stat().st_size < _WHOLE_GFF_BYTES:
        return reference.gff
    import pysam

    stretches: dict[int, set[int]] = {}
    for part in parts:
        for contig, held in part.stretches.items():
            stretches.setdefault(contig, set()).update(held)
    path = parts[0].file(".gff3")
    any_transcript = False
    with pysam.TabixFile(str(reference.gff)) as gff, path.open("w") as out:
        on_file = set(gff.contigs)
        out.write("##gff-version 3\n")
        for contig, held in stretches.items():
            name = reference.contigs[contig].name
            if name not in on_file:
                continue
            for start, end in _ranges(held, reference.cut_points(name)):
                for line in gff.fetch(name, start, end):
                    any_transcript = any_transcript or "ID=transcript:" in line
                    out.write(line)
                    out.write("\n")
    return path if any_transcript else None


def _ranges(held: set[int], cuts: Sequence[int]) -> list[tuple[int, int | None]]:
    """Half-open 0-based ranges that cover these stretches and one more on either side, where alignment may lead."""
    wanted = sorted(
        {near for stretch in held for near in (stretch - 1, stretch, stretch + 1) if 0 <= near <= len(cuts)}
    )
    ranges: list[tuple[int, int | None]] = []
    previous = -2
    for stretch in wanted:
        end = cuts[stretch] - 1 if stretch < len(cuts) else None
        if stretch == previous + 1:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((cuts[stretch - 1] - 1 if stretch else 0, end))
        previous = stretch
    return ranges
