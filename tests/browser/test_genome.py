"""Looking at a result in the genome, and at pasted variants, in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import ALICE, At, FinishedJob
from tests.browser.test_accessibility import RULES

pytestmark = [pytest.mark.browser, pytest.mark.live]

#: igv.js's own markup is not GAS's.
OURS = {"exclude": [["#genome"]]}
#: What the tracks of igv.js hold, as it says itself.
HELD = """() => {
  const browser = document.querySelector("#genome").browser;
  const features = (type) => browser.findTracks("type", type)[0].trackView.viewports[0].featureCache?.features ?? [];
  return {
    loci: browser.currentLoci(),
    variants: features("variant").map((one) => one.pos),
    genes: features("annotation").length,
    sequence: features("sequence").bases ?? "",
  };
}"""
#: Where the variant in the middle is drawn.
VARIANT = """() => {
  const browser = document.querySelector("#genome").browser;
  const drawn = browser.findTracks("type", "variant")[0].trackView.viewports[0].canvas.getBoundingClientRect();
  return [drawn.x + drawn.width / 2, drawn.y + 15];
}"""


def held(page: Page) -> Any:
    """What igv.js shows, once it has drawn."""
    expect(page.locator("#genome")).to_have_attribute("data-state", "ready")
    page.wait_for_function(f"() => {{ const held = ({HELD})(); return held.variants.length && held.genes; }}")
    return page.evaluate(HELD)


def broken_rules(page: Page) -> str:
    results = Axe().run(page, context=OURS, options=RULES)
    return results.generate_report() if results.violations_count else ""


def test_from_a_row_to_its_place_in_the_genome(at: At, finished_job: FinishedJob) -> None:
    """The view opens around the variant with its tracks filled, by ranges of the result in the object store.

    That nothing was asked of another host, and that the console is silent, is asserted of every visitor.
    """
    alice = at(ALICE)
    page = alice.page
    ranges: list[str] = []
    alice.context.on("response", lambda answer: ranges.append(answer.url) if answer.status == 206 else None)
    alice.go(f"/jobs/{finished_job.job_id}/table?where=pos:is:23403")
    page.get_by_role("link", name="Genome view of row 1").click()
    shown = held(page)
    assert shown["loci"] == "NC_045512.2:23363-23443"
    assert 23403 in shown["variants"]
    assert any("annotated.vcf.gz" in url and "X-Amz-Expires" in url for url in ranges)
    assert any("genes.gff3.gz" in url for url in ranges)
    assert any("genome.fa.gz" in url for url in ranges)
    expect(page.get_by_role("region", name="Annotated variants at NC_045512.2:23,403")).to_contain_text("D614G")
    assert broken_rules(page) == ""
    page.get_by_role("link", name="Variant after").click()
    expect(page).not_to_have_url(f"{alice.url}/jobs/{finished_job.job_id}/genome?locus=NC_045512.2:23403")
    assert held(page)["loci"] != shown["loci"]


def test_a_click_tells_what_the_file_says(at: At, finished_job: FinishedJob) -> None:
    """igv.js's own window opens within the page's policy, in the dark theme as well."""
    alice = at(ALICE)
    page = alice.page
    page.emulate_media(color_scheme="dark")
    alice.go(f"/jobs/{finished_job.job_id}/genome?locus=NC_045512.2:23403")
    held(page)
    x, y = page.evaluate(VARIANT)
    page.mouse.click(x, y)
    expect(page.locator("#genome .igv-ui-popover").filter(has_text=re.compile("\\S")).first).to_be_visible()
    assert broken_rules(page) == ""


def test_pasted_variants_are_answered_in_the_page(at: At) -> None:
    """Rows and problems stand under the form, at phone width too, and the focus is at the answer."""
    alice = at(ALICE)
    page = alice.page
    page.set_viewport_size({"width": 390, "height": 844})
    alice.go("/jobs/new")
    page.get_by_role("link", name="Paste a few variants instead").click()
    page.get_by_label("Reference genome").select_option("sars-cov-2")
    page.get_by_label("Variants, one a line").fill("NC_045512.2-23403-A-G\nNC_045512.2-23403-C-G\n")
    page.get_by_role("button", name="Annotate", exact=True).click()
    expect(page.get_by_role("region", name="Annotated variants")).to_contain_text("D614G")
    expect(page.get_by_text("REF is C, and sars-cov-2 has A at NC_045512.2:23,403.")).to_be_visible()
    expect(page.locator("#result")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert broken_rules(page) == ""
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="Keep as a job").click()
    expect(page.get_by_role("heading", name="pasted-variants.vcf")).to_be_visible()
    alice.await_end("COMPLETED")
