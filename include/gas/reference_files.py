"""Checks the files of a new reference and writes them in the form in which the engine reads them.

Everything is streamed: a genome of several gigabases or a source of a billion records needs no more memory than a
virus. (Gene models are the exception: the 210,000 transcripts of a human annotation took 730 MB.)
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pysam
from pysam import bcftools
from pysam.utils import SamtoolsError

from gas import contig_names, gff
from gas.errors import ReferenceProblem
from gas.references import NewSource, Source

#: Bases kept clear on either side of a gene when work is split: ``csq`` looks 8 bases into an intron for splice
#: regions and pads the sequence by 10 (bcftools 1.24, csq.c).
CUT_MARGIN = 20
#: Bases between two cuts where no gene is near.
CUT_SPACING = 100_000

_BLOCK = 1 << 22
_GZIP_MAGIC = b"\x1f\x8b"
#: How each bgzip block begins (gzip with an extra field), the name of that field at byte 12, and the block that ends
#: every whole file (SAM specification, 4.1).
_BGZF_MAGIC, _BGZF_FIELD = b"\x1f\x8b\x08\x04", b"BC"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_LONGEST_TBI = 1 << 29  # positions beyond this need a CSI index
_HEADER_LINE = re.compile(rb"^>[^\n]*\n?", re.MULTILINE)
#: IUPAC nucleotide codes, gaps, and line ends.
_NUCLEOTIDES = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv-*.\r\n"
_DESCRIPTION = re.compile(r'Description="((?:[^"\\]|\\.)*)"')
_STOPS = frozenset({"TAA", "TAG", "TGA"})
_SHOWN = 5
#: ALT alleles that no variant can be matched by: none, ``*``, symbolic ones and breakends.
_UNMATCHABLE = 'ALT="." || ALT~"[][<*]"'
_BCFTOOLS = """
import sys
from pysam import SamtoolsError, bcftools
command = getattr(bcftools, sys.argv[1])
try:
    command(*sys.argv[2:], catch_stdout=False)
except SamtoolsError as error:
    sys.exit(str(error))
sys.stderr.write(command.get_messages() or "")
"""


@dataclass(frozen=True, kw_only=True)
class Genome:
    """An installed FASTA."""

    path: Path
    contigs: Mapping[str, int]
    """Names and lengths in bases, in the file's order."""
    aliases: Mapping[str, str]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Genes:
    """Installed gene models, and where between them work may be split."""

    sha256: str
    transcripts: int
    """Coding transcripts."""
    genes: int
    cuts: Mapping[str, Sequence[int]]
    notes: tuple[str, ...]


def install_genome(fasta: Path, folder: Path) -> Genome:
    """Write ``genome.fa.gz`` (bgzip) and its two indexes into ``folder``.

    :raises ReferenceProblem: when the file cannot be read, is no FASTA of nucleotides, or names a contig twice.
    """
    target = folder / "genome.fa.gz"
    digest = hashlib.sha256()
    bgzip, packed = _packing(fasta)
    with _opened(fasta) as raw:
        if bgzip:
            with target.open("wb") as copy:
                for block in _blocks(raw, digest):
                    copy.write(block)
            with pysam.BGZFile(str(target), "rb", None) as text:
                names = _check_sequence(fasta.name, iter(lambda: text.read(_BLOCK), b""))
        else:
            blocks = _blocks(raw, digest)
            if packed:
                blocks = _inflated(blocks, name=fasta.name)
            with pysam.BGZFile(str(target), "wb", None) as out:
                names = _check_sequence(fasta.name, _copied(blocks, out))
    try:
        pysam.faidx(str(target))
    except SamtoolsError as error:
        raise ReferenceProblem(
            f"{fasta.name} cannot be indexed: every line of a sequence but the last must have the same length, and no "
            f"blank line may lie inside one ({_last_line(error)})."
        ) from error
    contigs = _read_fai(Path(f"{target}.fai"))
    if empty := names - contigs.keys():
        raise ReferenceProblem(f"{fasta.name}: the sequence {min(empty)!r} is empty.")
    return Genome(path=target, contigs=contigs, aliases=contig_names.aliases(contigs), sha256=digest.hexdigest())


