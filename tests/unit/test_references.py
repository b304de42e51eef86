"""Installing, listing and removing references: what is accepted, what is refused, and what a crash leaves."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from pysam import bcftools
from typer.testing import CliRunner

from gas import contig_names
from gas.cli import build_app
from gas.errors import ReferenceProblem
from gas.references import NewSource, Reference, ReferenceStore, demo_vcf, install_sars_cov_2
from tests.csq import csq

LENGTH = 3_000
GENE = "ATG" + "GCT" * 98 + "TAA"  # 300 bases, no stop but the last


def make_sequence() -> str:
    """A contig with one gene at 1001-1300."""
    noise = "".join(random.Random(7).choices("ACGT", k=LENGTH))
    return noise[:1000] + GENE + noise[1300:]


SEQUENCE = make_sequence()


@pytest.fixture
def store(tmp_path: Path) -> ReferenceStore:
    return ReferenceStore(tmp_path / "references")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    lines = [SEQUENCE[i : i + 60] for i in range(0, LENGTH, 60)]
    path.write_text(">chr7 a small genome\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def gff(tmp_path: Path) -> Path:
    path = tmp_path / "genes.gff3"
    path.write_text(
        "##gff-version 3\n"
        "chr7\tRefSeq\tgene\t1001\t1300\t.\t+\t.\tID=gene-1;Name=abcA\n"
        "chr7\tRefSeq\tCDS\t1001\t1300\t.\t+\t0\tID=cds-P1.1;Parent=gene-1;protein_id=P1.1\n"
    )
    return path


def write_vcf(path: Path, *records: str, contig: str | None = "chr7", meta: str = "") -> Path:
    """A VCF with the INFO fields CLNSIG, AF and COMMON; its records are written with spaces."""
    declared = f"##contig=<ID={contig}>\n" if contig else ""
    header = (
        f"##fileformat=VCFv4.2\n{meta}{declared}"
        '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Clinical \\"significance\\"">\n'
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">\n'
        '##INFO=<ID=COMMON,Number=0,Type=Flag,Description="Common">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    )
    path.write_text(header + "".join("\t".join(record.split()) + "\n" for record in records))
    return path


def record(position: int, alt: str, info: str, *, contig: str = "chr7", ref: str | None = None) -> str:
    return f"{contig} {position} rs{position} {ref or SEQUENCE[position - 1]} {alt} . . {info}"


def other(position: int) -> str:
    """A base that the genome does not have there."""
    return "A" if SEQUENCE[position - 1] != "A" else "C"


def rows(reference: Reference, name: str = "clinvar") -> list[list[str]]:
    (source,) = (s for s in reference.sources if s.name == name)
    with gzip.open(source.path, "rt") as lines:
        return [line.rstrip("\n").split("\t") for line in lines]


# --- the reference that ships with GAS --------------------------------------------------------------------------------


def test_the_shipped_reference_is_the_genome_that_refget_knows(sars_cov_2: Reference) -> None:
    """The sequence has the digest of NC_045512.2, eleven genes and twelve proteins' transcripts."""
    with pysam.FastaFile(str(sars_cov_2.fasta)) as genome:
        sequence = genome.fetch("NC_045512.2")
    assert hashlib.md5(sequence.encode()).hexdigest() == "105c82802b67521950854a851fc6eefd"  # noqa: S324 - refget's
    assert (sars_cov_2.genes, sars_cov_2.transcripts) == (11, 12)
    assert sars_cov_2.aliases["MN908947.3"] == "NC_045512.2"
    assert len(sars_cov_2.notes) == 1
    assert "slips in ORF1ab at NC_045512.2:13,468" in sars_cov_2.notes[0]


def test_installing_it_twice_changes_nothing(store: ReferenceStore) -> None:
    """A second call finds the first one's work."""
    first = install_sars_cov_2(store)
    made = first.fasta.stat().st_mtime_ns
    assert install_sars_cov_2(store) == first
    assert first.fasta.stat().st_mtime_ns == made


