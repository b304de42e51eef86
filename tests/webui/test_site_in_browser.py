"""What all pages do in Chromium: the theme, times, dropped files, suggestions, a phone's width, the rules of WCAG."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from werkzeug.serving import make_server

from tests.conftest import free_ports
from tests.webui.conftest import ALICE, Browser, Jobs

pytestmark = pytest.mark.browser

PATIENCE_MS = 20_000
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"

Opens = Callable[..., Page]


@pytest.fixture(scope="module")
def chrome(chromium: str) -> Iterator[Chromium]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu", *sandbox])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the pages' consoles said that is amiss; must be empty when the test is over."""
    return []


@pytest.fixture
def opens(app: Flask, chrome: Chromium, complaints: list[str]) -> Iterator[Opens]:
    """Opens a page, of the person that is signed in with a browser if one is given."""
    port = free_ports()
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    contexts: list[BrowserContext] = []
    url = f"http://localhost:{port}"

    def opened(person: Browser | None = None, **options: Any) -> Page:
        context = chrome.new_context(base_url=url, locale="en-GB", **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        if person:
            context.add_cookies([{"name": "gas_session", "value": person.cookie, "url": url}])
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    server.shutdown()
    server.server_close()
    thread.join()
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
