"""Variants pasted into the page, or sent by a program, and annotated at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from werkzeug.test import TestResponse

from gas import pasted
from gas.errors import InputError, Unavailable
from gas.job import JobStatus
from gas.pasted import Pasted
from gas.references import NewSource, Reference, ReferenceStore
from gas.services import Services
from gas.settings import Settings
from tests.webui.conftest import ALICE, Browser, FakeAirflow

SPELLINGS = """\
##fileformat=VCFv4.2
NC_045512.2-23403-A-G

MN908947.3:23,403:a:g
NC_045512.2 23403 A G
NC_045512.2\t23403\trs1\tA\tG\t50\tPASS\tDP=3\tGT\t0/1
NC_045512.2:g.23403A>G
NC_045512.2-241-C-T"""


def lines_of(read: Pasted) -> dict[int, str]:
    return {problem.line: problem.sentence for problem in read.problems}


# Reading


def test_every_spelling_is_one_variant(sars_cov_2: Reference) -> None:
    """Dashes, colons, spaces, VCF columns and HGVS's g. say the same; header lines and blank ones are passed over."""
    read = pasted.read(SPELLINGS.splitlines(), sars_cov_2)
    assert read.problems == ()
    assert read.lines == (8, 2, 4, 5, 6, 7)
    changes = {tuple(record.split(b"\t")[i] for i in (0, 1, 3, 4)) for record in read.records[1:]}
    assert changes == {(b"NC_045512.2", b"23403", b"A", b"G")}
    assert [record.split(b"\t")[2] for record in read.records] == [b".", b".", b".", b".", b"rs1", b"."]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("D614G", "This cannot be read as a variant"),
        ("NC_045512.2-23403-A", "This cannot be read as a variant"),
        ("NC_045512.2-x-A-G", "This cannot be read as a variant"),
        ("chr9-100-A-G", "sars-cov-2 has no contig 'chr9'. It has NC_045512.2."),
        ("NC_045512.2-23403-C-G", "REF is C, and sars-cov-2 has A at NC_045512.2:23,403."),
        ("NC_045512.2-23402-A-G", "It would fit one base further on: positions count from 1."),
        ("NC_045512.2-99999-A-G", "lies outside the contig, which has 29,903 bases"),
        ("NC_045512.2-29903-AA-A", "lies outside the contig"),
        ("NC_045512.2-0-A-G", "lies outside the contig"),
        ("NC_045512.2-23403-A-J", "ALT must be bases"),
        ("NC_045512.2\t23403\t.\t<DEL>\tG", "REF must be bases"),
        ("NC_045512.2-23403-A-\ud800", "ALT must be bases"),
        ("NC_045512.2-23403-A-\x07", "control character"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(sars_cov_2: Reference, line: str, sentence: str) -> None:
    """It is told with its number, and the line after it is read all the same."""
    read = pasted.read([line, "NC_045512.2-23403-A-G"], sars_cov_2)
    assert list(lines_of(read)) == [1]
    assert sentence in lines_of(read)[1]
    assert not lines_of(read)[1].startswith("line ")  # the engine's count is of another file
    assert read.lines == (2,)


def test_a_long_line_is_read_quickly_and_said_back_short(sars_cov_2: Reference) -> None:
    """No text of the size that is taken keeps the server busy."""
    for line in ("A" * 60_000, "1-1" * 20_000, "-1A" * 20_000, "1 " * 30_000, "1-1" + "A" * 60_000):
        (problem,) = pasted.read([line], sars_cov_2).problems
        assert len(problem.text) < 210


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["", "#CHROM\tPOS"], "There is no variant in it"),
        (["NC_045512.2-23403-A-G"] * 101, "more than 100 variants"),
        (["A" * (65 * 1024)], "64 KiB"),
        (["NC_045512.2-23403-A-" + ",".join(["A" * n + "C" for n in range(201)])], "201 alleles"),
    ],
)
def test_what_is_too_much_or_nothing_is_refused(sars_cov_2: Reference, lines: list[str], sentence: str) -> None:
    """The sentence says what is taken."""
    with pytest.raises(InputError, match=sentence):
        pasted.read(lines, sars_cov_2)


# Annotating