def install_genes(path: Path, folder: Path, *, genome: Genome) -> Genes:
    """Write ``genes.gff3.gz`` and its index into ``folder``, in the form ``csq`` reads, and let ``csq`` read it once.

    :raises ReferenceProblem: when the file is no GFF3, has no coding transcript, or belongs to another genome.
    """
    _packing(path)
    sha256 = _sha256(path)
    models = gff.read(path, contigs=genome.contigs, aliases=genome.aliases)
    known = {c for c in models.contigs if genome.aliases.get(c, c) in genome.contigs}
    if models.contigs and not known:
        raise ReferenceProblem(
            f"The contigs do not match: {path.name} has {_some(models.contigs)}, "
            f"the genome has {_some(genome.contigs)}."
        )
    if not models.coding:
        reasons = "".join(f"; {count:,} are {reason}" for reason, count in models.left_out.items())
        raise ReferenceProblem(
            f"{path.name} has no coding transcript (a CDS whose parents lead to a gene){reasons}. Without one no "
            "consequence can be found: give the GFF3 of Ensembl or NCBI for this genome."
        )
    _check_translation(path.name, models, genome)
    target = folder / "genes.gff3.gz"
    with pysam.BGZFile(str(target), "wb", None) as out:
        for text in gff.written(models, order=genome.contigs):
            out.write(text.encode())
    pysam.tabix_index(str(target), preset="gff", csi=max(genome.contigs.values()) >= _LONGEST_TBI)
    _check_with_csq(target, folder, genome=genome)
    notes = [f"{count:,} transcripts left out: {reason}." for reason, count in sorted(models.left_out.items())]
    if strange := models.contigs - known:
        notes.append(f"Genes left out on contigs that the genome lacks: {_some(strange)}.")
    notes += [
        f"The ribosome slips in {gene} at {contig}:{position:,}; csq takes the place for an intron, and also reports "
        "splice sites and splice regions within three bases of it, which are none."
        for gene, contig, position in models.slippage
    ]
    return Genes(
        sha256=sha256,
        transcripts=models.coding,
        genes=len(models.genes),
        cuts=gff.cut_points(models, lengths=genome.contigs, margin=CUT_MARGIN, spacing=CUT_SPACING),
        notes=tuple(notes),
    )


def install_source(source: NewSource, folder: Path, *, genome: Genome) -> tuple[Source, tuple[str, ...]]:
    """Write ``NAME.tsv.gz``, its index and ``NAME.hdr`` into ``folder``: alleles split and left-aligned.

    :return: the source, and notes on what was left out.
    :raises ReferenceProblem: when the file cannot be read, lacks a field, or belongs to another genome.
    """
    sha256 = _sha256(source.path)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        packed = _packed(source.path, Path(scratch))
        header = _header(packed, name=source.path.name)
        if missing := [field for field in source.info_fields if field not in header.info]:
            raise ReferenceProblem(
                f"The source {source.name!r} has no INFO field {', '.join(missing)}; it has {_some(header.info, 30)}."
            )
        version, date = _release(header)
        installed = Source(
            name=source.name,
            path=folder / f"{source.name}.tsv.gz",
            info_fields=source.info_fields,
            version=version,
            date=date,
            sha256=sha256,
        )
        installed.header.write_text("".join(_info_lines(installed, header)), encoding="utf-8")
        vcf, contigs = _streamable(packed, header, Path(scratch), given=source.path)
        known = {name: own for name in contigs if (own := genome.aliases.get(name, name)) in genome.contigs}
        if not known:
            raise ReferenceProblem(
                f"The contigs do not match: the source {source.name!r} has {_some(contigs)}, the genome has "
                f"{_some(genome.contigs)}."
            )
        strange = contigs - known.keys()
        spare = set(header.info) - set(source.info_fields)
        view = ("view", "-G", "-Ou", *(_targets(known, genome, Path(scratch)) if strange else ()), str(vcf))
        changes = (*_removed(source, spare), *_renamed(known, Path(scratch)))
        steps = [view, ("annotate", "-Ou", *changes, "-")] if changes else [view]
        taken, refused = _tabulate(installed, steps, Path(scratch), genome=genome)
    if refused > taken:
        raise ReferenceProblem(
            f"The source {source.name!r} belongs to another genome or genome build: the REF of {refused:,} of its "
            f"{taken + refused:,} records is not what the genome has there."
        )
    if not taken:
        raise ReferenceProblem(f"The source {source.name!r} has no record that a variant could match.")
    notes = []
    if strange:
        notes.append(f"{source.name}: records left out on contigs that the genome lacks: {_some(strange)}.")
    if refused:
        notes.append(f"{source.name}: {refused:,} records left out whose REF is not what the genome has there.")
    return installed, tuple(notes)