#: What each mutation of the demo file does, as published for its lineage (position, ALT, gene, amino acids).
PUBLISHED = [
    (3267, "T", "ORF1ab", "T1001I"), (5388, "A", "ORF1ab", "A1708D"), (6954, "C", "ORF1ab", "I2230T"),
    (14408, "T", "ORF1ab", "P4715L"), (8393, "A", "ORF1ab", "A2710T"), (10029, "T", "ORF1ab", "T3255I"),
    (10449, "A", "ORF1ab", "P3395H"), (18163, "G", "ORF1ab", "I5967V"), (10323, "G", "ORF1ab", "K3353R"),
    (16466, "T", "ORF1ab", "P5401L"), (17259, "T", "ORF1ab", "E5665D"),
    (21618, "G", "S", "T19R"), (21614, "T", "S", "L18F"), (21801, "C", "S", "D80A"), (22206, "G", "S", "D215G"),
    (22812, "C", "S", "K417T"), (22813, "T", "S", "K417N"), (22882, "G", "S", "N440K"), (22917, "G", "S", "L452R"),
    (22992, "A", "S", "S477N"), (22995, "A", "S", "T478K"), (23012, "A", "S", "E484K"), (23013, "C", "S", "E484A"),
    (23063, "T", "S", "N501Y"), (23075, "C", "S", "Y505H"), (23271, "A", "S", "A570D"), (23403, "G", "S", "D614G"),
    (23525, "T", "S", "H655Y"), (23604, "A", "S", "P681H"), (23604, "G", "S", "P681R"), (23664, "T", "S", "A701V"),
    (23709, "T", "S", "T716I"), (24410, "A", "S", "D950N"), (24506, "G", "S", "S982A"), (24914, "C", "S", "D1118H"),
    (25563, "T", "ORF3a", "Q57H"), (26456, "T", "E", "P71L"), (26270, "T", "E", "T9I"), (26767, "C", "M", "I82T"),
    (26709, "A", "M", "A63T"), (27638, "C", "ORF7a", "V82A"), (27972, "T", "ORF8", "Q27*"),

    (28048, "T", "ORF8", "R52I"), (28111, "G", "ORF8", "Y73C"),
    (28311, "T", "N", "P13L"), (28461, "G", "N", "D63G"), (28881, "T", "N", "R203M"),
    (28977, "T", "N", "S235F"), (29402, "T", "N", "D377Y"),
]  # fmt: skip
#: Deletions and insertions, as csq writes them for the change on its own.
PUBLISHED_INDELS = [
    (21764, "ATACATG", "A", "S", "68IHV>68I"),  # HV69-70del
    (21990, "TTTA", "T", "S", "143VY>143V"),  # Y144del
    (22028, "GAGTTCA", "G", "S", "156EFR>156G"),  # E156G, FR157-158del
    (22280, "ACTTTACTTG", "A", "S", "240TLLA>240T"),  # LLA241-243del
    (11287, "GTCTGGTTTT", "G", "ORF1ab", "3674LSGF>3674L"),  # SGF3675-3677del
    (22204, "T", "TGAGCCAGAA", "S", "214R>214REPE"),  # 214EPE
    (28247, "AGATTTC", "A", "ORF8", "118LDF>118L"),  # DF119-120del
]


