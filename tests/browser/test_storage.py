"""A result goes to the archive, and comes back: at a real browser, on a stack with a short delay."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from gas.local.stack import Stack
from tests.browser.conftest import ALICE, PATIENCE_MS
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.live]

#: Delay, interval, a run of Airflow and the page's own pace, on a machine that may be busy.
GONE_MS = 90_000
BACK_MS = 90_000


@pytest.fixture
def alice(browser: Browser, hasty_stack: Stack) -> Iterator[Visitor]:
    """Alice, signed in."""
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    visitor = Visitor(context, hasty_stack.layout.web_url)
    visitor.sign_in(ALICE)
    yield visitor
    visitor.post("unsubscribe", {})
    context.close()
    assert visitor.unexpected_complaints == []
    assert visitor.strangers == set()


def seen(look: Callable[[], dict[str, Any]], state: str) -> None:
    """Wait until the API tells that the result is in this state."""
    deadline = time.monotonic() + BACK_MS / 1000
    while look()["storage"]["state"] != state:
        assert time.monotonic() < deadline, look()
        time.sleep(0.05)


def test_result_is_archived_and_comes_back_by_an_upgrade(alice: Visitor, demo_vcf: Path, tmp_path: Path) -> None:
    """Annotated, archived after the delay, retrieved after an upgrade, and the same bytes; then deleted for good."""
    job_id = alice.submit(demo_vcf)
    alice.await_end("COMPLETED")
    page = alice.page
    expect(page.get_by_text("It moves to the archive not before")).to_be_visible()
    before = alice.saved("Annotated VCF", tmp_path).read_bytes()

    expect(page.get_by_text("In the archive since")).to_be_visible(timeout=GONE_MS)
    expect(page.get_by_role("link", name=re.compile("Annotated VCF"))).to_have_count(0)
    expect(page.get_by_role("region", name="First annotated variants")).to_contain_text("MODERATE")
    refusal = alice.api(f"jobs/{job_id}/download/vcf")
    assert (refusal.status, refusal.json()["kind"]) == (409, "archived")

    page.get_by_role("button", name="Upgrade and bring it back").click()
    seen(lambda: alice.job(job_id), "THAWING")
    page.reload()
    expect(page.get_by_role("heading", name="On its way back")).to_be_visible()
    page.evaluate("window.neverReloaded = true")
    expect(page.get_by_role("link", name=re.compile("Annotated VCF"))).to_be_visible(timeout=BACK_MS)
    assert page.evaluate("window.neverReloaded") is True
    after = alice.saved("Annotated VCF", tmp_path).read_bytes()
    assert hashlib.sha256(after).digest() == hashlib.sha256(before).digest()
    assert alice.saved("Index", tmp_path).stat().st_size > 0
    assert alice.job(job_id)["storage"]["not_before"] is None

    page.get_by_role("link", name="Delete this job").click()
    expect(page.get_by_text("This cannot be undone.")).to_be_visible()
    page.get_by_role("button", name="Delete it for good").click()
    expect(page).to_have_url(f"{alice.url}/jobs/")
    expect(page.locator(f"[data-job-id='{job_id}']")).to_have_count(0)
    assert alice.api(f"jobs/{job_id}").status == 404