# --- the genome -------------------------------------------------------------------------------------------------------


def _inflated(blocks: Iterable[bytes], *, name: str) -> Iterator[bytes]:
    """The text of a gzip file, which may be several streams in a row, in pieces of bounded size."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    begun = False
    try:
        for block in blocks:
            pending = block
            while pending:
                begun = True
                yield inflater.decompress(pending, _BLOCK)
                pending = inflater.unconsumed_tail
                if inflater.eof:
                    pending, begun = inflater.unused_data, False
                    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    except zlib.error as error:
        raise ReferenceProblem(f"{name} cannot be read: {error}.") from error
    if begun:
        raise ReferenceProblem(f"{name} is cut off: its gzip stream has no end.")


def _copied(blocks: Iterable[bytes], out: pysam.BGZFile) -> Iterator[bytes]:
    for block in blocks:
        out.write(block)
        yield block


def _check_sequence(name: str, blocks: Iterable[bytes]) -> set[str]:
    """See that the text is FASTA, each sequence named once and of nucleotides; the names."""
    names: set[str] = set()
    held = b""  # the begin of a header line that the end of a block cut off
    start = True
    for block in blocks:
        text = held + block
        if start and text and not text.startswith(b">"):
            raise ReferenceProblem(f"{name} is no FASTA file: it does not begin with '>'.")
        start = start and not text
        last_line = text.rfind(b"\n") + 1
        held = text[last_line:] if text[last_line : last_line + 1] == b">" else b""
        text = text[: len(text) - len(held)]
        for header in _HEADER_LINE.findall(text):
            contig = (header[1:].split() or [b""])[0].decode(errors="replace")
            if not contig:
                raise ReferenceProblem(f"{name} has a sequence without a name.")
            if contig in names:
                raise ReferenceProblem(f"{name} names the sequence {contig!r} twice.")
            names.add(contig)
        if strange := _HEADER_LINE.sub(b"", text).translate(None, _NUCLEOTIDES):
            raise ReferenceProblem(f"{name} is no FASTA file of nucleotides: a sequence holds {chr(strange[0])!r}.")
    return names


def _read_fai(fai: Path) -> dict[str, int]:
    rows = (line.split("\t") for line in fai.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if int(row[1])}


# --- the genes --------------------------------------------------------------------------------------------------------


def _check_translation(name: str, models: gff.GeneModels, genome: Genome, *, sample: int = 200) -> None:
    """Refuse genes that do not translate on this genome: most of a sample would have a stop in the middle."""
    coding = [t for t in models.transcripts if t.cds]
    chosen = coding[:: -(-len(coding) // sample)]
    with pysam.FastaFile(str(genome.path)) as bases:
        broken = sum(_has_inner_stop(t, bases) for t in chosen)
    if broken * 2 > len(chosen):
        raise ReferenceProblem(
            f"The genes of {name} do not fit the genome: {broken} of {len(chosen)} proteins looked at would have a "
            "stop codon in the middle. They belong to another genome or genome build."
        )


def _has_inner_stop(transcript: gff.Transcript, bases: Any) -> bool:
    sequence = "".join(bases.fetch(transcript.gene.contig, part.start - 1, part.end).upper() for part in transcript.cds)
    phase = transcript.cds[0].phase
    if transcript.gene.strand == "-":
        sequence = sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        phase = transcript.cds[-1].phase
    return any(sequence[i : i + 3] in _STOPS for i in range(phase, len(sequence) - 5, 3))


def _check_with_csq(genes: Path, folder: Path, *, genome: Genome) -> None:
    """Run ``csq`` on the first base of the genome, in a child process: it stops, or crashes, on genes it cannot use."""
    contig = next(iter(genome.contigs))
    with pysam.FastaFile(str(genome.path)) as bases:
        base = bases.fetch(contig, 0, 1).upper()
    probe = folder / ".probe.vcf"
    probe.write_text(
        f"##fileformat=VCFv4.3\n##contig=<ID={contig}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"{contig}\t1\t.\t{base}\t{'C' if base == 'A' else 'A'}\t.\t.\t.\n"
    )
    try:
        command = ["csq", "-l", "-f", str(genome.path), "-g", str(genes), "-o", str(folder / ".probe.out"), str(probe)]
        run = subprocess.run(_bcftools(*command), capture_output=True, check=False)
        if run.returncode:
            raise ReferenceProblem(f"csq cannot use these genes: {_last_line(run.stderr.decode(errors='replace'))}")
    finally:
        for left in folder.glob(".probe.*"):
            left.unlink()


# --- a source ---------------------------------------------------------------------------------------------------------


def _packed(path: Path, scratch: Path) -> Path:
    """The file itself where it is bgzip (as BCF is), else a bgzip copy: nothing else can be indexed."""
    bgzip, packed = _packing(path)
    if bgzip:
        return path
    target = scratch / "input.vcf.gz"
    try:
        with (
            gzip.open(path) if packed else path.open("rb") as text,
            pysam.BGZFile(str(target), "wb", None) as out,
        ):
            while block := text.read(_BLOCK):
                out.write(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ReferenceProblem(f"{path.name} cannot be read: {error}.") from error
    return target


def _header(path: Path, *, name: str) -> Any:
    """The header of a VCF or BCF.

    :raises ReferenceProblem: when it is neither.
    """
    try:
        with _quiet(), pysam.VariantFile(str(path)) as vcf:
            return vcf.header.copy()
    except (OSError, ValueError) as error:
        raise ReferenceProblem(f"{name} cannot be read as VCF: {error}.") from error


def _release(header: Any) -> tuple[str, str]:
    """What a VCF's header says of its release and date, in the words of ClinVar, dbSNP, gnomAD and the like."""
    said: dict[str, str] = {}
    for record in header.records:
        if record.type == "GENERIC" and record.value:
            said.setdefault(record.key.lower(), record.value.strip().strip('"'))
    date = said.get("filedate") or said.get("file_date") or said.get("date") or ""
    for pattern in ("%Y%m%d", "%Y-%m-%d", "%d/%m/%Y", "%Y/%m/%d"):
        try:
            date = datetime.strptime(date, pattern).date().isoformat()  # noqa: DTZ007 - a day, no time of it
        except ValueError:
            continue
        break
    name, build = said.get("source", ""), said.get("dbsnp_build_id", "")
    release = said.get("version") or said.get("release") or ""
    words = [name or ("dbSNP" if build else ""), f"build {build}" if build else release or (date if name else "")]
    return " ".join(filter(None, words)), date