def test_every_line_has_a_row_or_a_reason(sars_cov_2: Reference, tmp_path: Path) -> None:
    """Rows stand in the order of the lines whatever the genome's, each allele has one, and no file is left."""
    lines = [
        "NC_045512.2-28881-G-A",
        "NC_045512.2-241-C-T",
        "nonsense",
        "NC_045512.2-23403-A-<DEL>",
        "NC_045512.2-23403-A-C,T",
        "NC_045512.2-23403-A-*",
    ]
    settings = Settings(work_dir=tmp_path)
    answer = pasted.answer(pasted.read(lines, sars_cov_2), settings)
    said = [(row["line"], row["alt"], row["gene"], row["protein_change"], row["why_not"]) for row in answer.rows]
    assert said == [
        (1, "A", "N", "R203K", None),
        (2, "T", None, None, "no gene of the reference there"),
        (4, "<DEL>", None, None, "symbolic allele"),
        (5, "C", "S", "D614A", None),
        (5, "T", "S", "D614V", None),
        (6, "*", None, None, "spanning deletion (*)"),
    ]
    assert [problem.line for problem in answer.problems] == [3]
    assert {"impact", "why_not"} <= set(answer.columns)
    assert "qual" not in answer.columns
    assert list(tmp_path.rglob("*")) == [tmp_path / "pasted"]


def test_a_source_has_its_columns(tmp_path: Path, sars_cov_2: Reference) -> None:
    """What a source knows of a variant stands in the answer as in a result's table."""
    known = tmp_path / "clinvar.vcf"
    known.write_text(
        "##fileformat=VCFv4.3\n##contig=<ID=NC_045512.2>\n"
        '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Significance">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        "NC_045512.2\t23403\t777\tA\tG\t.\t.\tCLNSIG=Pathogenic\n"
    )
    data = resources.files("gas") / "data"
    reference = ReferenceStore(tmp_path / "references").add(
        "with-clinvar",
        fasta=Path(str(data / "NC_045512.2.fa")),
        gff=Path(str(data / "NC_045512.2.gff3")),
        sources=[NewSource("clinvar", known, ("CLNSIG",))],
    )
    answer = pasted.answer(pasted.read(["NC_045512.2-23403-A-G"], reference), Settings(work_dir=tmp_path))
    assert {"id", "CLINVAR_CLNSIG"} <= set(answer.columns)
    assert (answer.rows[0]["id"], answer.rows[0]["CLINVAR_CLNSIG"]) == ("777", "Pathogenic")


def test_a_time_out_leaves_nothing_behind(
    sars_cov_2: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that takes too long is ended, its files are gone, and its turn is free again."""
    monkeypatch.setattr(pasted, "TIMEOUT_S", 0.001)
    read = pasted.read(["NC_045512.2-23403-A-G"], sars_cov_2)
    for _ in range(pasted.AT_ONCE + 1):
        with pytest.raises(Unavailable, match="took longer"):
            pasted.answer(read, Settings(work_dir=tmp_path))
    assert list((tmp_path / "pasted").iterdir()) == []


def test_what_a_killed_process_left_is_removed(sars_cov_2: Reference, tmp_path: Path) -> None:
    """Only what is older than any answer takes: another process may be at work in the rest."""
    old, young = tmp_path / "pasted" / "old", tmp_path / "pasted" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    pasted.answer(pasted.read(["NC_045512.2-23403-A-G"], sars_cov_2), Settings(work_dir=tmp_path))
    assert list((tmp_path / "pasted").iterdir()) == [young]


# The call


def ask(browser: Browser, variants: object) -> TestResponse:
    return browser.call("POST", "annotate", json={"reference": "sars-cov-2", "variants": variants})


def test_the_call_takes_a_text_or_a_list(alice: Browser, services: Services) -> None:
    """Either way rows come with their line, and the reason of a line without any."""
    for variants in ("NC_045512.2-23403-A-G\nhello", ["NC_045512.2-23403-A-G", "hello"]):
        answer = ask(alice, variants)
        assert answer.status_code == 200
        (row,) = answer.json["rows"]
        assert (row["line"], row["text"], row["protein_change"]) == (1, "NC_045512.2-23403-A-G", "D614G")
        (problem,) = answer.json["problems"]
        assert (problem["line"], problem["text"]) == (2, "hello")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reference": "sars-cov-2", "variants": ""}, 422),
        ({"reference": "sars-cov-2", "variants": 5}, 422),
        ({"reference": "sars-cov-2"}, 422),
        ({"reference": "none-such", "variants": "1-1-A-G"}, 422),
        ({"reference": "../sars-cov-2", "variants": "1-1-A-G"}, 422),
        ([], 400),
    ],
)
def test_a_call_that_cannot_be_used_is_refused(alice: Browser, body: object, status: int) -> None:
    """With a sentence, and never as a fault of the server."""
    answer = alice.call("POST", "annotate", json=body)
    assert answer.status_code == status
    assert answer.json["detail"]


def test_one_more_than_can_be_answered_is_told_when_to_ask_again(
    alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All turns taken: a 503 that says after how many seconds to try again."""
    monkeypatch.setattr(pasted, "WAIT_S", 0.01)
    for _ in range(pasted.AT_ONCE):
        assert pasted._turns.acquire(blocking=False)
    try:
        answer = ask(alice, "NC_045512.2-23403-A-G")
    finally:
        for _ in range(pasted.AT_ONCE):
            pasted._turns.release()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


# The page


def paste(browser: Browser, **fields: str) -> TestResponse:
    return browser.post("/variants/", data={"reference": "sars-cov-2", "csrf_token": browser.csrf, **fields})


def test_the_page_shows_rows_and_problems(alice: Browser) -> None:
    """What was pasted stays in the form, and nothing of it is markup."""
    page = paste(alice, variants="NC_045512.2-23403-A-G\n<script>alert(1)</script>")
    assert page.status_code == 200
    assert "D614G" in page.text
    assert "Line 2" in page.text
    assert "<script>alert" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)") == 2


