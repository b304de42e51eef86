"""Looking at a result: the page of its table, and the calls of the API behind it."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import duckdb
import pytest

from gas.job import ArchiveBackend, Job
from gas.services import Services
from gas.storage_table import new_token
from tests.webui.conftest import ALICE, Browser, Jobs
from webui import explore_api


@pytest.fixture
def job(jobs: Jobs) -> Job:
    return jobs.annotated(ALICE)


def api(job: Job, what: str = "") -> str:
    return f"/api/v1/jobs/{job.job_id}/table{what}"


def archive(services: Services, job: Job) -> None:
    """Take the result of a job to the archive."""
    services.jobs.mark_notified(job.job_id)
    job = services.jobs.get(job.job_id)
    (claimed,) = services.storage.claim([job], token=new_token(), backend=ArchiveBackend.STORAGE_CLASS, delay_s=0)
    services.storage.hot_deleted([services.storage.commit(claimed, "version of the cold copy", delay_s=0)])


def links(text: str) -> list[str]:
    """Where a page's links lead."""
    return [unescape(href) for href in re.findall(r'href="([^"]+)"', text)]


def test_a_page_of_the_table_and_the_next(alice: Browser, job: Job) -> None:
    """Rows, how many there are in all, and a cursor that goes on where the page ended."""
    query = "where=gene:is:S&where=impact:in:HIGH,MODERATE&sort=-pos&columns=pos,gene,impact"
    seen, cursor = [], ""
    while True:
        page = alice.get(api(job, f"?{query}&limit=7{cursor}")).json
        seen += page["rows"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert page["total"]["rows"] == len(seen) > 7
    assert page["total"]["variants"] <= len(seen)
    assert {row["gene"] for row in seen} == {"S"}
    assert [row["pos"] for row in seen] == sorted((row["pos"] for row in seen), reverse=True)
    assert {"name": "pos", "kind": "whole number"} in page["columns"]
    assert page["view"] == f"{query}&limit=7"


def test_a_view_may_be_a_body(alice: Browser, job: Job) -> None:
    """It says what a link says, with the same pages and the same files, and may be longer than an address."""
    query = "where=impact:in:HIGH,MODERATE&where.1=gene:is:S&where.1=gene:is:N&sort=-pos&columns=pos,gene&limit=5"
    body = {
        "where": ["impact:in:HIGH,MODERATE"],
        "groups": [["gene:is:S", "gene:is:N"]],
        "sort": ["-pos"],
        "columns": ["pos", "gene"],
        "limit": 5,
    }
    by_link = alice.get(api(job, f"?{query}")).json
    assert alice.call("POST", f"jobs/{job.job_id}/table", json=body).json == by_link
    following = {**body, "cursor": by_link["next_cursor"]}
    second = alice.call("POST", f"jobs/{job.job_id}/table", json=following).json
    assert second == alice.get(api(job, f"?{query}&cursor={by_link['next_cursor']}")).json
    file = alice.call("POST", f"jobs/{job.job_id}/table/export", json={**body, "format": "tsv"})
    assert file.text == alice.get(api(job, f"/export?{query}&format=tsv")).text
    panel = [f"GENE{number}" for number in range(1000)]
    long = alice.call("POST", f"jobs/{job.job_id}/table", json={"where": [f"gene:in:S,{','.join(panel[1:])}"]}).json
    assert long["total"] == alice.get(api(job, "?where=gene:is:S")).json["total"]


@pytest.mark.parametrize(
    ("what", "body", "status", "said"),
    [
        ("table", {"where": "gene:is:S"}, 422, "where"),
        ("table", {"filter": []}, 422, "filter"),
        ("table", {"where": ["genes:is:S"]}, 422, "there is no column 'genes'"),
        ("table", {"groups": [["gene:is:S"]] * 10}, 422, "groups"),
        ("table", {"match": "none"}, 422, "match"),
        ("table", {"cursor": "x"}, 422, "cursor"),
        ("table", {"limit": 501}, 422, "limit must be"),
        ("table", [], 400, "must be a JSON object"),
        ("table/export", {}, 422, "format"),
        ("table/export", {"format": "csv"}, 422, "format must be one of vcf, tsv"),
        ("table/export", {"format": "tsv", "csq": True}, 422, "only a VCF can have it"),
    ],
)
def test_a_body_that_is_no_view_is_refused(
    alice: Browser, job: Job, what: str, body: object, status: int, said: str
) -> None:
    """As a problem that names what is wrong."""
    answer = alice.call("POST", f"jobs/{job.job_id}/{what}", json=body)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert said in answer.json["detail"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?where=genes:is:S", "there is no column 'genes'"),
        ("?where=pos:contains:1", "can be compared by"),
        ("?limit=many", "limit must be"),
        ("?cursor=x", "cursor"),
        ("?filter=gene", "not a part of a view"),
        ("/suggest", "there is no column ''"),
        ("/suggest?column=pos", "pos holds no text"),
        ("/export", "format must be one of vcf, tsv"),
        ("/export?format=csv", "format must be one of vcf, tsv"),
        ("/export?format=tsv&csq=1", "only a VCF can have it"),
        ("/export?format=tsv&where=x:is:y", "there is no column 'x'"),
    ],
)
def test_a_refusal_is_a_problem_in_one_sentence(alice: Browser, job: Job, query: str, said: str) -> None:
    """422 as problem+json, whichever call was asked."""
    answer = alice.get(api(job, query))
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert said in answer.json["detail"]