def _info_lines(source: Source, header: Any) -> Iterator[str]:
    """The header lines of the columns. A number that goes by allele is 1 for each, as alleles are split."""
    for field, column in source.columns.items():
        of = header.info[field]
        number = of.number if of.number in (0, 1, "A") else "."
        quoted = _DESCRIPTION.search(str(of.record))  # of.description loses a quote at the end
        said = quoted[1].replace('\\"', "'").replace("\\", "") if quoted else field
        release = f" ({source.name} {source.version})" if source.version else f" ({source.name})"
        yield f'##INFO=<ID={column},Number={number},Type={of.type},Description="{said}{release}">\n'


def _streamable(path: Path, header: Any, scratch: Path, *, given: Path) -> tuple[Path, set[str]]:
    """A form of the bgzip file that can be streamed through bcftools, and the contigs it has records on.

    The person's own folder is only read: an index or a header that is missing is made in ``scratch``.
    """
    with _quiet(), pysam.VariantFile(str(path)) as vcf:
        if vcf.format == "BCF":
            return path, set(header.contigs)
    try:
        index = next((i for i in (Path(f"{path}.tbi"), Path(f"{path}.csi")) if i.exists()), None)
        if index is None:
            index = scratch / "input.csi"
            pysam.tabix_index(str(path), preset="vcf", index=str(index), csi=True)
        with pysam.TabixFile(str(path), index=str(index)) as table:
            contigs = set(table.contigs)
    except (OSError, ValueError, SamtoolsError) as error:
        raise ReferenceProblem(
            f"{given.name} cannot be indexed: its records must be sorted by contig and position (bcftools sort does "
            f"it), and the file whole ({_last_line(error)})."
        ) from error
    if contigs - set(header.contigs):
        path = _with_contigs(path, contigs | set(header.contigs), scratch)
    return path, contigs


