"""Looking at a result in a real browser: from a bar of its summary to a filtered table, and out again as a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import ALICE, At, FinishedJob
from tests.browser.test_accessibility import RULES

pytestmark = [pytest.mark.browser, pytest.mark.live]


def total(page: Page) -> tuple[int, int]:
    """How many rows and variants the page says there are."""
    said = page.get_by_role("status").filter(has_text="variant").inner_text()
    rows, variants = re.match(r"([\d,]+) rows?, ([\d,]+) variants?", said).groups()
    return int(rows.replace(",", "")), int(variants.replace(",", ""))


def test_from_a_bar_to_a_filtered_file(at: At, finished_job: FinishedJob, tmp_path: Path) -> None:
    """A bar leads to its rows; a gene is suggested as it is typed; the file has the rows that are shown."""
    alice = at(ALICE)
    page = alice.page
    alice.go(f"/jobs/{finished_job.job_id}")
    page.get_by_role("link", name="MODERATE", exact=True).click()
    _, moderate = total(page)
    expect(page.get_by_role("columnheader", name="Impact")).to_be_visible()
    value = page.get_by_label("value")
    value.press_sequentially("or")
    expect(page.locator("#filter-values option").first).to_have_attribute("value", re.compile("^ORF"))
    value.fill("S")
    page.get_by_role("button", name="Add filter").click()
    expect(page).to_have_url(re.compile(r"where=impact:is:MODERATE&where=most_severe:is:true&where=gene:is:S$"))
    rows, variants = total(page)
    assert 0 < variants < moderate
    page.get_by_text("Download these rows").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="TSV").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name.endswith(".view.tsv")
    assert len(saved.read_text().splitlines()) == rows + 1
    page.get_by_role("link", name="Remove the filter Gene is S").click()
    assert total(page)[1] == moderate


def test_sorting_and_columns_by_keyboard(at: At, finished_job: FinishedJob) -> None:
    """Every part of the page is a link, a field or a button that the keyboard reaches."""
    alice = at(ALICE)
    page = alice.page
    alice.go(f"/jobs/{finished_job.job_id}/table")
    for direction in ("ascending", "descending", "none"):
        page.get_by_role("columnheader", name="Position").get_by_role("link").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("columnheader", name="Position")).to_have_attribute("aria-sort", direction)
    page.get_by_text("Columns", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Hide DNA").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="DNA")).to_have_count(0)
    page.get_by_label("Filter by").select_option("pos")
    expect(page.get_by_label("that").get_by_role("option", name="contains")).to_have_count(0)
    page.get_by_label("that").select_option("empty")
    expect(page.get_by_label("value")).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_table_is_accessible_and_fits(
    at: At, finished_job: FinishedJob, scheme: Literal["light", "dark"], width: int
) -> None:
    """Nothing for axe-core to find in either theme, nor anything that makes a phone scroll sideways."""
    alice = at(ALICE)
    page = alice.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    alice.expected_complaints.append("422")
    base = f"/jobs/{finished_job.job_id}/table"
    group = "?where=impact:is:MODERATE&where.1=gene:is:S&where.1=gene:is:N&sort=-pos"
    for path in (base, base + group, f"{base}?where=gene:is:nowhere", f"{base}?where=pos:contains:1"):
        alice.go(path)
        results = Axe().run(page, options=RULES)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    alice.go(base)
    for menu in ("Columns", "Download these rows"):
        page.get_by_text(menu, exact=True).click()
        results = Axe().run(page, options=RULES)
        assert results.violations_count == 0, results.generate_report()
