"""Who carries a variant, read from the stored VCF by ranges."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path

import pysam
import pytest

from gas.annotation.engine import annotate
from gas.errors import Damaged, Unavailable
from gas.explore import genotypes
from gas.explore.genotypes import Carriers, Variant
from gas.job import StoredObject
from gas.references import Reference, demo_vcf


@dataclass
class Ranged:
    """In S3's place: two files, and how much of them was read."""

    held: dict[str, bytes]
    read: dict[str, int] = field(default_factory=dict)

    def stored(self, name: str) -> StoredObject:
        return StoredObject(bucket="b", key=name, version_id="v", sha256="", size_bytes=len(self.held[name]))

    def read_range(self, stored: StoredObject, first: int, last: int) -> bytes:
        data = self.held[stored.key][first : last + 1]
        self.read[stored.key] = self.read.get(stored.key, 0) + len(data)
        return data

    def carriers(self, variants: list[Variant]) -> dict[Variant, Carriers]:
        return genotypes.carriers(variants, vcf=self.stored("vcf"), index=self.stored("tbi"), objects=self)


def truth(path: Path) -> dict[Variant, dict[str, str]]:
    """All variants of a VCF and their carriers, by htslib."""
    with pysam.VariantFile(str(path)) as vcf:
        return {
            Variant(record.info["GAS_REC"], record.chrom, record.pos, record.ref, record.alts[0]): {
                name: "".join(str(record).rstrip("\n").split("\t")[9 + at].split(":")[0])
                for at, (name, sample) in enumerate(record.samples.items())
                if any(allele for allele in sample["GT"] if allele)
            }
            for record in vcf
        }


def test_carriers_of_every_variant_of_a_real_result(sars_cov_2: Reference, tmp_path: Path) -> None:
    """The same samples and genotypes as htslib finds."""
    path = tmp_path / "demo.vcf.gz"
    annotate(demo_vcf(), path, reference=sars_cov_2)
    store = Ranged({"vcf": path.read_bytes(), "tbi": path.with_name("demo.vcf.gz.tbi").read_bytes()})
    expected = truth(path)
    assert sum(map(bool, expected.values())) > 100
    assert store.carriers(list(expected)) == expected


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40,000 records on two contigs, phased and not, with calls that are missing; several records at some places."""
    path = tmp_path_factory.mktemp("cohort") / "cohort.vcf.gz"
    head = (
        "##fileformat=VCFv4.2\n##contig=<ID=a>\n##contig=<ID=b>\n"
        '##INFO=<ID=GAS_REC,Number=1,Type=Integer,Description="x">\n'
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\tS3\n"
    )
    calls = ["0/0:3", "0|1:4", "1/1:5", "./.:0", "0:1", "1:1", ".|1:2"]
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(head.encode())
        for number in range(1, 40_001):
            contig, pos = ("a", number * 7 // 2) if number <= 30_000 else ("b", (number - 30_000) * 90)
            three = "\t".join(calls[(number * step) % 7] for step in (1, 3, 5))
            out.write(f"{contig}\t{pos}\t.\tA\tC\t.\t.\tGAS_REC={number:07}\tGT:DP\t{three}\n".encode())
    pysam.tabix_index(str(path), preset="vcf")
    return path


def test_only_stretches_of_a_large_file_are_read(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants here and there: right, and without the rest of the file."""
    monkeypatch.setattr(genotypes, "_READ_BYTES", 2048)  # so that blocks and lines lie across reads
    store = Ranged({"vcf": cohort.read_bytes(), "tbi": Path(f"{cohort}.tbi").read_bytes()})
    everything = truth(cohort)
    asked = list(everything)[100::9000]
    assert store.carriers(asked) == {variant: everything[variant] for variant in asked}
    assert store.read["vcf"] < 0.5 * len(store.held["vcf"])


def test_what_is_not_there_is_left_out(cohort: Path) -> None:
    """Another record's number, an unknown contig, a place after the last record: nothing is said of them."""
    store = Ranged({"vcf": cohort.read_bytes(), "tbi": Path(f"{cohort}.tbi").read_bytes()})
    absent = [Variant(1, "a", 7, "A", "C"), Variant(1, "z", 7, "A", "C"), Variant(1, "b", 1 << 28, "A", "C")]
    assert store.carriers(absent) == {}
    assert store.carriers([]) == {}


def test_a_stretch_that_is_too_dense_is_left_out(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends at a bound, whatever is in the file."""
    store = Ranged({"vcf": cohort.read_bytes(), "tbi": Path(f"{cohort}.tbi").read_bytes()})
    monkeypatch.setattr(genotypes, "_READ_BYTES", 1024)
    monkeypatch.setattr(genotypes, "_WINDOW_BYTES", 20_000)
    late = [variant for variant in truth(cohort) if variant.chrom == "a" and variant.pos >> 14 == 2][-1]
    assert store.carriers([late]) == {}
    assert store.read["vcf"] <= 40_000


def test_an_index_that_cannot_be_read_is_refused(cohort: Path) -> None:
    """Of another kind, or cut short."""
    variant = [Variant(1, "a", 3, "A", "C")]
    with pytest.raises(Unavailable, match="not tabix's"):
        Ranged({"vcf": cohort.read_bytes(), "tbi": gzip.compress(b"CSI\1")}).carriers(variant)
    short = gzip.compress(gzip.decompress(Path(f"{cohort}.tbi").read_bytes())[:200])
    with pytest.raises(Damaged, match="cut short"):
        Ranged({"vcf": cohort.read_bytes(), "tbi": short}).carriers(variant)


def test_without_samples_nobody_carries_anything(tmp_path: Path) -> None:
    """A VCF of sites alone."""
    path = tmp_path / "sites.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(b"##fileformat=VCFv4.2\n##contig=<ID=a>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        out.write(b"a\t5\t.\tA\tC\t.\t.\tGAS_REC=1\n")
    pysam.tabix_index(str(path), preset="vcf")
    store = Ranged({"vcf": path.read_bytes(), "tbi": Path(f"{path}.tbi").read_bytes()})
    variant = Variant(1, "a", 5, "A", "C")
    assert store.carriers([variant]) == {variant: {}}