def test_the_shipped_mutations_are_the_published_ones(sars_cov_2: Reference, tmp_path: Path) -> None:
    """Every listed mutation of the demo file changes the amino acid that its lineage is known for."""
    split, called = tmp_path / "split.bcf", tmp_path / "called.bcf"
    bcftools.norm(
        "-m",
        "-any",
        "-c",
        "e",
        "-f",
        str(sars_cov_2.fasta),
        "-Ob",
        "-o",
        str(split),
        str(demo_vcf()),
        catch_stdout=False,
    )
    csq("-l", "-f", str(sars_cov_2.fasta), "-g", str(sars_cov_2.gff), "-Ob", "-o", str(called), str(split))
    found: dict[tuple[int, str, str, str], set[str]] = {}
    with pysam.VariantFile(str(called)) as vcf:
        assert list(vcf.header.samples) == [
            "Alpha_B.1.1.7", "Beta_B.1.351", "Gamma_P.1", "Delta_B.1.617.2", "Omicron_BA.1",
        ]  # fmt: skip
        for variant in vcf:
            for entry in variant.info.get("BCSQ", ()):
                _, gene, _, _, _, change, *_ = [*entry.split("|"), "", ""]
                key = (variant.pos, variant.ref or "", (variant.alts or ("",))[0], gene)
                found.setdefault(key, set()).add(change)
    short = {
        (position, alt, gene, f"{a[-1]}{a[:-1]}{b[-1]}")
        for (position, _, alt, gene), changes in found.items()
        for change in changes
        if (parts := change.split(">")) and len(parts) == 2
        for a, b in [parts]
    }
    assert [mutation for mutation in PUBLISHED if mutation not in short] == []
    assert [m for m in PUBLISHED_INDELS if m[4] not in found.get(m[:4], set())] == []


def test_b117_of_the_demo_file_is_what_a_real_genome_differs_by(sars_cov_2: Reference) -> None:
    """Put into the genome, Alpha's mutations give a sequence of the length of a B.1.1.7 isolate, 18 bases shorter."""
    with pysam.FastaFile(str(sars_cov_2.fasta)) as genome, pysam.VariantFile(str(demo_vcf())) as vcf:
        sequence = genome.fetch("NC_045512.2")
        for variant in reversed(list(vcf)):
            (allele,) = variant.samples["Alpha_B.1.1.7"]["GT"]
            if allele:
                assert sequence[variant.start : variant.stop] == variant.ref
                sequence = sequence[: variant.start] + variant.alleles[allele] + sequence[variant.stop :]
    assert len(sequence) == 29_885


# --- adding -----------------------------------------------------------------------------------------------------------


def test_what_is_installed_can_be_used_and_is_described(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path
) -> None:
    """The files are indexed, the checksums those of the files as given, the genes in csq's form."""
    reference = store.add("small", fasta=fasta, gff=gff, description="A small genome")
    assert store.list() == [reference]
    assert store.get("small") == reference
    assert [(c.name, c.length) for c in reference.contigs] == [("chr7", LENGTH)]
    assert reference.fasta_sha256 == hashlib.sha256(fasta.read_bytes()).hexdigest()
    assert reference.gff_sha256 == hashlib.sha256(gff.read_bytes()).hexdigest()
    assert (reference.transcripts, reference.genes, reference.aliases["7"]) == (1, 1, "chr7")
    with pysam.FastaFile(str(reference.fasta)) as genome:
        assert genome.fetch("chr7") == SEQUENCE
    with pysam.TabixFile(str(reference.gff)) as genes:
        assert len(list(genes.fetch("chr7", 1000, 1001))) == 4
    assert all(p <= 1001 - 20 or p > 1300 + 20 for p in reference.cut_points("chr7"))
    assert reference.cut_points("chr8") == ()


