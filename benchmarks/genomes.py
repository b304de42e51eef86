"""What the engine is measured on: the human files, or a seeded genome of like shape; and variants on either."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysam

from gas.references import NewSource, Reference, ReferenceStore

_FIELDS = ("GMAF", "CLNSIG", "AFR", "EAS", "EUR")
_REGION = (25_000_000, 26_000_000)
"""Where the human files have bases; the rest of the chromosome is N."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Files as a person has them, and the reference that ``gas reference add`` makes of them."""

    label: str
    contig: str
    bases: str
    """From ``start`` on."""
    start: int
    """0-based place of the first of ``bases`` in the contig."""
    fasta: Path
    gff: Path
    source: Path
    """A bgzip VCF with its index."""
    fields: tuple[str, ...]
    reference: Reference


def human(folder: Path, work: Path) -> Ground:
    """The real files of chromosome 21, as ``folder`` holds them."""
    fasta, gff = folder / "GRCh38.chr21.fa.gz", folder / "ensembl84.chr21.gff3.gz"
    source = folder / "dbsnp.vcf.gz"
    with gzip.open(fasta, "rt") as text:
        bases = "".join(line.strip() for line in text if not line.startswith(">"))
    start, end = _REGION
    return _install("human", "21", bases[start:end], start, fasta, gff, source, work)


def seeded(work: Path) -> Ground:
    """A contig of 1.2 Mb with 30 genes of many exons and 115,000 known variants, like the human region."""
    rng = random.Random(21)
    bases, gff = _genes(rng)
    fasta, genes, plain = work / "seeded.fa", work / "seeded.gff3", work / "known.vcf"
    fasta.write_text(">21\n" + "\n".join(bases[i : i + 60] for i in range(0, len(bases), 60)) + "\n")
    genes.write_text("\n".join(gff) + "\n")
    with plain.open("w") as out:
        out.writelines(f"{line}\n" for line in _known(rng, bases))
    source = work / "known.vcf.gz"
    pysam.tabix_compress(str(plain), str(source), force=True)
    pysam.tabix_index(str(source), preset="vcf", force=True)
    return _install("seeded genome", "21", bases, 0, fasta, genes, source, work)


def _install(
    label: str, contig: str, bases: str, start: int, fasta: Path, gff: Path, source: Path, work: Path
) -> Ground:
    reference = ReferenceStore(work / "references").add(
        "bench", fasta=fasta, gff=gff, sources=[NewSource(name="dbsnp", path=source, info_fields=_FIELDS)]
    )
    return Ground(
        label=label, contig=contig, bases=bases, start=start, fasta=fasta, gff=gff, source=source, fields=_FIELDS,
        reference=reference,
    )  # fmt: skip


def variants(ground: Ground, count: int, target: Path) -> Path:
    """A bgzip VCF of ``count`` sorted, seeded records without samples: 88 % SNVs, 8 % indels, 4 % with two ALTs."""
    rng = random.Random(count)
    places = sorted(rng.choices(range(10, len(ground.bases) - 60), k=count))
    with pysam.BGZFile(str(target), "w") as out:
        out.write(
            (
                f"##fileformat=VCFv4.2\n##contig=<ID={ground.contig}>\n"
                '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
                '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">\n'
                '##FILTER=<ID=q10,Description="Quality below 10">\n'
                "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
            ).encode()
        )
        lines = []
        for number, place in enumerate(places):
            kind = number % 25
            size = rng.randrange(2, 9) if kind in (0, 1) else 1
            ref = ground.bases[place : place + size]
            others = [base for base in "ACGT" if base != ref[0]]
            if kind == 0:
                alt, af = ref[0], "0.25"
            elif kind == 1:
                alt, ref, af = ref, ref[0], "0.25"
            elif kind == 2:
                alt, af = ",".join(rng.sample(others, 2)), "0.25,0.01"
            else:
                alt, af = rng.choice(others), "0.25"
            lines.append(
                f"{ground.contig}\t{ground.start + place + 1}\t.\t{ref}\t{alt}\t{rng.randrange(10, 99)}\tPASS\t"
                f"DP={rng.randrange(5, 60)};AF={af}\n"
            )
        out.write("".join(lines).encode())
    return target


def _genes(rng: random.Random) -> tuple[str, list[str]]:
    """Genes of 12 exons, in two transcripts each, over random bases."""
    bases = rng.choices("ACGT", k=1_200_000)
    gff = ["##gff-version 3"]
    for number in range(30):
        start = 10_000 + number * 39_000
        exons = [(start + i * 2_400, start + i * 2_400 + 149) for i in range(12)]  # 0-based, 150 bases, 50 codons
        coding = ["ATG", *(_codon(rng) for _ in range(12 * 50 - 2)), "TAA"]
        text = "".join(coding)
        for exon, (first, last) in enumerate(exons):
            bases[first : last + 1] = text[exon * 150 : exon * 150 + 150]
        gene = f"gene:G{number}"
        gff.append(_line("gene", exons[0][0], exons[-1][1], f"ID={gene};Name=G{number};biotype=protein_coding"))
        for transcript, used in (("a", exons), ("b", exons[:8])):
            name = f"transcript:G{number}{transcript}"
            described = f"ID={name};Parent={gene};biotype=protein_coding"
            gff.append(_line("mRNA", used[0][0], used[-1][1], described))
            for first, last in used:
                gff.append(_line("exon", first, last, f"Parent={name}"))
                gff.append(_line("CDS", first, last, f"ID=CDS:G{number}{transcript};Parent={name}", phase="0"))
    return "".join(bases), gff


def _codon(rng: random.Random) -> str:
    while True:
        codon = "".join(rng.choices("ACGT", k=3))
        if codon not in ("TAA", "TAG", "TGA"):
            return codon


def _line(kind: str, start: int, end: int, attributes: str, *, phase: str = ".") -> str:
    return f"21\tseeded\t{kind}\t{start + 1}\t{end + 1}\t.\t+\t{phase}\t{attributes}"


def _known(rng: random.Random, bases: str) -> Iterator[str]:
    yield "##fileformat=VCFv4.2"
    yield f"##contig=<ID=21,length={len(bases)}>"
    for field in _FIELDS:
        yield f'##INFO=<ID={field},Number=.,Type=String,Description="{field}">'
    yield "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    for place in sorted(rng.sample(range(len(bases)), 115_000)):
        alt = rng.choice([base for base in "ACGT" if base != bases[place]])
        frequency = f"{alt}:{rng.random():.4f}"
        known = f"GMAF={frequency};AFR={frequency};EAS={frequency};EUR={frequency}" if rng.random() < 0.4 else "."
        yield f"21\t{place + 1}\trs{place}\t{bases[place]}\t{alt}\t.\t.\t{known}"
