"""Small VCFs on SARS-CoV-2, and what came of them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pysam

CONTIG = "NC_045512.2"
LENGTH = 29903
HEADER = (
    "##fileformat=VCFv4.2",
    f"##contig=<ID={CONTIG},length={LENGTH}>",
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count">',
    '##INFO=<ID=SRC,Number=.,Type=String,Description="Callers">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depth by allele">',
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"

# Real changes of the spike gene: Q27R (21642 would be another gene's), N501Y, D614G; and a synonymous one in ORF1ab.
N501Y = f"{CONTIG}\t23063\t.\tA\tT\t60\tPASS\tDP=12"
D614G = f"{CONTIG}\t23403\t.\tA\tG\t60\tPASS\tDP=13"
F924F = f"{CONTIG}\t3037\t.\tC\tT\t60\tPASS\tDP=11"


def vcf(*records: str, samples: Iterable[str] = (), header: Iterable[str] = HEADER, end: str = "\n") -> bytes:
    """The bytes of a VCF."""
    names = tuple(samples)
    columns = "\t".join([COLUMNS, "FORMAT", *names]) if names else COLUMNS
    return ("\n".join([*header, columns, *records]) + end).encode()


def write(path: Path, data: bytes, *, compressed: str = "") -> Path:
    """Write ``data`` as it is, or as ``gzip`` or ``bgzip``."""
    if compressed == "gzip":
        path.write_bytes(gzip.compress(data))
    elif compressed == "bgzip":
        with pysam.BGZFile(str(path), "w") as out:
            out.write(data)
    else:
        path.write_bytes(data)
    return path


@dataclass(frozen=True)
class Record:
    """One record of a result."""

    contig: str
    pos: int
    id: str
    ref: str
    alt: str
    qual: str
    filter: str
    info: Mapping[str, str]
    samples: tuple[dict[str, str], ...]

    @property
    def number(self) -> int:
        """The number of its record in the input."""
        return int(self.info["GAS_REC"])

    @property
    def consequences(self) -> list[str]:
        """The terms of BCSQ, in order."""
        return [said.split("|")[0] for said in self.info.get("BCSQ", "").split(",") if said]


def header_of(path: Path) -> list[str]:
    """The header lines of a result."""
    with gzip.open(path, "rt") as text:
        return [line.rstrip("\n") for line in text if line.startswith("#")]


def records_of(path: Path) -> list[Record]:
    """The records of a result."""
    found = []
    with gzip.open(path, "rt") as text:
        for line in text:
            if line.startswith("#"):
                continue
            fields = line.rstrip("\n").split("\t")
            info = dict(entry.partition("=")[::2] for entry in fields[7].split(";"))
            keys = fields[8].split(":") if len(fields) > 8 else []
            samples = tuple(dict(zip(keys, sample.split(":"), strict=False)) for sample in fields[9:])
            found.append(Record(fields[0], int(fields[1]), *fields[2:7], info, samples))
    return found


@cache
def genome(fasta: Path) -> str:
    """The bases of SARS-CoV-2."""
    with pysam.FastaFile(str(fasta)) as file:
        return str(file.fetch(CONTIG))