def _with_contigs(path: Path, contigs: Iterable[str], scratch: Path) -> Path:
    """The same VCF with a ``##contig`` line for every contig: BCF has no other place for their names."""
    fai = scratch / "input.fai"
    fai.write_text("".join(f"{name}\t{(1 << 31) - 1}\t0\t1\t2\n" for name in sorted(contigs)))
    target = scratch / "contigs.vcf.gz"
    bcftools.reheader("-f", str(fai), "-o", str(target), str(path), catch_stdout=False)
    return target


def _targets(known: Mapping[str, str], genome: Genome, scratch: Path) -> tuple[str, ...]:
    """The arguments of ``view`` that leave only records on these contigs."""
    path = scratch / "targets"
    path.write_text("".join(f"{name}\t1\t{genome.contigs[own]}\n" for name, own in known.items()))
    return ("-T", str(path))


def _removed(source: NewSource, spare: set[str]) -> tuple[str, ...]:
    """The arguments of ``annotate`` that leave only the chosen INFO fields; it would refuse to remove nothing."""
    if not spare:
        return ()
    return ("-x", ",".join(f"^INFO/{field}" for field in source.info_fields) or "INFO")


def _renamed(known: Mapping[str, str], scratch: Path) -> tuple[str, ...]:
    """The arguments of ``annotate`` that give the contigs the genome's names."""
    path = scratch / "chromosomes"
    path.write_text("".join(f"{name}\t{own}\n" for name, own in known.items() if name != own))
    return ("--rename-chrs", str(path)) if path.stat().st_size else ()


def _tabulate(source: Source, steps: Sequence[Sequence[str]], scratch: Path, *, genome: Genome) -> tuple[int, int]:
    """Stream the source into its table; how many rows it has, and how many records were left out for their REF."""
    columns = "".join(f"\\t%INFO/{field}" for field in source.info_fields)
    before = (*steps, ("norm", "-Ou", "-m", "-any", "-c", "x", "-f", str(genome.path), "-"))
    in_order = ("sort", "-Ou", "-m", "256M", "-T", str(scratch / "sort"), "-")
    # /dev/stdout: without -o, query closes standard output a second time and aborts (pysam 0.24.1).
    line = f"%CHROM\\t%POS\\t%REF\\t%ALT\\t%ID{columns}\\n"
    table = ("query", "-o", "/dev/stdout", "-e", _UNMATCHABLE, "-f", line, "-")
    csi = max(genome.contigs.values()) >= _LONGEST_TBI
    for commands in ((*before, table), (*before, in_order, table)):
        rows, said = _pipe(source, commands, scratch)
        if not rows:
            break
        try:
            pysam.tabix_index(str(source.path), seq_col=0, start_col=1, end_col=1, csi=csi, force=True)
            break
        except (OSError, SamtoolsError):
            if in_order in commands:
                raise
            # Left-aligning moved a record past more of its neighbours than norm keeps in sight: sort, and again.
    return rows, _mismatches(said)