def test_suggestions(alice: Browser, job: Job) -> None:
    """Genes as they are typed."""
    found = alice.get(api(job, "/suggest?column=gene&prefix=orf")).json["values"]
    assert {one["value"][:3] for one in found} == {"ORF"}
    assert all(one["rows"] > 0 for one in found)


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
def test_an_export_has_as_many_rows_as_are_shown(alice: Browser, job: Job, form: str) -> None:
    """Whatever the page: the file is the whole view, and is named after the input."""
    query = "where=impact:is:MODERATE&limit=3&sort=gene"
    total = alice.get(api(job, f"?{query}")).json["total"]
    answer = alice.get(api(job, f"/export?format={form}&{query}"))
    assert len(answer.text.splitlines()) - (form == "tsv") == total["rows"]
    assert f'filename="cohort.view.{form}"' in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("csq", [0, 1])
def test_a_vcf_has_as_many_records_as_there_are_variants(alice: Browser, job: Job, csq: int) -> None:
    """With CSQ where it is asked for."""
    total = alice.get(api(job, "?where=gene:is:S")).json["total"]
    answer = alice.get(api(job, f"/export?format=vcf&csq={csq}&where=gene:is:S"))
    lines = gzip.decompress(answer.data).splitlines()
    assert sum(not line.startswith(b"#") for line in lines) == total["variants"]
    assert any(line.startswith(b"##INFO=<ID=CSQ,") for line in lines) is bool(csq)


@pytest.mark.parametrize(("form", "begins"), [("parquet", b"PAR1"), ("xlsx", b"PK\x03\x04")])
def test_the_other_formats(alice: Browser, job: Job, tmp_path: Path, form: str, begins: bytes) -> None:
    """Each is what it says, and has the rows and the columns of the view."""
    view = "where=gene:is:S&columns=pos,gene,impact"
    total = alice.get(api(job, f"?{view}&limit=1")).json["total"]["rows"]
    sent = alice.get(api(job, f"/export?format={form}&{view}")).data
    assert sent.startswith(begins)
    if form == "parquet":
        (tmp_path / "view.parquet").write_bytes(sent)
        with duckdb.connect() as database:
            read = database.read_parquet(str(tmp_path / "view.parquet"))
            head, rows = read.columns, read.fetchall()
    else:
        with zipfile.ZipFile(io.BytesIO(sent)) as book:
            sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - we wrote it
        head, *rows = [["".join(cell.itertext()) for cell in row] for row in sheet.iterfind(".//{*}row")]
    assert head == ["pos", "gene", "impact"]
    assert len(rows) == total > 10
    assert {row[1] for row in rows} == {"S"}


def test_an_export_ends_when_the_caller_goes_away(alice: Browser, job: Job) -> None:
    """Its place is free again, and its table may be thrown out of the cache."""
    for _ in range(explore_api.EXPORTS + 2):
        answer = alice.get(api(job, "/export?format=tsv"), buffered=False)
        assert next(answer.response)
        answer.close()
        assert answer.status_code == 200


def test_more_exports_at_once_than_a_process_bears_are_asked_to_wait(alice: Browser, job: Job) -> None:
    """Pages and calls are answered meanwhile."""
    under_way = [alice.get(api(job, "/export?format=tsv"), buffered=False) for _ in range(explore_api.EXPORTS)]
    try:
        refused = alice.get(api(job, "/export?format=tsv"))
        assert refused.status_code == 503
        assert "Try again in a minute" in refused.json["detail"]
        assert alice.get(api(job)).status_code == 200
    finally:
        for answer in under_way:
            answer.close()


