"""The table, the counts, the summary and the log of what a run found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pysam
import pytest
from pysam import bcftools

from gas.annotation import report
from gas.annotation.consequences import CONSEQUENCES
from gas.references import Reference, demo_vcf
from tests.csq import csq

HEADER = (
    "##fileformat=VCFv4.3\n##contig=<ID=chr1>\n##contig=<ID=chr2>\n"
    '##INFO=<ID=BCSQ,Number=.,Type=String,Description="x">\n'
    '##INFO=<ID=GAS_REC,Number=1,Type=Integer,Description="x">\n'
    '##INFO=<ID=C_SIG,Number=.,Type=String,Description="x">\n'
    '##INFO=<ID=C_AF,Number=A,Type=Float,Description="x">\n'
    '##INFO=<ID=C_SEEN,Number=0,Type=Flag,Description="x">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
)
SOURCE_COLUMNS = ("C_SIG", "C_AF", "C_SEEN", "C_GONE")
Rows = list[dict[str, Any]]


class Tabulate:
    """Writes a VCF of the given records (columns with spaces) and makes the table of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *records: str, samples: Sequence[str] = (), encoding: str = "utf-8") -> report.ChunkTable:
        columns = "#CHROM POS ID REF ALT QUAL FILTER INFO" + "".join(f" {s}" for s in ("FORMAT", *samples) if samples)
        text = HEADER + "".join("\t".join(line.split(" ")) + "\n" for line in (columns, *records))
        vcf = self.folder / "chunk.vcf"
        vcf.write_bytes(text.encode(encoding))
        made = report.chunk_table(
            vcf, self.folder / "part.parquet", source_columns=SOURCE_COLUMNS, work_dir=self.folder
        )
        vcf.unlink()
        assert sorted(path.name for path in self.folder.iterdir()) == ["part.parquet"]
        return made

    def rows(self, *records: str, samples: Sequence[str] = (), encoding: str = "utf-8") -> Rows:
        return read(self(*records, samples=samples, encoding=encoding).path)


@pytest.fixture
def tabulate(tmp_path: Path) -> Tabulate:
    folder = tmp_path / "it's"  # a quote in a path is no trouble
    folder.mkdir()
    return Tabulate(folder)


def read(table: Path) -> Rows:
    """The rows of a Parquet file."""
    with duckdb.connect() as database:
        found = database.read_parquet(str(table))
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def only(rows: Rows, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in rows]


# --- the table --------------------------------------------------------------------------------------------------------


def test_each_consequence_is_a_row(tabulate: Tabulate) -> None:
    """All columns, of a variant with two consequences and of one with none."""
    rows = tabulate.rows(
        "chr1 100 rs1 A T 30.5 PASS GAS_REC=7;C_SIG=Benign,Likely;C_AF=0.25;C_SEEN;"
        "BCSQ=intron|ABC||protein_coding,missense|ABC|ENST1|protein_coding|+|10N>10Y|100A>T",
        "chr1 101 . AC A . . GAS_REC=8",
    )
    assert list(rows[0]) == [
        "rec", "chrom", "pos", "id", "ref", "alt", "qual", "filter", "consequence", "impact", "gene", "transcript",
        "biotype", "strand", "protein_change", "amino_acid_change", "dna_change", "after_stop", "most_severe",
        "carriers", "C_SIG", "C_AF", "C_SEEN", "C_GONE",
    ]  # fmt: skip
    head = (7, "chr1", 100, "rs1", "A", "T", 30.5, "PASS")
    tail = (None, "Benign,Likely", 0.25, True, None)
    assert [tuple(row.values()) for row in rows] == [
        (*head, "intron_variant", "MODIFIER", "ABC", None, "protein_coding", *[None] * 4, False, False, *tail),
        (
            *head, "missense_variant", "MODERATE", "ABC", "ENST1", "protein_coding", "+", "N10Y", "10N>10Y", "100A>T",
            False, True, *tail,
        ),
        (8, "chr1", 101, None, "AC", "A", None, None, *[None] * 10, True, *[None] * 5),
    ]  # fmt: skip


@pytest.mark.parametrize("word", CONSEQUENCES)
def test_each_word_of_csq_has_its_term_and_impact(tabulate: Tabulate, word: str) -> None:
    """The table speaks the Sequence Ontology."""
    (row,) = tabulate.rows(f"chr1 100 . A T . . BCSQ={word}|G||x")
    assert (row["consequence"], row["impact"]) == CONSEQUENCES[word]


