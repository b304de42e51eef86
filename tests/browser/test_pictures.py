"""The pictures in the documents, taken of the pages as they are: ``make pictures`` puts new ones into docs/pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ALICE, At, FinishedJob

pytestmark = [pytest.mark.browser, pytest.mark.live]

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
BAD = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nNC_045512.2\t241\t.\tA\tT\t.\t.\t.\n"
PASTED = "NC_045512.2-23403-A-G\nNC_045512.2-241-C-T\nNC_045512.2-28881-G-A\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go: ``PICTURES`` keeps them."""
    return Path(os.environ.get("PICTURES") or tmp_path).resolve()


def taken(page: Page, folder: Path, name: str) -> str:
    """A picture of what is seen of the page, without a scrollbar."""
    page.screenshot(path=folder / f"{name}.png", animations="disabled")
    return name


def test_every_picture_in_the_documents_can_be_taken_anew(at: At, finished_job: FinishedJob, folder: Path) -> None:
    """The pages that documents show are there, and each picture that they name is one of these."""
    alice = at(ALICE)
    page, job = alice.page, f"/jobs/{finished_job.job_id}"
    page.set_viewport_size({"width": 1200, "height": 780})
    alice.submit({"name": "wrong-reference.vcf", "mimeType": "text/plain", "buffer": BAD})
    alice.await_end("FAILED")
    pictures = set()

    alice.go("/jobs/")
    expect(page.locator("[data-job-id]")).not_to_have_count(0)
    pictures.add(taken(page, folder, "jobs"))
    alice.go("/jobs/new")
    alice.choose(finished_job.vcf)
    pictures.add(taken(page, folder, "new"))
    alice.go(job)
    expect(page.get_by_role("heading", name="Made with")).to_be_visible()
    pictures.add(taken(page, folder, "job"))
    page.get_by_role("link", name="Look at all variants").evaluate("link => link.scrollIntoView({block: 'start'})")
    pictures.add(taken(page, folder, "summary"))
    alice.go(f"{job}/table?column=impact&operator=is&value=MODERATE")
    expect(page.locator("table tbody tr")).not_to_have_count(0)
    pictures.add(taken(page, folder, "table"))
    alice.go(f"{job}/genome?locus=NC_045512.2:23403")
    expect(page.locator("#genome")).to_have_attribute("data-state", "ready")
    page.wait_for_load_state("networkidle")  # what igv.js still wants would fail as the page goes, and be told
    pictures.add(taken(page, folder, "genome"))
    alice.go("/variants/")
    page.get_by_label("Variants, one a line").fill(PASTED)
    page.get_by_role("button", name="Annotate", exact=True).click()
    expect(page.locator("table tbody tr")).not_to_have_count(0)
    pictures.add(taken(page, folder, "variants"))
    alice.go("/account/notices")
    pictures.add(taken(page, folder, "notices"))

    named = {name for text in DOCUMENTS for name in re.findall(r"pictures/([\w-]+)\.png", text.read_text())}
    assert named <= pictures
    assert named == {path.stem for path in (CHECKOUT / "docs" / "pictures").glob("*.png")}
