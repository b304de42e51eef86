"""A filtered view as a file: as many rows as are shown, in every format, and nothing that a spreadsheet acts upon."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import duckdb
import pysam
import pytest

from gas.annotation.engine import annotate
from gas.errors import Damaged, InputError
from gas.explore import export, vcf, xlsx
from gas.explore.export import Format
from gas.explore.table import Table
from gas.explore.view import View
from gas.references import Reference, demo_vcf
from tests.unit.explore_inputs import Shelf, made_table
from tests.unit.test_explore import made_rows, view

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("made")
    shelf = Shelf.at(folder / "cache")
    rows = made_rows(5000)
    rows[0] = (*rows[0][:3], "=HYPERLINK(1)", *rows[0][4:16], "\t+1+cmd", *rows[0][17:])
    stored = shelf.store.put("v1", made_table(folder / "made.parquet", rows).read_bytes())
    with ExitStack() as stack:
        yield stack.enter_context(shelf.tables.open(stored))


class Result:
    """A real result: the demo's VCF, annotated."""

    def __init__(self, folder: Path, reference: Reference) -> None:
        self.path = folder / "result.vcf.gz"
        annotate(demo_vcf(), self.path, reference=reference)
        self.vcf = self.path.read_bytes()
        self.parquet = (folder / "result.parquet").read_bytes()
        self.summary = json.loads((folder / "result.summary.json").read_text())


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, sars_cov_2: Reference) -> Result:
    return Result(tmp_path_factory.mktemp("result"), sars_cov_2)


@pytest.fixture
def real(result: Result, tmp_path: Path) -> Iterator[Table]:
    shelf = Shelf.at(tmp_path / "cache")
    with shelf.tables.open(shelf.store.put("v1", result.parquet)) as opened:
        yield opened


VIEWS = [
    "",
    "where=impact:in:HIGH,MODERATE&sort=-pos,gene",
    "where=gene:is:nowhere",
    "columns=pos,alt&where=pos:gt:700",
]


def exported(table: Table, asked: View, form: Format, scratch: Path) -> bytes:
    return b"".join(export.chunks(table, asked, form, scratch=scratch))


def shown(table: Table, asked: View) -> list[tuple[object, ...]]:
    return [row for batch in table.stream(asked, asked.columns) for row in batch]


@pytest.mark.parametrize("query", VIEWS)
def test_tsv_json_lines_and_parquet_hold_what_is_shown(table: Table, tmp_path: Path, query: str) -> None:
    """The rows of the view in its order, its columns in theirs, whatever the page."""
    asked = view(table, f"{query}&limit=3")
    rows = shown(table, asked)
    assert len(rows) == table.total(asked).rows
    lines = exported(table, asked, Format.TSV, tmp_path).decode().split("\n")
    assert lines[0] == "\t".join(asked.columns)
    assert len(lines) - 2 == len(rows)
    assert {line.count("\t") for line in lines[:-1]} == {len(asked.columns) - 1}
    documents = [json.loads(line) for line in exported(table, asked, Format.JSONL, tmp_path).splitlines()]
    assert [tuple(document.values()) for document in documents] == rows
    target = tmp_path / "view.parquet"
    target.write_bytes(exported(table, asked, Format.PARQUET, tmp_path))
    with duckdb.connect() as database:
        read = database.read_parquet(str(target))
        assert tuple(read.columns) == asked.columns
        assert read.fetchall() == rows
    assert list(tmp_path.iterdir()) == [target]


def sheet_cells(data: bytes) -> list[list[tuple[str, str, str]]]:
    """Type, style and text of each cell of the workbook's one sheet."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))  # noqa: S314 - we wrote it
        root = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - we wrote it
    return [
        [(cell.get("t", "n"), cell.get("s", "0"), "".join(cell.itertext())) for cell in row]
        for row in root.iter(f"{MAIN}row")
    ]


@pytest.mark.parametrize("query", VIEWS)
def test_a_workbook_holds_what_is_shown(table: Table, tmp_path: Path, query: str) -> None:
    """One row for each shown, under the columns' names; numbers are numbers."""
    asked = view(table, query)
    head, *rows = sheet_cells(exported(table, asked, Format.XLSX, tmp_path))
    assert [text for _, _, text in head] == list(asked.columns)
    assert len(rows) == table.total(asked).rows
    at = asked.columns.index("pos")
    assert [(row[at][0], int(row[at][2])) for row in rows] == [("n", row[at]) for row in shown(table, asked)]