@pytest.mark.parametrize(
    ("word", "consequence", "impact", "after_stop"),
    [
        ("stop_gained&frameshift", "stop_gained&frameshift_variant", "HIGH", False),
        ("splice_region&5_prime_utr", "splice_region_variant&5_prime_UTR_variant", "LOW", False),
        ("missense&NMD_transcript", "missense_variant&NMD_transcript_variant", "MODERATE", False),
        ("*missense", "missense_variant", "MODERATE", True),
        ("*missense&inframe_altering", "missense_variant&protein_altering_variant", "MODERATE", True),
        ("brand_new", "brand_new", "MODIFIER", False),
    ],
)
def test_compounds_and_what_follows_a_stop(
    tabulate: Tabulate, word: str, consequence: str, impact: str, after_stop: bool
) -> None:
    """Joined terms stay joined, the worst decides; the star becomes a column; a new word is kept as it is."""
    (row,) = tabulate.rows(f"chr1 100 . A T . . BCSQ={word}|G|T|x|+|1A>1C|100A>T")
    assert (row["consequence"], row["impact"], row["after_stop"]) == (consequence, impact, after_stop)


@pytest.mark.parametrize(
    ("change", "protein_change"),
    [
        ("501N>498Y", "N501Y"),
        ("27Q>27*", "Q27*"),
        ("7097*>7097Q", "*7097Q"),
        ("924F", "F924="),
        ("68IHV>68I", "68IHV>68I"),
        ("12MAC..14*>12MAC..20*", "12MAC..14*>12MAC..20*"),
        ("345YLLHGTVSE*>345LPPPWNSLRV", "Y345fs"),
    ],
)
def test_a_changed_residue_is_written_as_biologists_do(tabulate: Tabulate, change: str, protein_change: str) -> None:
    """Numbered in the reference's protein, whatever was deleted before; what is more than a residue stays csq's."""
    word = "frameshift" if ".." in change or "fs" in protein_change else "missense"
    (row,) = tabulate.rows(f"chr1 100 . A T . . BCSQ={word}|G|T|x|+|{change}|100A>T")
    assert (row["protein_change"], row["amino_acid_change"]) == (protein_change, change)


def test_exactly_one_row_of_a_variant_is_its_most_severe(tabulate: Tabulate) -> None:
    """The first of the worst; a variant without consequence counts as well."""
    rows = tabulate.rows(
        "chr1 100 . A T . . BCSQ=synonymous|G|T1|x,stop_gained|G|T2|x,stop_gained|G|T3|x,brand_new|G|T4|x",
        "chr1 100 . A G . . BCSQ=brand_new|G|T1|x",
        "chr1 101 . A G . . .",
    )
    assert only(rows, "alt", "transcript", "most_severe") == [
        ("T", "T1", False), ("T", "T2", True), ("T", "T3", False), ("T", "T4", False), ("G", "T1", True),
        ("G", None, True),
    ]  # fmt: skip


def test_references_to_another_record_are_resolved(tabulate: Tabulate) -> None:
    """``@POS`` stands for those entries there that name this very change, in every transcript, and for no other."""
    both = "missense|N|{}|x|+|203R>203K|100G>A+101G>A"
    rows = tabulate.rows(
        f"chr1 100 . G A . . BCSQ={both.format('T1')},{both.format('T2')},synonymous|N|T1|x|+|203R|100G>A",
        "chr1 100 . G T . . BCSQ=missense|N|T1|x|+|203R>203M|100G>T",
        "chr1 101 . G A . . BCSQ=@100,intron|M||x",
        "chr2 101 . G A . . BCSQ=@100",
    )
    assert only(rows, "chrom", "pos", "alt", "transcript", "consequence") == [
        ("chr1", 100, "A", "T1", "missense_variant"),
        ("chr1", 100, "A", "T2", "missense_variant"),
        ("chr1", 100, "A", "T1", "synonymous_variant"),
        ("chr1", 100, "T", "T1", "missense_variant"),
        ("chr1", 101, "A", "T1", "missense_variant"),
        ("chr1", 101, "A", "T2", "missense_variant"),
        ("chr1", 101, "A", None, "intron_variant"),
        ("chr2", 101, "A", None, None),
    ]
    assert [row["most_severe"] for row in rows] == [True, False, False, True, True, False, False, True]


