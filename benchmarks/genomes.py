"""What the engine is measured on: the human files, or a seeded genome of like shape; and variants on either."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pysam

from gas.references import NewSource, Reference, ReferenceStore

_FIELDS = ("GMAF", "CLNSIG", "AFR", "EAS", "EUR")
_COPIES = 9
#: Known variants on each contig of the seeded genome.
ON_A_CONTIG = 115_000
_REGION = (25_000_000, 26_000_000)
"""Where the human files have bases; the rest of the chromosome is N."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Files as a person has them, and the reference that ``gas reference add`` makes of them."""

    label: str
    fasta: Path
    gff: Path
    source: Path
    """A bgzip VCF with its index."""
    fields: tuple[str, ...]
    reference: Reference


def human(folder: Path, work: Path) -> Ground:
    """The real megabase of chromosome 21 with its genes and 115,435 variants, nine times over as nine contigs."""
    start, end = _REGION
    with gzip.open(folder / "GRCh38.chr21.fa.gz", "rt") as text:
        bases = "".join(line.strip() for line in text if not line.startswith(">"))[start:end]
    genes = []
    with gzip.open(folder / "ensembl84.chr21.gff3.gz", "rt") as text:
        for line in text:
            fields = line.split("\t")
            if len(fields) == 9 and int(fields[3]) > start and int(fields[4]) <= end:
                fields[3:5] = str(int(fields[3]) - start), str(int(fields[4]) - start)
                genes.append(fields)
    with gzip.open(folder / "dbsnp.vcf.gz", "rt") as text:
        lines = text.read().splitlines()
    declared = [line for line in lines if line.startswith("##INFO")]
    records = []
    for line in lines:
        if not line.startswith("#"):
            _, pos, rest = line.split("\t", 2)
            records.append((int(pos) - start, rest))
    return _install("human, 9 x chr21:25-26M", _Pattern(bases, genes, declared, records), work)


def seeded(work: Path, *, copies: int = _COPIES) -> Ground:
    """A seeded megabase with 25 genes of 12 exons and 115,000 known variants, many times over as many contigs."""
    rng = random.Random(21)
    bases, genes = _genes(rng)
    declared = [f'##INFO=<ID={field},Number=.,Type=String,Description="{field}">' for field in _FIELDS]
    return _install("seeded genome", _Pattern(bases, genes, declared, list(_known(rng, bases))), work, copies=copies)


@dataclass(frozen=True)
class _Pattern:
    """One contig's worth; ``genes`` are GFF columns, ``records`` are (POS, the columns from ID on)."""

    bases: str
    genes: list[list[str]]
    declared: list[str]
    records: list[tuple[int, str]]


def _install(label: str, pattern: _Pattern, work: Path, *, copies: int = _COPIES) -> Ground:
    contigs = [f"c{copy}" for copy in range(1, copies + 1)]
    fasta, gff, source = work / "genome.fa", work / "genes.gff3", work / "known.vcf.gz"
    with fasta.open("w") as out:
        for contig in contigs:
            out.write(f">{contig}\n")
            out.writelines(f"{pattern.bases[i : i + 60]}\n" for i in range(0, len(pattern.bases), 60))
    with gff.open("w") as out:
        out.write("##gff-version 3\n")
        for contig in contigs:
            for gene in pattern.genes:
                named = re.sub(r"((?:gene|transcript|CDS):[\w.]+)", rf"\1{contig}", gene[8].rstrip())
                out.write("\t".join([contig, *gene[1:8], named]) + "\n")
    declared = [*(f"##contig=<ID={c},length={len(pattern.bases)}>" for c in contigs), *pattern.declared]
    _write(source, declared, ((c, pos, rest) for c in contigs for pos, rest in pattern.records))
    pysam.tabix_index(str(source), preset="vcf", force=True)
    reference = ReferenceStore(work / "references").add(
        "bench", fasta=fasta, gff=gff, sources=[NewSource(name="dbsnp", path=source, info_fields=_FIELDS)]
    )
    return Ground(label=label, fasta=fasta, gff=gff, source=source, fields=_FIELDS, reference=reference)