@pytest.mark.parametrize("packing", ["plain", "gzip", "two gzip streams", "bgzip", "CRLF"])
def test_a_genome_may_be_packed_in_any_way(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path, packing: str
) -> None:
    """Plain, gzip (also several streams in a row), bgzip, and with Windows line ends."""
    text = fasta.read_bytes()
    given = tmp_path / "given.fa"
    if packing == "plain":
        given = fasta
    elif packing == "gzip":
        given.write_bytes(gzip.compress(text))
    elif packing == "two gzip streams":
        given.write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]))
    elif packing == "bgzip":
        pysam.tabix_compress(str(fasta), str(given))
    else:
        given.write_bytes(text.replace(b"\n", b"\r\n"))
    reference = store.add("small", fasta=given, gff=gff)
    with pysam.FastaFile(str(reference.fasta)) as genome:
        assert genome.fetch("chr7") == SEQUENCE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"ACGT\n", "does not begin with '>'"),
        (b">a\nMKLVPQ\n", "a sequence holds 'L'"),
        (b">a\nACGT\n>a\nACGT\n", "names the sequence 'a' twice"),
        (b">\nACGT\n", "a sequence without a name"),
        (b">a\n>b\nACGT\n", "the sequence 'a' is empty"),
        (b">a\nACGT\nAC\nACGT\n", "every line of a sequence but the last must have the same length"),
        (gzip.compress(b">a\n" + b"ACGT\n" * 999, mtime=0)[:-9], "cut off"),
        (b"\x1f\x8b\x08\x00junkjunkjunk", "cannot be read"),
    ],
)
def test_what_is_no_genome_is_refused(
    store: ReferenceStore, gff: Path, tmp_path: Path, content: bytes, said: str
) -> None:
    """Each kind of broken FASTA gets its own sentence, and nothing is left."""
    path = tmp_path / "bad.fa"
    path.write_bytes(content)
    with pytest.raises(ReferenceProblem, match=said):
        store.add("small", fasta=path, gff=gff)
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize("which", ["fasta", "gff", "source"])
def test_a_bgzip_file_that_was_cut_off_is_refused(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path, which: str
) -> None:
    """Cut between two blocks it is still valid gzip, and would be taken for a smaller file."""
    vcf = write_vcf(tmp_path / "c.vcf", record(50, other(50), "AF=0.25"))
    files = {"fasta": fasta, "gff": gff, "source": vcf}
    cut = tmp_path / "cut.gz"
    pysam.tabix_compress(str(files[which]), str(cut))
    cut.write_bytes(cut.read_bytes()[:-28])
    files[which] = cut
    with pytest.raises(ReferenceProblem, match=r"cut\.gz is cut off"):
        store.add("small", fasta=files["fasta"], gff=files["gff"], sources=[NewSource("c", files["source"])])
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "x" * 65, "é"])
def test_a_bad_name_is_refused(store: ReferenceStore, fasta: Path, gff: Path, name: str) -> None:
    """A name is a folder's name and a word on the command line."""
    with pytest.raises(ReferenceProblem, match="cannot be a reference's name"):
        store.add(name, fasta=fasta, gff=gff)