def test_the_page_keeps_what_it_refuses(alice: Browser) -> None:
    """A refusal comes with the form as it was filled in."""
    page = paste(alice, variants="\n".join(["NC_045512.2-23403-A-G"] * 101))
    assert page.status_code == 422
    assert "more than 100 variants" in page.text
    assert page.text.count("NC_045512.2-23403-A-G") >= 101


def test_pasted_variants_can_be_kept_as_a_job(alice: Browser, services: Services, airflow: FakeAirflow) -> None:
    """One job, however often the form is sent, of a VCF that holds what could be read."""
    form = alice.get("/variants/").text
    job_id = re.search(r'name="job_id" value="([^"]+)"', form).group(1)
    for _ in range(2):
        answer = paste(alice, variants="NC_045512.2-23403-A-G\nhello", do="keep", job_id=job_id)
        assert answer.headers["Location"].endswith(f"/jobs/{job_id}")
    job = services.jobs.owned(job_id, ALICE)
    assert (job.job_status, job.input_file_name) == (JobStatus.PENDING, "pasted-variants.vcf")
    body = services.objects.read_text(job.input, 10_000)
    assert body.endswith("NC_045512.2\t23403\t.\tA\tG\t.\t.\t.\n")
    assert set(airflow.runs) == {job_id}


# The command


def test_the_command_prints_rows_and_says_what_is_wrong(gas: Callable[..., Result]) -> None:
    """Rows on stdout, problems on stderr; the exit code tells that some line was not annotated."""
    good = gas("variants", "-r", "sars-cov-2", "NC_045512.2-23403-A-G")
    assert good.exit_code == 0, good.output
    assert "D614G" in good.stdout
    mixed = gas("variants", "-r", "sars-cov-2", "NC_045512.2-23403-A-G", "NC_045512.2-23403-C-G")
    assert mixed.exit_code == 2
    assert "D614G" in mixed.stdout
    assert "NC_045512.2-23403-C-G: REF is C, and sars-cov-2 has A" in mixed.stderr


def test_the_command_reads_its_input_and_prints_json(gas: Callable[..., Result]) -> None:
    """Without variants on the line they come from stdin; --json prints the answer whole."""
    answer: Any = json.loads(gas("variants", "-r", "sars-cov-2", "--json", stdin="NC_045512.2-23403-A-G\n").stdout)
    assert [(row["line"], row["gene"]) for row in answer["rows"]] == [(1, "S")]
    assert answer["problems"] == []