def variants(ground: Ground, count: int, target: Path) -> Path:
    """The first ``count`` of the ground's variants as a file that nobody has annotated: no IDs, DP and AF alone."""
    rng = random.Random(count)
    declared = [
        *(f"##contig=<ID={contig.name}>" for contig in ground.reference.contigs),
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">',
    ]

    def records() -> Iterator[tuple[str, int, str]]:
        with gzip.open(ground.source, "rt") as text:
            for line in islice((line for line in text if not line.startswith("#")), count):
                contig, pos, _, ref, alt, _ = line.split("\t", 5)
                frequencies = ",".join(f"{rng.random():.3f}" for _ in alt.split(","))
                info = f"DP={rng.randrange(5, 60)};AF={frequencies}"
                yield contig, int(pos), f".\t{ref}\t{alt}\t{rng.randrange(10, 99)}\tPASS\t{info}"

    return _write(target, declared, records())


def _write(target: Path, declared: list[str], records: Iterable[tuple[str, int, str]]) -> Path:
    header = ["##fileformat=VCFv4.2", *declared, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines = [*header, *(f"{contig}\t{pos}\t{rest}" for contig, pos, rest in records)]
    with pysam.BGZFile(str(target), "w") as out:
        out.write(("\n".join(lines) + "\n").encode())
    return target


def _genes(rng: random.Random) -> tuple[str, list[list[str]]]:
    """Genes of 12 exons of 50 codons, in two transcripts each, over random bases."""
    bases = rng.choices("ACGT", k=1_000_000)
    gff: list[list[str]] = []

    def line(kind: str, start: int, end: int, attributes: str, *, phase: str = ".") -> None:
        gff.append(["", "seeded", kind, str(start + 1), str(end + 1), ".", "+", phase, attributes])

    for number in range(25):
        start = 10_000 + number * 39_000
        exons = [(start + i * 2_400, start + i * 2_400 + 149) for i in range(12)]  # 0-based, the last base included
        coding = "".join(["ATG", *(_codon(rng) for _ in range(12 * 50 - 2)), "TAA"])
        for exon, (first, last) in enumerate(exons):
            bases[first : last + 1] = coding[exon * 150 : exon * 150 + 150]
        line("gene", exons[0][0], exons[-1][1], f"ID=gene:G{number};Name=G{number};biotype=protein_coding")
        for transcript, used in ((f"G{number}a", exons), (f"G{number}b", exons[:8])):
            parent = f"Parent=transcript:{transcript}"
            described = f"ID=transcript:{transcript};Parent=gene:G{number};biotype=protein_coding"
            line("mRNA", used[0][0], used[-1][1], described)
            for first, last in used:
                line("exon", first, last, parent)
                line("CDS", first, last, f"ID=CDS:{transcript};{parent}", phase="0")
    return "".join(bases), gff


def _codon(rng: random.Random) -> str:
    while True:
        codon = "".join(rng.choices("ACGT", k=3))
        if codon not in ("TAA", "TAG", "TGA"):
            return codon


def _known(rng: random.Random, bases: str) -> Iterator[tuple[int, str]]:
    """Like dbSNP: nine in ten SNVs, the others indels; some with two ALTs, four in ten with frequencies."""
    for number, place in enumerate(sorted(rng.sample(range(10, len(bases) - 20), ON_A_CONTIG))):
        size = rng.randrange(2, 7) if number % 10 == 0 else 1
        ref = bases[place : place + size]
        alts = rng.sample([base for base in "ACGT" if base != ref[0]], 2 if number % 25 == 1 else 1)
        if size > 1:
            alts = [ref[0]]
            if number % 20 == 0:
                ref, alts = ref[0], [ref]
        said = f"{alts[0]}:{rng.random():.4f}"
        info = f"GMAF={said};AFR={said};EAS={said};EUR={said}" if rng.random() < 0.4 else "."
        yield place + 1, f"rs{place}\t{ref}\t{','.join(alts)}\t.\t.\t{info}"