def test_an_archived_table_explains_itself(alice: Browser, job: Job, services: Services) -> None:
    """The API says 409, the page says what brings it back; a copy on this server changes nothing."""
    assert alice.get(api(job)).status_code == 200
    archive(services, job)
    for what in ("", "/suggest?column=gene", "/export?format=tsv"):
        answer = alice.get(api(job, what))
        assert (answer.status_code, answer.json["kind"]) == (409, "archived")
    page = alice.get(f"/jobs/{job.job_id}/table")
    assert page.status_code == 200
    assert "upgrade to premium" in page.text
    assert "/plan/" in links(page.text)


def test_a_job_that_is_not_done_has_no_table_yet(alice: Browser, jobs: Jobs) -> None:
    """The page says so, the API says 404."""
    waiting = jobs.pending(ALICE)
    assert alice.get(api(waiting)).status_code == 404
    page = alice.get(f"/jobs/{waiting.job_id}/table")
    assert "no table yet" in page.text
    assert f"/jobs/{waiting.job_id}" in links(page.text)


def test_anothers_table_looks_like_none(bob: Browser, job: Job, alice: Browser) -> None:
    """Also after its owner has looked at it here."""
    assert alice.get(api(job)).status_code == 200
    for what in ("", "/suggest?column=gene", "/export?format=vcf"):
        assert bob.get(api(job, what)).status_code == 404
    assert bob.get(f"/jobs/{job.job_id}/table").status_code == 404


def test_the_carriers_of_each_variant(alice: Browser, job: Job) -> None:
    """Asked for, each row has the samples that carry its variant, as many as the table counts; the page names them."""
    rows = alice.get(api(job, "?genotypes=1&columns=pos,carriers&sort=-pos")).json["rows"]
    assert len(rows) == 50
    assert all(len(row["genotypes"]) == row["carriers"] > 0 for row in rows)
    assert "genotypes" not in alice.get(api(job)).json["rows"][0]
    base = f"/jobs/{job.job_id}/table"
    page = alice.get(f"{base}?genotypes=1&columns=pos").text
    sample, genotype = next(iter(rows[-1]["genotypes"].items()))
    assert f"{sample} {genotype}" in alice.get(f"{base}?genotypes=1&columns=pos&sort=-pos").text
    assert "Genotypes of carriers" in page
    assert f"{base}?columns=pos" in links(page)
    assert alice.get(api(job, "?genotypes=2")).status_code == 422
    assert "genotypes" not in "".join(href for href in links(page) if "export" in href)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_works_without_a_script(alice: Browser, job: Job) -> None:
    """The form adds a filter by leading to a stable link; what is shown can be taken away by links."""
    base = f"/jobs/{job.job_id}/table"
    form = {"where": "impact:is:MODERATE", "column": "gene", "operator": "is", "value": "S"}
    added = alice.get(base, query_string=form)
    assert added.headers["Location"] == f"{base}?where=impact:is:MODERATE&where=gene:is:S"
    page = alice.get(added.headers["Location"]).text
    assert "Gene is S" in unescape(page)
    assert f"{base}?where=impact:is:MODERATE" in links(page)
    assert f"{base}?where=impact:is:MODERATE&where=gene:is:S&match=any" in links(page)
    assert f"{base}?where=impact:is:MODERATE&where=gene:is:S&sort=pos" in links(page)
    total = alice.get(api(job, "?where=impact:is:MODERATE&where=gene:is:S")).json["total"]
    text = re.sub(r"<[^>]+>", "", page)
    assert f"{total['rows']} rows, {total['variants']} variants" in text


def test_a_filter_is_put_beside_another_by_the_form(alice: Browser, job: Job) -> None:
    """Chosen in a list: the two are a group, which the page shows as one and the list offers for the next."""
    base = f"/jobs/{job.job_id}/table"
    form = {"where": ["impact:is:HIGH", "gene:is:S"], "column": "gene", "operator": "is", "value": "N", "beside": "1"}
    added = alice.get(base, query_string=form)
    query = "where=impact:is:HIGH&where.1=gene:is:S&where.1=gene:is:N"
    assert added.location == f"{base}?{query}"
    page = unescape(alice.get(added.location).text)
    assert re.findall(r'<option value="(\d*)">([^<]+)</option>', page.partition('name="beside"')[2]) == [
        ("", "the others: and"),
        ("0", "Impact is HIGH: or"),
        ("1", "Gene is S or Gene is N: or"),
    ]
    total = alice.get(api(job, f"?{query}")).json["total"]
    assert f"<b>{total['rows']}</b> rows" in page
    assert f"{base}?where=impact:is:HIGH&where=gene:is:N" in links(page)
    for beside, said in (("7", "not there any more"), ("x", "beside is the number")):
        refused = alice.get(base, query_string={**form, "beside": beside})
        assert (refused.status_code, said in refused.text) == (422, True)