def _pipe(source: Source, steps: Sequence[Sequence[str]], scratch: Path) -> tuple[int, str]:
    """Run bcftools commands, each reading what the one before writes, into the table; its rows, and what they said.

    :raises ReferenceProblem: with what the first failing one said.
    """
    running: list[subprocess.Popen[bytes]] = []
    logs = [scratch / f"log{number}" for number in range(len(steps))]
    rows = 0
    try:
        for step, log in zip(steps, logs, strict=True):
            before = running[-1].stdout if running else None
            with log.open("wb") as errors:
                command = subprocess.Popen(
                    _bcftools(*step), stdin=before or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
                )
            running.append(command)
            if before is not None:
                before.close()  # the command has its own
        last = running[-1].stdout
        with pysam.BGZFile(str(source.path), "wb", None) as out:
            while last is not None and (block := last.read(_BLOCK)):
                rows += block.count(b"\n")
                out.write(block)
    finally:
        for process in running:
            if process.stdout is not None:
                process.stdout.close()  # a command that still writes ends by SIGPIPE
        codes = [process.wait() for process in running]
    for code, log in zip(codes, logs, strict=True):
        if code:
            raise ReferenceProblem(
                f"The source {source.name!r} cannot be read: {_last_line(log.read_text(errors='replace'))}"
            )
    return rows, "".join(log.read_text(errors="replace") for log in logs)


def _mismatches(said: str) -> int:
    """How many records ``norm -c x`` left out because of their REF (its last line: names, then numbers)."""
    match = re.search(r"^Lines\s+(\S+):\s+(\S+)$", said, re.MULTILINE)
    if match is None:
        return 0
    return int(dict(zip(match[1].split("/"), match[2].split("/"), strict=True)).get("mismatch_removed", 0))


# --- small things -----------------------------------------------------------------------------------------------------


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep htslib from writing to standard error, for instance that a file has no index: it needs none here."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


def _bcftools(*arguments: str) -> list[str]:
    """The command line of a bcftools command in a process of its own, where a crash harms nobody."""
    return [sys.executable, "-c", _BCFTOOLS, *arguments]


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise ReferenceProblem(f"{path} cannot be read: {error.strerror}.") from error


def _packing(path: Path) -> tuple[bool, bool]:
    """Whether a file is bgzip, and whether it is packed at all.

    :raises ReferenceProblem: when it is empty, or is bgzip and was cut off between two blocks, which nobody else sees.
    """
    with _opened(path) as raw:
        head = raw.read(len(_BGZF_END))
        if not head:
            raise ReferenceProblem(f"{path.name} is empty.")
        bgzip = head.startswith(_BGZF_MAGIC) and head[12:14] == _BGZF_FIELD
        if bgzip:
            raw.seek(-min(len(_BGZF_END), len(head)), os.SEEK_END)
            if raw.read() != _BGZF_END:
                raise ReferenceProblem(f"{path.name} is cut off: the block that ends a bgzip file is missing.")
    return bgzip, head.startswith(_GZIP_MAGIC)


def _blocks(raw: IO[bytes], digest: Any) -> Iterator[bytes]:
    while block := raw.read(_BLOCK):
        digest.update(block)
        yield block


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with _opened(path) as raw:
        for _ in _blocks(raw, digest):
            pass
    return digest.hexdigest()


def _last_line(error: object) -> str:
    """The last thing a tool said that is not empty."""
    lines = [line for line in str(error).replace("\\n", "\n").splitlines() if line.strip(" '\"")]
    return lines[-1].strip(" '\"") if lines else "no reason given"


def _some(names: Iterable[str], shown: int = _SHOWN) -> str:
    """The first few of these names."""
    ordered = sorted(names)
    more = f" and {len(ordered) - shown:,} more" if len(ordered) > shown else ""
    return (", ".join(ordered[:shown]) or "none") + more
