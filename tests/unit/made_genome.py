"""A seeded genome of two contigs with genes on both strands, a source that knows variants, and VCFs on it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gas.references import NewSource, Reference, ReferenceStore

_STOPS = {"TAA", "TAG", "TGA"}
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class MadeGenome:
    """Bases by contig, and the reference made of them."""

    bases: dict[str, str]
    reference: Reference

    def records(self, count: int, *, seed: int, samples: int = 0, indels: bool = True) -> list[str]:
        """Sorted records at random places, a tenth of them with two ALTs, some of them indels."""
        rng = random.Random(seed)
        names = list(self.bases)
        contigs = rng.choices(range(len(names)), k=count)
        places = sorted((contig, rng.randrange(2, len(self.bases[names[contig]]) - 20)) for contig in contigs)
        found = []
        for contig, pos in places:
            name = names[contig]
            size = rng.choice((1, 1, 1, 1, 1, 2, 4)) if indels else 1
            ref = self.bases[name][pos - 1 : pos - 1 + size]
            others = [b for b in "ACGT" if b != ref[0]]
            alts = rng.sample([*others, ref[0] + "ACA"] if indels else others, 2 if rng.random() < 0.1 else 1)
            calls = "".join(f"\t{rng.randrange(len(alts) + 1)}|{rng.randrange(len(alts) + 1)}" for _ in range(samples))
            genotypes = "\tGT" + calls if samples else ""
            found.append(f"{name}\t{pos}\t.\t{ref}\t{','.join(alts)}\t.\t.\tDP={pos}{genotypes}")
        return found


def make_genome(folder: Path, *, name: str = "made", seed: int = 7, genes: int = 20, gap: str = "ACGT") -> MadeGenome:
    """Install it in the store ``folder / "store"``; between genes are random bases out of ``gap``."""
    rng = random.Random(seed)
    bases: dict[str, str] = {}
    gff = ["##gff-version 3"]
    for contig in ("1", "2"):
        parts: list[str] = []
        at = 0
        for number in range(genes):
            between = "".join(rng.choices(gap, k=rng.randrange(800, 2500)))
            parts.append(between)
            at += len(between)
            coding = "ATG" + "".join(_codon(rng) for _ in range(rng.randrange(80, 200))) + "TAA"
            strand = rng.choice("+-")
            parts.append(coding if strand == "+" else coding[::-1].translate(_COMPLEMENT))
            gff += _gene(contig, f"G{contig}x{number}", at + 1, at + len(coding), strand)
            at += len(coding)
        parts.append("".join(rng.choices("ACGT", k=1500)))
        bases[contig] = "".join(parts)
    folder.mkdir(parents=True, exist_ok=True)
    fasta, genes_file, known = folder / f"{name}.fa", folder / f"{name}.gff3", folder / f"{name}-known.vcf"
    fasta.write_text("".join(f">{contig}\n{sequence}\n" for contig, sequence in bases.items()))
    genes_file.write_text("\n".join(gff) + "\n")
    known.write_text("\n".join(_known(rng, bases)) + "\n")
    reference = ReferenceStore(folder / "store").add(
        name, fasta=fasta, gff=genes_file, sources=[NewSource(name="known", path=known, info_fields=("AF", "SIG"))]
    )
    return MadeGenome(bases, reference)


def header(*, samples: int = 0, contigs: Sequence[str] = ("1", "2")) -> list[str]:
    """Header lines for :meth:`MadeGenome.records`."""
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    if samples:
        columns += ["FORMAT", *(f"s{i}" for i in range(samples))]
    return [
        "##fileformat=VCFv4.3",
        *(f"##contig=<ID={contig}>" for contig in contigs),
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(columns),
    ]


def _codon(rng: random.Random) -> str:
    while True:
        codon = "".join(rng.choices("ACGT", k=3))
        if codon not in _STOPS:
            return codon


def _gene(contig: str, name: str, start: int, end: int, strand: str) -> list[str]:
    place = f"{start}\t{end}\t.\t{strand}"
    return [
        f"{contig}\tmade\tgene\t{place}\t.\tID=gene:{name};Name={name};biotype=protein_coding",
        f"{contig}\tmade\tmRNA\t{place}\t.\tID=transcript:{name}t;Parent=gene:{name};biotype=protein_coding",
        f"{contig}\tmade\texon\t{place}\t.\tParent=transcript:{name}t",
        f"{contig}\tmade\tCDS\t{place}\t0\tID=CDS:{name}p;Parent=transcript:{name}t",
    ]


def _known(rng: random.Random, bases: dict[str, str]) -> list[str]:
    lines = [
        "##fileformat=VCFv4.2",
        "##fileDate=20260101",
        *(f"##contig=<ID={contig},length={len(sequence)}>" for contig, sequence in bases.items()),
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">',
        '##INFO=<ID=SIG,Number=.,Type=String,Description="Significance">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    for contig, sequence in bases.items():
        for pos in range(10, len(sequence) - 10, 7):
            ref = sequence[pos - 1]
            one, two = rng.sample([b for b in "ACGT" if b != ref], 2)
            lines.append(f"{contig}\t{pos}\trs{contig}x{pos}\t{ref}\t{one},{two}\t.\t.\tAF=0.25,0.125;SIG=s{pos}")
    return lines