def test_a_taken_name_is_refused(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """Also where it differs in case alone, which some file systems would take for the same."""
    store.add("small", fasta=fasta, gff=gff)
    with pytest.raises(ReferenceProblem, match="already"):
        store.add("SMALL", fasta=fasta, gff=gff)


def test_genes_without_a_coding_transcript_are_refused(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """They would leave every variant without a consequence, and say nothing."""
    gff.write_text(gff.read_text().replace("\tCDS\t", "\tmatch\t"))
    with pytest.raises(ReferenceProblem, match="no coding transcript"):
        store.add("small", fasta=fasta, gff=gff)


def test_genes_on_other_contigs_are_refused(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """Both sides' names are said."""
    gff.write_text(gff.read_text().replace("chr7", "scaffold_9"))
    with pytest.raises(ReferenceProblem, match=r"genes\.gff3 has scaffold_9, the genome has chr7"):
        store.add("small", fasta=fasta, gff=gff)


def test_genes_of_another_build_are_refused(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """Coordinates that exist but do not translate give the genes away."""
    shifted = gff.read_text().replace("1001\t1300", "1502\t1801")
    gff.write_text(shifted)
    with pytest.raises(ReferenceProblem, match="stop codon in the middle"):
        store.add("small", fasta=fasta, gff=gff)


def test_genes_on_contigs_that_the_genome_lacks_are_noted(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """Annotation files often speak of patches and scaffolds besides."""
    with gff.open("a") as lines:
        lines.write("chrUn_1\tRefSeq\tgene\t1\t90\t.\t+\t.\tID=gene-2\n")
    reference = store.add("small", fasta=fasta, gff=gff)
    assert reference.notes == ("Genes left out on contigs that the genome lacks: chrUn_1.",)


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_source_is_split_and_left_aligned_with_the_chosen_fields(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path
) -> None:
    """Each allele has its own row with its own values; what no variant can match is left out."""
    position = next(p for p in range(100, 900) if SEQUENCE[p - 1] == SEQUENCE[p] and SEQUENCE[p - 2] != SEQUENCE[p])
    run = SEQUENCE[position - 2 : position + 1]  # X, then the same base twice
    vcf = write_vcf(
        tmp_path / "clinvar.vcf",
        record(50, f"{other(50)},<DEL>", "CLNSIG=Benign,Likely_benign;AF=0.25,0.5;COMMON"),
        record(60, "*", "AF=0.1"),
        record(position, run[1], "CLNSIG=Pathogenic", ref=run[1:]),
        meta="##fileDate=2024-05-09\n##source=ClinVar\n",
    )
    reference = store.add(
        "small", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf, ("CLNSIG", "AF", "COMMON"))]
    )
    assert rows(reference) == [
        ["chr7", "50", SEQUENCE[49], other(50), "rs50", "Benign,Likely_benign", "0.25", "1"],
        ["chr7", str(position - 1), run[:2], run[0], f"rs{position}", "Pathogenic", ".", "."],
    ]
    (source,) = reference.sources
    assert (source.version, source.date) == ("ClinVar 2024-05-09", "2024-05-09")
    assert source.sha256 == hashlib.sha256(vcf.read_bytes()).hexdigest()
    assert reference.source_columns == ("CLINVAR_CLNSIG", "CLINVAR_AF", "CLINVAR_COMMON")
    assert source.header.read_text().splitlines() == [
        "##INFO=<ID=CLINVAR_CLNSIG,Number=.,Type=String,"
        "Description=\"Clinical 'significance' (clinvar ClinVar 2024-05-09)\">",
        '##INFO=<ID=CLINVAR_AF,Number=A,Type=Float,Description="Allele frequency (clinvar ClinVar 2024-05-09)">',
        '##INFO=<ID=CLINVAR_COMMON,Number=0,Type=Flag,Description="Common (clinvar ClinVar 2024-05-09)">',
    ]
    with pysam.TabixFile(str(source.path)) as table:
        assert len(list(table.fetch("chr7", 49, 50))) == 1


def _bgzip(path: Path) -> Path:
    packed = path.with_suffix(".vcf.gz")
    pysam.tabix_compress(str(path), str(packed))
    return packed


def _indexed(path: Path) -> Path:
    packed = _bgzip(path)
    pysam.tabix_index(str(packed), preset="vcf")
    return packed


def _gzip(path: Path) -> Path:
    packed = path.with_suffix(".vcf.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def _bcf(path: Path) -> Path:
    packed = path.with_suffix(".bcf")
    bcftools.view("-Ob", "-o", str(packed), str(path), catch_stdout=False)
    return packed


@pytest.mark.parametrize("pack", [lambda path: path, _gzip, _bgzip, _indexed, _bcf])
@pytest.mark.parametrize("contig", ["chr7", "7"])
def test_a_source_may_be_packed_in_any_way_and_spell_contigs_its_own_way(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path, pack: Callable[[Path], Path], contig: str
) -> None:
    """With or without an index, which is never written beside the person's file."""
    vcf = pack(write_vcf(tmp_path / "c.vcf", record(50, other(50), "AF=0.25", contig=contig), contig=contig))
    before = sorted(tmp_path.iterdir())
    reference = store.add("small", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf, ("AF",))])
    assert rows(reference) == [["chr7", "50", SEQUENCE[49], other(50), "rs50", "0.25"]]
    assert sorted(path for path in tmp_path.iterdir() if path != store.folder) == before
    assert sorted(path.name for path in (reference.folder / "sources").iterdir()) == [
        "clinvar.hdr", "clinvar.tsv.gz", "clinvar.tsv.gz.tbi",
    ]  # fmt: skip


def test_contigs_that_a_source_does_not_declare_are_found(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path
) -> None:
    """A header without contig lines is common; contigs that the genome lacks are left out with a note."""
    vcf = write_vcf(
        tmp_path / "c.vcf", record(50, other(50), "."), record(9, "G", ".", contig="chrUn", ref="A"), contig=None
    )
    reference = store.add("small", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf)])
    assert rows(reference) == [["chr7", "50", SEQUENCE[49], other(50), "rs50"]]
    assert reference.notes == ("clinvar: records left out on contigs that the genome lacks: chrUn.",)