def test_a_reference_that_leads_nowhere_is_counted(tabulate: Tabulate) -> None:
    """It leaves the variant without that consequence, and a note."""
    counts = tabulate("chr1 101 . G A . . BCSQ=@100", "chr1 102 id@1 G A . . .").counts
    assert (counts.unresolved, counts.variants, counts.annotated) == (1, 2, 0)


def test_carriers_are_counted_where_there_are_genotypes(tabulate: Tabulate) -> None:
    """Samples with the allele, haploid or diploid, phased or not; missing ones are none."""
    rows = tabulate.rows(
        "chr1 100 . A T . . . GT 0/1 1|1 1 ./. 0 .", "chr1 101 . A T . . . GT 0 0 0 0 0 0", samples="abcdef"
    )
    assert [row["carriers"] for row in rows] == [3, 0]


@pytest.mark.parametrize(
    ("record", "column", "value"),
    [
        ("chr1 1 . A T nan . .", "qual", None),
        ("chr1 1 . A T inf . .", "qual", None),
        ("chr1 1 . A T 1e3 . .", "qual", 1000.0),
        ("chr1 1 . A <DEL> . q10;s50 .", "filter", "q10;s50"),
        ("chr1 1 a\"b'c A T . . .", "id", "a\"b'c"),
        ("chr1 1 . A T . . C_SIG=a|b\\n", "C_SIG", "a|b\\n"),
        ("chr1 1 . A . . . .", "alt", None),
    ],
)
def test_odd_values_come_through(tabulate: Tabulate, record: str, column: str, value: Any) -> None:
    """Numbers that are none become null, quotes and backslashes are nothing special."""
    (row,) = tabulate.rows(record)
    assert row[column] == value


def test_text_that_is_not_utf8_is_mended(tabulate: Tabulate) -> None:
    """Old files hold Latin-1 names: the letter is replaced, the row is not lost."""
    rows = tabulate.rows("chr1 1 é A T . . .", "chr1 2 . A T . . .", encoding="latin-1")
    assert only(rows, "id", "pos") == [("\N{REPLACEMENT CHARACTER}", 1), (None, 2)]


def test_a_very_long_allele_fits(tabulate: Tabulate) -> None:
    """An inserted megabase is one row."""
    (row,) = tabulate.rows(f"chr1 1 . A A{'C' * 3_000_000} . . .")
    assert len(row["alt"]) == 3_000_001


def test_a_table_of_more_text_than_memory_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of a whole result takes memory for some lines of its text, however long that is."""
    monkeypatch.setattr(report, "_MEMORY_LIMIT", "100MB")
    vcf, bases, records = tmp_path / "whole.vcf", "C" * 500, 220_000
    with vcf.open("w") as out:
        out.write(HEADER + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        out.writelines(f"chr1\t{n}\t.\tC\t{bases}\t.\t.\tGAS_REC={n}\n" for n in range(1, records + 1))
    report.write_table(vcf, tmp_path / "whole.parquet", source_columns=(), work_dir=tmp_path)
    with duckdb.connect() as database:
        counted = database.execute("SELECT count(*) FROM read_parquet(?)", [str(tmp_path / "whole.parquet")])
        assert counted.fetchone() == (records,)


# --- counts -----------------------------------------------------------------------------------------------------------


def test_variants_are_counted_by_kind_and_size(tabulate: Tabulate) -> None:
    """Kinds, sizes with their sign, transitions over transversions, contigs."""
    alleles = [
        "A G",
        "A T",
        "A C",
        "C T",
        "AC A",
        "A ACG",
        f"A A{'C' * 60}",
        "AC GT",
        "A *",
        "A <DEL>",
        "A A[chr1:9[",
        "A .",
    ]
    records = [f"chr1 {i + 1} . {pair} . . ." for i, pair in enumerate(alleles)]
    counts = tabulate(*records, "chr2 1 . N A . . .").counts
    assert counts.kinds == {
        "SNV": 5, "deletion": 1, "insertion": 2, "MNV": 1, "overlapping deletion": 1, "symbolic": 1, "breakend": 1,
        "no alternate allele": 1,
    }  # fmt: skip
    assert counts.indel_sizes == {-1: 1, 2: 1, 51: 1}
    assert (counts.transitions, counts.transversions) == (2, 2)
    assert counts.contigs == {"chr1": 12, "chr2": 1}


def test_genes_and_consequences_are_counted_once_for_each_variant(tabulate: Tabulate) -> None:
    """A variant in two transcripts of a gene counts once there, by the worst it does to it."""
    counts = tabulate(
        "chr1 1 rs1 A T . . GAS_REC=1;BCSQ=missense|A|T1|x,stop_gained&frameshift|A|T2|x,intron|B||x",
        "chr1 1 . A T . . GAS_REC=2;C_AF=0.5;BCSQ=synonymous|A|T1|x",
        "chr1 2 . A T . . GAS_REC=3",
    ).counts
    assert counts.genes == {"A": 2, "B": 1}
    assert counts.genes_by_impact == {"A": {"HIGH": 1, "LOW": 1}, "B": {"MODIFIER": 1}}
    assert counts.most_severe == {"stop_gained": 1, "synonymous_variant": 1}
    assert counts.consequences == {
        "missense_variant": 1, "stop_gained": 1, "frameshift_variant": 1, "intron_variant": 1, "synonymous_variant": 1,
    }  # fmt: skip
    assert counts.impacts == {"HIGH": 1, "LOW": 1}
    assert (counts.variants, counts.rows, counts.annotated, counts.known) == (3, 5, 2, 2)
    assert counts.sources == {"C_SIG": 0, "C_AF": 1, "C_SEEN": 0, "C_GONE": 0}


# --- a whole run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def called(sars_cov_2: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo file, split and called by csq with its haplotypes."""
    folder = tmp_path_factory.mktemp("called")
    split, result = folder / "split.bcf", folder / "called.bcf"
    fasta, gff = str(sars_cov_2.fasta), str(sars_cov_2.gff)
    bcftools.norm("-m", "-any", "-f", fasta, "-Ob", "-o", str(split), str(demo_vcf()), catch_stdout=False)
    csq("-p", "a", "-f", fasta, "-g", gff, "-Ob", "-o", str(result), str(split))
    return result


