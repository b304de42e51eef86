"""Every page, light and dark, against axe-core's rules for WCAG 2.1 A and AA."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import ALICE, At, FinishedJob

pytestmark = [pytest.mark.browser, pytest.mark.live]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
AUTHORIZE = (
    "/cli/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback&state=12345678"
    "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&client_name=laptop"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_keep_the_rules_of_wcag_2_1_aa(
    at: At, finished_job: FinishedJob, scheme: Literal["light", "dark"]
) -> None:
    """No page has what axe-core can find against it: names, roles, contrast, order."""
    stranger, alice = at(), at(ALICE)
    alice.expected_complaints.append("404")
    found: list[str] = []
    job = f"/jobs/{finished_job.job_id}"
    for visitor, paths in (
        (stranger, ("/", "/login/")),
        (alice, ("/jobs/", "/jobs/new", job, f"{job}/delete", "/plan/", "/account/notices", "/jobs/none", AUTHORIZE)),
    ):
        visitor.page.emulate_media(color_scheme=scheme)
        for path in paths:
            visitor.go(path)
            results = Axe().run(visitor.page, options=RULES)
            if results.violations_count:
                found.append(f"{path}\n{results.generate_report()}")
    assert found == []
