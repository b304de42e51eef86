"""What all pages do in Chromium: the theme, times, dropped files, suggestions, a phone's width, the rules of WCAG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect

from gas.job import Job, Output
from gas.services import Services
from tests.digests import made_digest
from tests.webui.conftest import ALICE, PATIENCE_MS, Browser, Jobs
from tests.webui.test_changes import BEFORE, annotated_again
from tests.webui.test_storage import archived
from webui import changes

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
#: As long as names of files get, and nowhere to break.
LONG = f"{'cohort_of_many_samples_' * 8}.vcf.gz"
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"

Opens = Callable[..., Page]


@pytest.fixture
def complaints() -> list[str]:
    """What the pages' consoles said that is amiss; must be empty when the test is over."""
    return []


@pytest.fixture
def opens(served: str, chrome: Chromium, complaints: list[str]) -> Iterator[Opens]:
    """Opens a page, of the person that is signed in with a browser if one is given."""
    contexts: list[BrowserContext] = []

    def opened(person: Browser | None = None, **options: Any) -> Page:
        context = chrome.new_context(base_url=served, locale="en-GB", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        if person:
            context.add_cookies([{"name": "gas_session", "value": person.cookie, "url": served}])
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


# The theme.


def ground(page: Page) -> str:
    """The colour that the page lies on."""
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chosen_theme_stays(opens: Opens, alice: Browser, scheme: Any) -> None:
    """The switch turns the page against the system, and that holds after a reload, on other pages, and until undone."""
    page = opens(alice, color_scheme=scheme)
    page.goto("/jobs/")
    switch = page.get_by_role("button", name="Dark theme")
    expect(switch).to_have_attribute("aria-pressed", str(scheme == "dark").lower())
    systems = ground(page)
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", str(scheme != "dark").lower())
    chosen = ground(page)
    assert chosen != systems
    page.reload()
    assert ground(page) == chosen
    page.goto("/jobs/new")
    assert ground(page) == chosen
    expect(switch).to_have_attribute("aria-pressed", str(scheme != "dark").lower())
    switch.click()
    assert ground(page) == systems
    page.reload()
    assert ground(page) == systems


# Times.


@pytest.mark.parametrize(
    ("zone", "shown"), [("Asia/Kolkata", "25 Nov 2026, 01:15"), ("America/New_York", "24 Nov 2026, 14:45")]
)
def test_times_are_the_readers_own(
    opens: Opens, alice: Browser, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, zone: str, shown: str
) -> None:
    """On the list and on the job, what the API says in UTC is told in the reader's zone; the days of the search in UTC.

    The days are labelled so, and a job is found on its day in UTC, whatever day it was to the reader.
    """
    monkeypatch.setattr("tests.webui.conftest.time.time", lambda: 1795549500.0)
    job = jobs.pending(ALICE)
    monkeypatch.undo()
    told = alice.get(f"/api/v1/jobs/{job.job_id}").json["submit_time"]
    assert told == "2026-11-24T19:45:00Z"
    page = opens(alice, timezone_id=zone)
    for path in ("/jobs/", f"/jobs/{job.job_id}"):
        page.goto(path)
        moment = page.locator(f"time[datetime='{told}']").first
        expect(moment).to_have_text(shown)
        expect(moment).to_have_attribute("title", "2026-11-24T19:45:00.000Z")
    page.goto("/jobs/")
    page.locator("summary", has_text="More").click()
    for day, found in (("2026-11-25", 0), ("2026-11-24", 1)):
        for label in ("Submitted from (UTC)", "to (UTC)"):
            page.get_by_label(label, exact=True).fill(day)
        page.get_by_role("button", name="Search").click()
        page.wait_for_url(f"**/jobs/?*from={day}&to={day}")
        expect(page.locator(f"[data-job-id='{job.job_id}']")).to_have_count(found)


# Files that are dropped.


def test_dropped_files_are_chosen(opens: Opens, alice: Browser) -> None:
    """Two files let go over the place for them are in the list with their names; the browser does not open them."""
    page = opens(alice)
    page.goto("/jobs/new")
    dropped = page.evaluate_handle(
        """([text, ...names]) => {
          const dropped = new DataTransfer();
          for (const name of names) dropped.items.add(new File([text], name));
          return dropped;
        }""",
        [VCF, "a b.vcf", "ç.vcf"],
    )
    place = page.locator(".drop")
    place.dispatch_event("dragenter", {"dataTransfer": dropped})
    expect(place).to_contain_class("over")
    prevented = place.evaluate(
        """(place, dataTransfer) => ["dragover", "drop"].map((name) =>
          !place.dispatchEvent(new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true })))""",
        dropped,
    )
    assert prevented == [True, True]
    expect(place).not_to_contain_class("over")
    expect(page.locator(".uploads .name")).to_have_text(["a b.vcf", "ç.vcf"])
    expect(page.locator(".uploads .said")).to_have_text(["Ready to be sent"] * 2)
    expect(page.locator(".upload-state")).to_have_text("2 of 2 files will be sent")
    expect(page.get_by_role("button", name="Upload and annotate")).to_be_enabled()


# Suggestions.


def test_consequences_are_suggested(opens: Opens, alice: Browser, jobs: Jobs) -> None:
    """What is typed in the filter of consequences brings those of the result that begin so; one of them filters."""
    page = opens(alice)
    page.goto(f"/jobs/{jobs.annotated(ALICE).job_id}/table")
    page.get_by_label("Filter by").select_option("consequence")
    value, offered = page.get_by_label("value"), page.locator("#filter-values option")
    expect(offered).to_have_count(5)
    value.press_sequentially("MIS")
    expect(offered).to_have_count(1)
    expect(offered).to_have_attribute("value", "missense_variant")
    value.fill("missense_variant")
    page.get_by_role("button", name="Add filter").click()
    page.wait_for_url("**/table?where=consequence:*:missense_variant")
    rows = page.get_by_role("region").locator("tbody tr")
    expect(rows.filter(has_text="missense")).to_have_count(rows.count())
    assert rows.count() > 1


# The rules of WCAG, and phones.


@pytest.fixture
def again(services: Services, jobs: Jobs, tmp_path: Path) -> Job:
    """A job of Alice's with a page of what changed, its input's name as long as they get."""
    old = made_digest(tmp_path / "old", *BEFORE).read_bytes()
    return annotated_again(services, jobs, jobs.done(ALICE, name=LONG, files={Output.DIGEST: old}), tmp_path)


def broken_rules(page: Page) -> str:
    results = Axe().run(page, options=RULES)
    return results.generate_report() if results.violations_count else ""


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_in_rare_states_keep_the_rules_of_wcag_2_1_aa(
    opens: Opens,
    alice: Browser,
    operator: Browser,
    jobs: Jobs,
    services: Services,
    again: Job,
    complaints: list[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    scheme: Any,
) -> None:
    """No jobs, one cancelled, one archived, what changed, the operators' list of people, and what goes wrong."""
    cancelled = jobs.running(ALICE)
    services.jobs.cancel(cancelled.job_id, ALICE)
    stored = archived(services, jobs)
    look = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    hers, operators = opens(alice, **look), opens(operator, **look)
    found = {}
    for page, path, said in (
        (operators, "/jobs/", "No jobs yet"),
        (hers, f"/jobs/{cancelled.job_id}", "Cancelled"),
        (hers, f"/jobs/{stored.job_id}", "archive"),
        (hers, f"/jobs/{again.job_id}/changes", "Pathogenic"),
        (operators, "/users/list/", "Alice"),
        (hers, "/jobs/?from=yesterday", "From must be a day"),
    ):
        page.goto(path)
        expect(page.locator("main")).to_contain_text(said)
        found[path] = broken_rules(page)

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(changes, "owned_job", broken)
    hers.goto(f"/jobs/{again.job_id}/changes")
    expect(hers.get_by_role("heading", level=1)).to_have_text("Something went wrong on our side")
    found["500"] = broken_rules(hers)
    assert {path: report for path, report in found.items() if report} == {}
    assert [said for said in complaints if "422" not in said and "500" not in said] == []
    complaints.clear()


def test_no_page_is_wider_than_a_phone(
    opens: Opens, alice: Browser, operator: Browser, jobs: Jobs, services: Services, again: Job
) -> None:
    """At 390 CSS pixels no page scrolls sideways, however long the name of a file."""
    result, running = jobs.annotated(ALICE, name=LONG), jobs.running(ALICE, name=LONG)
    failed = jobs.failed(ALICE, f"{LONG} has no such contig", name=LONG)
    phone = {"viewport": {"width": 390, "height": 844}}
    stranger, hers, operators = opens(**phone), opens(alice, **phone), opens(operator, **phone)
    wide = []
    for page, paths in (
        (stranger, ("/", "/login/")),
        (operators, ("/jobs/", "/users/list/")),
        (
            hers,
            (
                "/jobs/",
                "/jobs/?status=COMPLETED",
                "/jobs/new",
                f"/jobs/{result.job_id}",
                f"/jobs/{running.job_id}",
                f"/jobs/{failed.job_id}",
                f"/jobs/{result.job_id}/delete",
                f"/jobs/{result.job_id}/genome",
                f"/jobs/{again.job_id}/changes",
                "/account/notices",
            ),
        ),
    ):
        for path in paths:
            page.goto(path)
            if path.endswith("/genome"):
                expect(page.locator("#genome")).to_have_attribute("data-state", "ready")
            if page.evaluate("document.documentElement.scrollWidth > 390"):
                wide.append(path)
    assert wide == []