def test_records_whose_ref_is_wrong_are_left_out(store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path) -> None:
    """A few are noted; mostly wrong ones are another build's file."""
    right = [record(p, other(p), ".") for p in (50, 51, 52)]
    wrong = [record(p, SEQUENCE[p - 1], ".", ref=other(p)) for p in (60, 61, 62, 63)]
    vcf = write_vcf(tmp_path / "c.vcf", *right, wrong[0])
    reference = store.add("small", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf)])
    assert len(rows(reference)) == 3
    assert reference.notes == ("clinvar: 1 records left out whose REF is not what the genome has there.",)
    write_vcf(vcf, *right, *wrong)
    with pytest.raises(ReferenceProblem, match="another genome or genome build: the REF of 4 of its 7 records"):
        store.add("other", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf)])


@pytest.mark.parametrize(
    ("fields", "contig", "text", "said"),
    [
        (("NOPE",), "chr7", None, "has no INFO field NOPE; it has AF, CLNSIG, COMMON"),
        (("AF",), "chrX", None, "the source 'clinvar' has chrX, the genome has chr7"),
        (("AF",), "chr7", "not a VCF", "cannot be read as VCF"),
        (("AF",), "chr7", "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n", "no INFO field AF"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(
    store: ReferenceStore,
    fasta: Path,
    gff: Path,
    tmp_path: Path,
    fields: tuple[str, ...],
    contig: str,
    text: str | None,
    said: str,
) -> None:
    """Missing fields, other contigs, no VCF: each with its own sentence, and nothing is installed."""
    vcf = write_vcf(tmp_path / "c.vcf", record(50, other(50), "AF=0.25", contig=contig), contig=contig)
    if text is not None:
        vcf.write_text(text)
    with pytest.raises(ReferenceProblem, match=said):
        store.add("small", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf, fields)])
    assert list(store.folder.iterdir()) == []


def test_an_unsorted_source_is_refused(store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path) -> None:
    """It cannot be indexed; the sentence says what sorts it."""
    vcf = write_vcf(tmp_path / "c.vcf", record(60, other(60), "."), record(50, other(50), "."))
    with pytest.raises(ReferenceProblem, match="bcftools sort does it"):
        store.add("small", fasta=fasta, gff=gff, sources=[NewSource("clinvar", vcf)])


@pytest.mark.parametrize("name", ["", "1000g", "GAS", "gas", "a_b", "a b"])
def test_a_sources_name_must_make_an_info_prefix(store: ReferenceStore, fasta: Path, gff: Path, name: str) -> None:
    """It becomes the start of INFO fields in every result."""
    with pytest.raises(ReferenceProblem, match="cannot be a source's name"):
        store.add("small", fasta=fasta, gff=gff, sources=[NewSource(name, fasta)])


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("clinvar=/a/c.vcf.gz:CLNSIG,CLNDN", NewSource("clinvar", Path("/a/c.vcf.gz"), ("CLNSIG", "CLNDN"))),
        ("dbsnp=c.vcf.gz", NewSource("dbsnp", Path("c.vcf.gz"))),
        ("x=/a:b/c.vcf:AF,AF", NewSource("x", Path("/a:b/c.vcf"), ("AF",))),
    ],
)
def test_a_source_is_read_from_the_command_line(text: str, source: NewSource) -> None:
    """Fields may be left out, and are taken once."""
    assert NewSource.parse(text) == source


@pytest.mark.parametrize("text", ["clinvar", "=c.vcf.gz", "clinvar="])
def test_what_is_no_source_is_refused(text: str) -> None:
    """The sentence shows the form."""
    with pytest.raises(ReferenceProblem, match="write NAME=FILE"):
        NewSource.parse(text)