def test_a_link_that_would_be_too_long_is_refused(alice: Browser, job: Job) -> None:
    """With the way to look at so long a list; the browser is led nowhere that no server takes."""
    genes = ",".join(f"GENE{number}" for number in range(1000))
    form = {"where": f"gene:in:{genes}", "column": "gene", "operator": "is", "value": "S"}
    answer = alice.get(f"/jobs/{job.job_id}/table", query_string=form)
    assert answer.status_code == 422
    assert "gas table and the API take longer ones" in answer.text


def test_the_pages_follow_one_another(alice: Browser, job: Job) -> None:
    """The link to the next page leads on, and back to the first."""
    base = f"/jobs/{job.job_id}/table"
    first = alice.get(f"{base}?limit=20&sort=-pos").text
    (following,) = [href for href in links(first) if "cursor=" in href]
    second = alice.get(following).text
    assert "showing 21 to 40" in second
    assert f"{base}?sort=-pos&limit=20" in links(second)


def test_columns_are_hidden_shown_and_moved_by_links(alice: Browser, job: Job) -> None:
    """Each leads to the same view with other columns."""
    base = f"/jobs/{job.job_id}/table"
    found = links(alice.get(f"{base}?columns=pos,gene,impact").text)
    for columns in ("pos,impact", "gene,pos,impact", "pos,impact,gene", "pos,gene,impact,rec"):
        assert f"{base}?columns={columns}" in found
    page = alice.get(f"{base}?columns=gene,pos").text
    assert re.findall(r"<th scope=\"col\"[^>]*><a[^>]*>([^<]+)", page) == ["Gene", "Position"]


def test_sorted_columns_say_so(alice: Browser, job: Job) -> None:
    """To assistive technology too."""
    page = alice.get(f"/jobs/{job.job_id}/table?sort=-pos&columns=pos,gene").text
    assert re.findall(r'aria-sort="(\w+)"', page) == ["descending", "none"]


def test_a_view_without_rows_says_what_to_do(alice: Browser, job: Job) -> None:
    """An empty table offers the way back, and no file of nothing."""
    page = alice.get(f"/jobs/{job.job_id}/table?where=gene:is:nowhere").text
    assert "No variant is like that" in page
    assert f"/jobs/{job.job_id}/table" in links(page)
    assert "export?" not in page


def test_a_link_that_cannot_be_read_shows_everything_and_why(alice: Browser, job: Job) -> None:
    """The sentence of the refusal stands above the whole table."""
    answer = alice.get(f"/jobs/{job.job_id}/table?where=pos:contains:1")
    assert answer.status_code == 422
    assert "pos (whole number) can be compared by" in answer.text
    assert "<tbody>" in answer.text


def test_every_file_on_the_page_can_be_had(alice: Browser, job: Job) -> None:
    """The download links carry the view, without its page."""
    page = alice.get(f"/jobs/{job.job_id}/table?where=gene:is:S&sort=-pos&limit=5").text
    files = [href for href in links(page) if "/export?" in href]
    assert len(files) == 6
    for href in files:
        assert ("where", "gene:is:S") in parse_qsl(urlsplit(href).query)
        assert alice.get(href).status_code == 200


def test_nothing_of_a_file_is_markup(alice: Browser, jobs: Jobs) -> None:
    """Names of files and values that filters are given are shown as they are."""
    job = jobs.annotated(ALICE, name="<b>x</b>.vcf")
    page = alice.get(f"/jobs/{job.job_id}/table", query_string={"where": "gene:is:<script>alert(1)</script>"}).text
    assert "<b>x</b>" not in page
    assert "<script>alert" not in page


def test_the_description_names_the_calls(alice: Browser) -> None:
    """OpenAPI has each of them, their parameters among the components."""
    spec = alice.get("/api/v1/_openapi").json
    for what, verbs in (("table", {"get", "post"}), ("table/suggest", {"get"}), ("table/export", {"get", "post"})):
        assert verbs <= set(spec["paths"][f"/api/v1/jobs/{{job_id}}/{what}"])
    assert {"Where", "Sort", "Columns", "Match"} <= set(spec["components"]["parameters"])