def make_run(reference: Reference) -> report.Run:
    return report.Run(
        file_name="lineages.vcf",
        reference=reference,
        engine_version="1.2.3",
        bcftools_version="1.24",
        options={"processors": 1},
        mode="haplotype-aware",
        phase="known",
        samples=5,
        records=130,
        skipped={"symbolic allele": 2},
        notes=("The file was not sorted.",),
        timings={"csq": 0.1234},
    )


Merge = Callable[..., dict[str, Any]]


@pytest.fixture
def merge(sars_cov_2: Reference, tmp_path: Path) -> Merge:
    """Merges parts into files of ``tmp_path`` named ``out``."""

    def merged(*parts: report.ChunkTable) -> dict[str, Any]:
        return report.merge(
            parts,
            run=make_run(sars_cov_2),
            table=tmp_path / "out.parquet",
            log=tmp_path / "out.vcf.count.log",
            summary=tmp_path / "out.summary.json",
            work_dir=tmp_path,
        )

    return merged


def chunk(bcf: Path, folder: Path, name: str) -> report.ChunkTable:
    return report.chunk_table(bcf, folder / name, source_columns=(), work_dir=folder)


def test_the_summary_of_the_lineages(called: Path, merge: Merge, tmp_path: Path) -> None:
    """What is in the summary, against numbers found by other means."""
    said = merge(chunk(called, tmp_path, "part.parquet"))
    assert json.loads((tmp_path / "out.summary.json").read_text()) == said
    with pysam.VariantFile(str(called)) as vcf:
        records = [(record.pos, record.info.get("BCSQ", ())) for record in vcf]
    entries = [entry for _, entry in records]
    assert said["counts"]["variants"] == len(entries) == 132
    assert said["counts"]["unannotated"] == sum(not entry for entry in entries) == 6
    assert said["by_consequence"]["stop_gained"] == 1
    assert said["by_impact"]["HIGH"] == 1
    assert said["by_contig"] == {"NC_045512.2": 132}
    assert said["by_kind"] == {"SNV": 119, "deletion": 12, "insertion": 1}
    assert next(iter(said["by_gene"])) == "ORF8"
    assert said["gene_impacts"]["ORF8"] == {"HIGH": 1, "MODERATE": 4, "LOW": 0, "MODIFIER": 0}
    in_spike = sum(21_563 <= position <= 25_384 for position, _ in records)
    assert said["by_gene"]["S"] == in_spike
    assert said["provenance"]["reference"]["name"] == "sars-cov-2"
    assert said["first_rows"][0]["dna_change"] == "733T>C"
    assert len(said["first_rows"]) == 10
    resolved = [row for row in read(tmp_path / "out.parquet") if (row["pos"], row["alt"]) == (28882, "A")]
    assert {row["amino_acid_change"] for row in resolved} == {"203R>203K", "203R>200K"}
    assert {row["carriers"] for row in resolved} == {3}


