"""What the pages' scripts do, in Chromium, with the web app and an AWS stand-in behind them and no Airflow."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, Route, expect

from gas.services import Services
from tests.webui.conftest import ALICE, PATIENCE_MS, Browser, FakeAirflow, Jobs

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
VCF = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console said that is amiss; must be empty when the test is over."""
    return []


@pytest.fixture
def page(served: str, alice: Browser, chrome: Chromium, services: Services, complaints: list[str]) -> Iterator[Page]:
    """A page of Alice's, who is signed in."""
    rule = {"AllowedOrigins": [served], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"]}
    services.objects._aws.s3.put_bucket_cors(
        Bucket=services.settings.inputs_bucket, CORSConfiguration={"CORSRules": [rule]}
    )
    context = chrome.new_context(base_url=served, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": "gas_session", "value": alice.cookie, "url": served}])
    context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert complaints == []


def file(name: str, body: bytes = VCF) -> Any:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": body}


def choose(page: Page, *files: Any) -> None:
    page.locator("input[type=file]").set_input_files(list(files))


def item(page: Page, name: str) -> Any:
    return page.locator(".uploads li").filter(has=page.get_by_text(name, exact=True))


def broken_rules(page: Page) -> str:
    results = Axe().run(page, options=RULES)
    return results.generate_report() if results.violations_count else ""


# Several files at once.


def test_several_files_become_a_job_each(page: Page, services: Services, airflow: FakeAirflow) -> None:
    """Chosen together, each keeps its name and becomes a job of its own; the list of jobs shows them."""
    page.goto("/jobs/new")
    names = ["a b.vcf", "b.vcf.gz", "ç.vcf"]
    choose(page, file(names[0]), file(names[1], gzip.compress(VCF)), file(names[2]))
    expect(page.locator(".upload-state")).to_have_text("3 of 3 files will be sent")
    page.get_by_role("button", name="Upload and annotate").click()
    page.wait_for_url("**/jobs/")
    made = services.jobs.of_user(ALICE).items
    assert sorted(job.input_file_name for job in made) == sorted(names)
    assert sorted(airflow.runs) == sorted(job.job_id for job in made)
    for name in names:
        expect(page.get_by_role("link", name=name)).to_be_visible()


def test_one_file_leads_to_its_job(page: Page, services: Services) -> None:
    """A single file ends on the page of its job."""
    page.goto("/jobs/new")
    choose(page, file("one.vcf"))
    page.get_by_role("button", name="Upload and annotate").click()
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
    (job,) = services.jobs.of_user(ALICE).items
    assert page.url.endswith(job.job_id)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("notes.txt", b"hello", "notes.txt does not end in .vcf"),
        ("notes.vcf", b"hello", "This is not a VCF"),
        ("empty.vcf", b"", "empty.vcf is empty"),
        ("reads.bam", gzip.compress(b"BAM\x01more", mtime=0), "is a BAM file, which holds reads"),
        ("reads.vcf.gz", gzip.compress(b"BAM\x01more", mtime=0), "is a BAM file, which holds reads"),
        ("reads.cram", b"CRAM\x03\x00", "is a CRAM file, which holds reads"),
        ("all.zip", b"PK\x03\x04....", "is a ZIP archive"),
        ("torn.vcf.gz", b"\x1f\x8b\x08\x00garbage", "cannot be unpacked"),
        ("text.vcf.gz", gzip.compress(b"hello", mtime=0), "This is not a VCF"),
        ("alleles.vcf.gz", gzip.compress(VCF + b"1\t1\t.\tA\tT!\t.\t.\t.\n", mtime=0), "line 3: ALT must be bases"),
        ("large.vcf", VCF + b"#" * (1 << 20), "takes files up to 1 MiB"),
    ],
)
def test_what_is_plainly_no_vcf_is_told_at_once(page: Page, name: str, body: bytes, said: str) -> None:
    """Each kind has a sentence beside its name, before anything is sent, and the good file beside it can be sent."""
    page.goto("/jobs/new")
    choose(page, file(name, body))
    expect(item(page, name).get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_role("button", name="Upload and annotate")).to_be_disabled()
    choose(page, file("good.vcf"))
    expect(page.locator(".uploads li")).to_have_count(1)
    expect(page.get_by_role("button", name="Upload and annotate")).to_be_enabled()