def test_a_view_that_no_sheet_can_hold_is_refused(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written, and naming both numbers."""
    monkeypatch.setattr(xlsx, "MAX_ROWS", 4999)
    with pytest.raises(InputError, match="at most 4,999 rows and this view has 5,000"):
        export.chunks(table, view(table, ""), Format.XLSX, scratch=tmp_path)


def test_no_text_becomes_a_formula(table: Table, tmp_path: Path) -> None:
    """In TSV an apostrophe comes before it and its tabs go; in XLSX it is text that is marked as quoted."""
    asked = view(table, "columns=id,dna_change,strand&limit=1")
    first = exported(table, asked, Format.TSV, tmp_path).decode().split("\n")[1]
    assert first.split("\t")[:2] == ["'=HYPERLINK(1)", "' +1+cmd"]
    assert first.split("\t")[2] in "+-"
    row = sheet_cells(exported(table, asked, Format.XLSX, tmp_path))[1]
    assert [cell[:2] for cell in row[:2]] == [("inlineStr", "2")] * 2
    assert row[0][2] == "=HYPERLINK(1)"


@pytest.mark.parametrize(
    ("text", "risky"),
    [
        *[("=1+1", True), ("+cmd", True), ("-2+3", True), ("@SUM(A1)", True), (" =1", True), ("\t=1", True)],
        *[
            ("\uff1d1", True),
            ("-", False),
            ("+", False),
            ("-1.5", False),
            ("+1e-5", False),
            ("", False),
            ("A>C", False),
        ],
    ],
)
def test_what_could_be_a_formula(text: str, risky: bool) -> None:
    """A sign of a strand and a number are none."""
    assert export.is_risky(text) is risky


def test_cells_hold_what_excel_can_read() -> None:
    """Control characters, Excel's own escapes and texts that are too long for a cell."""
    texts = ["a\x00b", "_x0041_", "<&>", "x" * 40_000, " y "]
    data = b"".join(xlsx.sheet(["c"], iter([[(text,) for text in texts]]), expected_rows=5, risky=lambda _: False))
    read = [row[0][2] for row in sheet_cells(data)[1:]]
    assert read[:3] == ["a\ufffdb", "_x005F_x0041_", "<&>"]
    assert (len(read[3]), read[3][-6:], read[4]) == (32_767, " [cut]", " y ")


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Ten times the rows take no more of Python's memory on their way out."""

    def peak(rows: int) -> int:
        batches = (made_rows(100) for _ in range(rows // 100))
        tracemalloc.start()
        for _ in xlsx.sheet(["c"] * 22, batches, expected_rows=rows, risky=export.is_risky):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(5_000) < 1.5 * peak(500)


# --- VCF --------------------------------------------------------------------------------------------------------------

VCF_VIEWS = ["", "where=gene:is:S&sort=-pos", "where=impact:is:HIGH", "where=gene:is:nowhere", "where=pos:gt:20000"]


def records(data: bytes, folder: Path) -> list[pysam.VariantRecord]:
    path = folder / "view.vcf.gz"
    path.write_bytes(data)
    with pysam.VariantFile(str(path)) as file:
        return [record.copy() for record in file]


def lines(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Header and records of a compressed VCF."""
    text = gzip.decompress(data).splitlines()
    return [line for line in text if line.startswith(b"#")], [line for line in text if not line.startswith(b"#")]


@pytest.mark.parametrize("query", VCF_VIEWS)
def test_the_vcf_of_a_view_holds_its_variants_untouched(
    real: Table, result: Result, tmp_path: Path, query: str
) -> None:
    """The same header and the same lines in the same order, one for each variant shown; tabix can index it."""
    asked = View.parse(parse_qsl(query), real.schema)
    data = b"".join(vcf.chunks(real, asked, [result.vcf]))
    header, kept = lines(data)
    whole_header, whole = lines(result.vcf)
    assert header == whole_header
    keys = {tuple(row) for row in shown(real, asked.shown(("rec", "pos", "ref", "alt")))}
    wanted = [
        line
        for line in whole
        if (int(line.split(b"GAS_REC=")[1].split(b";")[0].split(b"\t")[0]), int(line.split(b"\t")[1]))
        in {key[:2] for key in keys}
    ]
    assert kept == wanted
    assert len(kept) == real.total(asked).variants
    assert len(records(data, tmp_path)) == len(kept)
    pysam.tabix_index(str(tmp_path / "view.vcf.gz"), preset="vcf")


def test_csq_stands_beside_bcsq(real: Table, result: Result, tmp_path: Path) -> None:
    """VEP's form, described in the header: all consequences of each variant shown; nothing else changes."""
    asked = View.parse(parse_qsl("where=gene:is:S&where=impact:is:MODERATE"), real.schema)
    data = b"".join(vcf.chunks(real, asked, [result.vcf], csq=True))
    bare = b"".join(vcf.chunks(real, asked, [result.vcf]))
    header, kept = lines(data)
    added = [line for line in header if line not in lines(bare)[0]]
    assert len(added) == 1
    assert added[0].endswith(b"Format: " + "|".join(vcf.CSQ_FIELDS).encode() + b'">')
    found = {(record.pos, record.alts[0]): record.info["CSQ"] for record in records(data, tmp_path) if record.alts}
    d614g = dict(zip(vcf.CSQ_FIELDS, found[23403, "G"][0].split("|"), strict=True))
    assert {name: d614g[name] for name in ("Allele", "Consequence", "IMPACT", "SYMBOL", "Feature_type")} == {
        "Allele": "G", "Consequence": "missense_variant", "IMPACT": "MODERATE", "SYMBOL": "S",
        "Feature_type": "Transcript",
    }  # fmt: skip
    assert (d614g["Protein_position"], d614g["Amino_acids"], d614g["STRAND"]) == ("614", "D/G", "1")
    with_consequence = "where=consequence:filled&columns=pos,ref,alt"
    rows = shown(real, View.parse(parse_qsl(with_consequence), real.schema))
    for record in records(data, tmp_path):
        assert len(record.info["CSQ"]) == rows.count((record.pos, record.ref, record.alts[0]))
    plain = [b"\t".join(f if i != 7 else f.split(b";CSQ=")[0] for i, f in enumerate(k.split(b"\t"))) for k in kept]
    assert plain == lines(bare)[1]


def test_an_indel_is_named_as_vep_does() -> None:
    """Without the base before it; a deletion of everything else is a dash."""
    pairs = [("A", "G"), ("AT", "A"), ("A", "ATG"), ("AT", "GC"), ("N", "<DEL>")]
    assert [vcf._allele(ref, alt) for ref, alt in pairs] == ["G", "-", "TG", "GC", "<DEL>"]


def test_a_csq_of_ones_own_is_not_mixed_with_ours(real: Table, result: Result) -> None:
    """The file already has a CSQ, so the export without ours is offered."""
    own = gzip.decompress(result.vcf).replace(
        b"#CHROM", b'##INFO=<ID=CSQ,Number=.,Type=String,Description="x">\n#CHROM'
    )
    asked = View.parse([], real.schema)
    with pytest.raises(InputError, match="a CSQ of its own"):
        next(vcf.chunks(real, asked, [gzip.compress(own)], csq=True))
    assert len(lines(b"".join(vcf.chunks(real, asked, [gzip.compress(own)])))[1]) == real.total(asked).variants


def test_a_vcf_that_lacks_a_record_is_no_whole_export(real: Table, result: Result) -> None:
    """Rows are never lost silently: the file breaks off with an error."""
    short = gzip.compress(b"\n".join(gzip.decompress(result.vcf).split(b"\n")[:-5]) + b"\n")
    with pytest.raises(Damaged, match="which the VCF does not have"):
        b"".join(vcf.chunks(real, View.parse([], real.schema), [short]))


def test_types_and_sizes_are_those_of_the_summary(real: Table, result: Result) -> None:
    """What follows from the alleles is counted there in the same way, so its bars and the table agree."""
    for what, counted in (("type", "by_kind"), ("size", "indel_sizes")):
        for value, variants in result.summary[counted].items():
            asked = View.parse([("where", f"{what}:is:{value}")], real.schema)
            assert real.total(asked).variants == variants


def test_each_variant_without_a_consequence_says_why(sars_cov_2: Reference, tmp_path: Path) -> None:
    """In the words and the numbers of the summary; what has a consequence has no reason."""
    contig = "NC_045512.2"
    alleles = {
        100: "C .", 200: "T *", 241: "C T", 300: "C N", 400: "T <DEL>", 500: f"G G[{contig}:900[", 23403: "A G",
        24000: "G *,A",
    }  # fmt: skip
    source = tmp_path / "odd.vcf"
    source.write_text(
        f"##fileformat=VCFv4.2\n##contig=<ID={contig},length=29903>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"{contig}\t{pos}\t.\t{both.replace(' ', chr(9))}\t.\tPASS\t.\n" for pos, both in alleles.items())
    )
    annotate(source, tmp_path / "odd.vcf.gz", reference=sars_cov_2)
    counts = json.loads((tmp_path / "odd.summary.json").read_text())["counts"]
    shelf = Shelf.at(tmp_path / "cache")
    with shelf.tables.open(shelf.store.put("v1", (tmp_path / "odd.parquet").read_bytes())) as opened:
        asked = View.parse([("columns", "pos,why_not")], opened.schema)
        assert shown(opened, asked) == [
            (100, "no alternative allele"),
            (200, "spanning deletion (*)"),
            (241, "no gene of the reference there"),
            (300, "allele with ambiguous bases"),
            (400, "symbolic allele"),
            (500, "breakend"),
            (23403, None),
            (24000, "spanning deletion (*)"),
            (24000, None),
        ]
        for reason, variants in counts["skipped"].items():
            assert opened.total(View.parse([("where", f"why_not:is:{reason}")], opened.schema)).variants == variants
        assert opened.total(View.parse([("where", "why_not:filled")], opened.schema)).variants == counts["unannotated"]