def test_the_log_can_be_read(called: Path, merge: Merge, tmp_path: Path) -> None:
    """Counts by consequence and by gene, what was skipped, notes: as text."""
    merge(chunk(called, tmp_path, "part.parquet"))
    lines = (tmp_path / "out.vcf.count.log").read_text().splitlines()
    assert lines[0] == "Annotation of lineages.vcf"
    assert "Consequences haplotype-aware (phase known)" in lines
    words = [" ".join(line.split()) for line in lines]
    for expected in (
        "Engine GAS 1.2.3, bcftools 1.24",
        "Records in the file 130",
        "Variants (alternate alleles) 132",
        "stop_gained HIGH 1",
        "ORF8 5 1 HIGH, 4 MODERATE",
        "symbolic allele 2",
        "The file was not sorted.",
        "csq 0.123",
    ):
        assert expected in words


def test_a_whole_table_is_taken_as_it_is(called: Path, merge: Merge, tmp_path: Path) -> None:
    """One piece that knew itself the only one gives the rows, and the summary, that it gives by way of a part."""
    by_part = merge(chunk(called, tmp_path, "part.parquet"))
    rows = read(tmp_path / "out.parquet")
    only_piece = report.chunk_table(called, tmp_path / "only.parquet", source_columns=(), work_dir=tmp_path, whole=True)
    written = only_piece.path.read_bytes()
    assert merge(only_piece) == by_part
    assert (tmp_path / "out.parquet").read_bytes() == written
    assert read(tmp_path / "out.parquet") == rows


def test_parts_add_up_in_their_order(called: Path, merge: Merge, tmp_path: Path) -> None:
    """Two pieces give the counts and the rows of the whole."""
    whole = merge(chunk(called, tmp_path, "whole.parquet"))
    rows = read(tmp_path / "out.parquet")
    pieces = []
    for name, condition in (("left", "POS<23000"), ("right", "POS>=23000")):
        piece = tmp_path / f"{name}.bcf"
        bcftools.view("-i", condition, "-Ob", "-o", str(piece), str(called), catch_stdout=False)
        pieces.append(chunk(piece, tmp_path, f"{name}.parquet"))
    assert merge(*pieces) == whole
    assert read(tmp_path / "out.parquet") == rows


def test_the_same_input_gives_the_same_bytes(called: Path, merge: Merge, tmp_path: Path) -> None:
    """Table, log and summary can be compared by their checksums."""
    written = []
    for _ in range(2):
        pieces = [chunk(called, tmp_path, f"{name}.parquet") for name in "ab"]
        merge(*pieces)
        written.append([path.read_bytes() for path in sorted(tmp_path.glob("out.*"))])
    assert len(written[0]) == 3
    assert written[0] == written[1]


def test_a_file_without_records_gets_an_empty_table(merge: Merge, tmp_path: Path) -> None:
    """Header only: a table with all columns and no rows, a summary of zeros."""
    said = merge()
    assert read(tmp_path / "out.parquet") == []
    assert said["counts"]["variants"] == 0
    assert said["ts_tv"] is None
    with duckdb.connect() as database:
        assert "most_severe" in database.read_parquet(str(tmp_path / "out.parquet")).columns


_FORKS = """
import os, sys
from pathlib import Path
from gas.annotation import report

def threads():
    return len(os.listdir("/proc/self/task"))

bcf, folder = Path(sys.argv[1]), Path(sys.argv[2])
before = threads()
report.preload()
assert threads() == before, "a thread would not survive the fork"
children = []
for name in "ab":
    work = folder / name
    work.mkdir()
    if (child := os.fork()) == 0:
        report.chunk_table(bcf, work / "part.parquet", source_columns=(), work_dir=work)
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux shows them")
def test_forked_children_go_on_with_the_prepared_database(called: Path, tmp_path: Path) -> None:
    """Preloading starts no thread, and children forked afterwards make the very table that is made without it."""
    subprocess.run([sys.executable, "-c", _FORKS, str(called), str(tmp_path)], check=True, timeout=60)
    alone = chunk(called, tmp_path, "alone.parquet").path.read_bytes()
    assert [(tmp_path / name / "part.parquet").read_bytes() == alone for name in "ab"] == [True, True]