def test_file_that_fails_holds_up_no_other(page: Page, services: Services, complaints: list[str]) -> None:
    """What the server refuses is told beside the file, the others are jobs, and trying again sends only that one."""
    page.goto("/jobs/new")
    refusals = ["The storage does not answer just now; try again."]

    def refuse_once(route: Route) -> None:
        if refusals and "second.vcf" in (route.request.post_data or ""):
            route.fulfill(status=422, json={"kind": "input", "detail": refusals.pop()})
        else:
            route.continue_()

    page.route("**/api/v1/uploads", refuse_once)
    choose(page, file("first.vcf"), file("second.vcf"))
    page.get_by_role("button", name="Upload and annotate").click()
    expect(item(page, "second.vcf").get_by_role("alert")).to_contain_text("does not answer just now")
    expect(item(page, "first.vcf").get_by_role("link", name="See the job")).to_be_visible()
    expect(page.locator(".upload-state")).to_contain_text("1 submitted, 1 not")
    assert broken_rules(page) == ""
    assert len(complaints) == 1
    complaints.clear()
    page.get_by_role("button", name="Upload and annotate").click()
    page.wait_for_url("**/jobs/")
    assert sorted(job.input_file_name for job in services.jobs.of_user(ALICE).items) == ["first.vcf", "second.vcf"]


def test_file_can_be_left_out(page: Page) -> None:
    """Choosing more adds to the list, the same file is there once, and each can be taken out again."""
    page.goto("/jobs/new")
    choose(page, file("a.vcf"), file("b.vcf"))
    choose(page, file("c.vcf"))
    expect(page.locator(".uploads li")).to_have_count(3)
    page.get_by_role("button", name="Leave out b.vcf").click()
    expect(page.locator(".uploads .name")).to_have_text(["a.vcf", "c.vcf"])


# What moves.


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_jobs_keep_the_rules_of_wcag_2_1_aa(page: Page, jobs: Jobs, scheme: Any) -> None:
    """The list with a search, and a job in each state, light and dark."""
    page.emulate_media(color_scheme=scheme)
    made = [jobs.running(ALICE), jobs.done(ALICE), jobs.failed(ALICE, "line 3: no")]
    found = {}
    for path in ("/jobs/?status=RUNNING", "/jobs/?name=nobody", *(f"/jobs/{job.job_id}" for job in made)):
        page.goto(path)
        found[path] = broken_rules(page)
    assert {path: report for path, report in found.items() if report} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
def test_pages_of_shared_results_keep_the_rules(page: Page, jobs: Jobs, scheme: Any, width: int) -> None:
    """The owner's page, made use of by keyboard, and what the link shows, at phone width too."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"/jobs/{jobs.done(ALICE).job_id}/share")
    page.get_by_label("Good for").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    address = page.get_by_label("The link").input_value()
    found = [broken_rules(page)]
    page.context.clear_cookies()
    page.goto(urlsplit(address).path)
    expect(page.get_by_role("heading", level=1)).to_have_text("cohort.vcf.gz")
    found.append(broken_rules(page))
    assert found == ["", ""]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_cancelled_job_says_so_without_a_jump(page: Page, jobs: Jobs, services: Services) -> None:
    """Cancel on the list by keyboard: the row moves by nothing, and the job is CANCELLED."""
    job = jobs.running(ALICE)
    page.goto("/jobs/")
    row = page.locator(f"[data-job-id='{job.job_id}']")
    before = row.bounding_box()
    row.get_by_role("button", name="Cancel cohort.vcf.gz").focus()
    page.keyboard.press("Enter")
    expect(row.locator(".chip")).to_have_text("Cancelled")
    after = row.bounding_box()
    assert (before["y"], before["height"]) == (after["y"], after["height"])
    assert services.jobs.get(job.job_id).job_status == "CANCELLED"


# The table of a result.


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (360, "dark")])
def test_filters_are_combined_by_keyboard(page: Page, jobs: Jobs, width: int, scheme: Any) -> None:
    """The button behind a filter puts the next one beside it; the group keeps the rules and fits a phone."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"/jobs/{jobs.annotated(ALICE).job_id}/table?where=impact:is:MODERATE&where=gene:is:S")
    page.get_by_role("button", name="Add to Gene is S: or").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("value")).to_be_focused()
    expect(page.get_by_label("combined with").locator("option:checked")).to_have_text("Gene is S: or")
    page.keyboard.type("N")
    page.keyboard.press("Enter")
    page.wait_for_url("**/table?where=impact:is:MODERATE&where.1=gene:is:S&where.1=gene:is:N")
    expect(page.locator(".explore-group")).to_contain_text(re.compile("Gene is S.*or.*Gene is N", re.DOTALL))
    assert broken_rules(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