@pytest.mark.parametrize(
    ("meta", "version", "date"),
    [
        ("##fileDate=20240509\n##source=dbSNP\n##dbSNP_BUILD_ID=156\n", "dbSNP build 156", "2024-05-09"),
        ("##fileDate=09/05/2024\n##source=x\n##version=3.1\n", "x 3.1", "2024-05-09"),
        ("##fileDate=May 2024\n", "", "May 2024"),
        ("", "", ""),
    ],
)
def test_a_sources_release_is_read_from_its_header(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path, meta: str, version: str, date: str
) -> None:
    """In the words of ClinVar and dbSNP; nothing is made up."""
    vcf = write_vcf(tmp_path / "c.vcf", record(50, other(50), "."), meta=meta)
    (source,) = store.add("small", fasta=fasta, gff=gff, sources=[NewSource("s", vcf)]).sources
    assert (source.version, source.date) == (version, date)


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_killed_add_leaves_nothing_that_the_next_one_does_not_sweep(
    store: ReferenceStore, fasta: Path, gff: Path
) -> None:
    """While it runs its hidden folder is left alone; once it is dead the next add removes it."""
    script = (
        "import sys, time; from pathlib import Path; from gas.references import ReferenceStore\n"
        "def stop(what):\n"
        "    if 'genes' in what: print('here', flush=True); time.sleep(60)\n"
        "ReferenceStore(Path(sys.argv[1])).add('small', fasta=Path(sys.argv[2]), gff=Path(sys.argv[3]), progress=stop)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.folder), str(fasta), str(gff)], stdout=subprocess.PIPE
    ) as adding:
        assert adding.stdout is not None
        assert adding.stdout.readline() == b"here\n"
        (hidden,) = store.folder.iterdir()
        assert store.list() == []
        store.add("second", fasta=fasta, gff=gff)
        assert hidden.is_dir()
        adding.send_signal(signal.SIGKILL)
        adding.wait()
    assert hidden.is_dir()
    store.add("small", fasta=fasta, gff=gff)
    assert sorted(path.name for path in store.folder.iterdir()) == ["second", "small"]


def test_of_two_adds_of_one_name_one_wins(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """The slower one is refused, and the faster one's reference is whole."""

    def meanwhile(what: str) -> None:
        if "genes" in what:
            store.add("small", fasta=fasta, gff=gff, description="the faster one")

    with pytest.raises(ReferenceProblem, match="already"):
        store.add("small", fasta=fasta, gff=gff, description="the slower one", progress=meanwhile)
    assert [r.description for r in store.list()] == ["the faster one"]
    assert [path.name for path in store.folder.iterdir()] == ["small"]


def test_removing_and_what_is_not_there(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """A removed reference is gone at once; the sentence names those that are there."""
    store.add("small", fasta=fasta, gff=gff)
    store.add("other", fasta=fasta, gff=gff)
    store.remove("small")
    assert [path.name for path in store.folder.iterdir()] == ["other"]
    with pytest.raises(ReferenceProblem, match="no reference 'small'; installed are: other"):
        store.get("small")
    with pytest.raises(ReferenceProblem, match="none is installed"):
        ReferenceStore(store.folder / "nowhere").get("small")


def test_a_damaged_manifest_is_named(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """With what to do."""
    reference = store.add("small", fasta=fasta, gff=gff)
    (reference.folder / "reference.json").write_text("{}")
    with pytest.raises(ReferenceProblem, match="'small' is damaged"):
        store.list()


@pytest.mark.long
def test_memory_does_not_grow_with_the_genome(store: ReferenceStore, gff: Path, tmp_path: Path) -> None:
    """A genome of 300 megabases needs no more than 100 MB beyond the interpreter."""
    fasta = tmp_path / "large.fa"
    line = (SEQUENCE[:60] + "\n").encode()
    with fasta.open("wb") as out:
        out.write(b">chr7\n" + "".join(SEQUENCE[i : i + 60] + "\n" for i in range(0, LENGTH, 60)).encode())
        for _ in range(500):
            out.write(line * 10_000)
    script = (
        "import resource, sys; from pathlib import Path; from gas.references import ReferenceStore\n"
        "ReferenceStore(Path(sys.argv[1])).add('l', fasta=Path(sys.argv[2]), gff=Path(sys.argv[3]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(store.folder), str(fasta), str(gff)], capture_output=True, check=True
    )
    assert int(run.stdout) < 200 << 10


# --- spellings of contigs ---------------------------------------------------------------------------------------------


def test_other_spellings_are_known_where_they_are_certain() -> None:
    """An accession stands for a contig only of that build's length; the genome's own names are never aliases."""
    grch38 = contig_names.aliases({"chr1": 248956422, "chrM": 16569, "chr7": 159345973})
    assert (grch38["1"], grch38["NC_000001.11"], grch38["NC_000007.14"]) == ("chr1", "chr1", "chr7")
    assert {grch38[spelling] for spelling in ("M", "MT", "NC_012920.1")} == {"chrM"}
    assert "NC_000001.10" not in grch38
    assert contig_names.aliases({"NC_000021.9": 46709983})["chr21"] == "NC_000021.9"
    assert contig_names.aliases({"1": 500, "chr1": 600}) == {}
    assert contig_names.aliases({"NC_045512.2": 29903})["MN908947.3"] == "NC_045512.2"
    assert contig_names.aliases({"Chromosome": 4411532})["NC_000962.3"] == "Chromosome"
    assert contig_names.aliases({"Chromosome": 1000}) == {}
    assert contig_names.aliases({"scaffold_1": 10}) == {}


def test_the_build_of_a_human_genome_shows_in_its_lengths() -> None:
    """One chromosome is enough; other species have none."""
    assert contig_names.builds({"21": 46709983}) == {"GRCh38"}
    assert contig_names.builds({"chr21": 48129895, "chr1": 249250621}) == {"GRCh37"}
    assert contig_names.builds({"chr21": 1000}) == set()


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    """What ``gas reference ...`` prints on standard output."""
    result = CliRunner().invoke(build_app(), ["reference", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_adds_lists_shows_and_removes(
    store: ReferenceStore, fasta: Path, gff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each subcommand in words and as JSON."""
    monkeypatch.setenv("GAS_REFERENCES", str(store.folder))
    assert "No reference is installed" in run("list")
    vcf = write_vcf(tmp_path / "c.vcf", record(50, other(50), "AF=0.1"), meta="##source=ClinVar\n")
    said = run(
        "add", "small", "--fasta", str(fasta), "--gff", str(gff), "--source", f"clinvar={vcf}:AF", "--json",
    )  # fmt: skip
    manifest = json.loads(said)
    assert (manifest["name"], manifest["sources"][0]["info_fields"]) == ("small", ["AF"])
    assert "small  1 coding transcripts, sources: clinvar" in run("list")
    assert json.loads(run("list", "--json"))["references"][0]["contigs"] == 1
    shown = run("show", "small")
    assert "chr7  3,000 bases  (also 7, Chr7)" in shown
    assert "CLINVAR_AF" in shown
    assert json.loads(run("show", "small", "--json")) == manifest
    assert run("remove", "small") == "Removed small.\n"
    assert "Installed sars-cov-2: 12 coding transcripts of 11 genes." in run("add", "sars-cov-2")


def test_the_command_ends_with_one_sentence(store: ReferenceStore, tmp_path: Path) -> None:
    """Exit code 2 and no traceback for what GAS foresaw."""
    command = [sys.executable, "-c", "from gas.cli import main; main()", "reference", "show", "nope"]
    ended = subprocess.run(
        command, env=os.environ | {"GAS_REFERENCES": str(store.folder)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == "gas: There is no reference 'nope'; none is installed; see gas reference add.\n"


def test_listing_is_quick(store: ReferenceStore, fasta: Path, gff: Path) -> None:
    """It reads manifests alone: pages do it on every request."""
    for number in range(5):
        store.add(f"small{number}", fasta=fasta, gff=gff)
    started = time.perf_counter()
    for _ in range(20):
        store.list()
    assert (time.perf_counter() - started) / 20 < 0.02
