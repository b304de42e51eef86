"""Signing in and out at a real browser, and what a cookie is worth afterwards."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Cookie, expect

from tests.browser.conftest import ALICE, BOB, At
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.live]


def session_cookie(visitor: Visitor) -> Cookie:
    return next(cookie for cookie in visitor.context.cookies() if cookie.get("name") == "gas_session")


def test_person_signs_in_with_globus_and_sees_who_they_are(at: At) -> None:
    """From the landing page through Globus to My jobs, with name and address in the account menu."""
    alice = at()
    alice.sign_in(ALICE)
    alice.page.locator("#account > summary").click()
    expect(alice.page.locator("#account")).to_contain_text(ALICE)
    expect(alice.page.locator("#account")).to_contain_text("alice@uchicago.example")
    expect(alice.page.locator("#account")).to_contain_text("10 MiB")


def test_sign_in_leads_back_to_the_page_that_was_asked_for(at: At) -> None:
    """Whoever opens a page before signing in ends on that page."""
    bob = at()
    bob.go("/jobs/new")
    bob.page.get_by_role("link", name="Sign in with Globus").click()
    bob.page.get_by_role("button", name=BOB, exact=True).click()
    expect(bob.page.get_by_role("heading", name="New job")).to_be_visible()


def test_signing_in_changes_the_session_and_hides_it_from_scripts(at: At) -> None:
    """A session id that was planted before the sign-in is worthless after it; no script can read the cookie."""
    alice = at()
    alice.go("/login/")
    alice.page.get_by_role("link", name="Sign in with Globus").click()
    before = session_cookie(alice)
    alice.page.get_by_role("button", name=ALICE, exact=True).click()
    expect(alice.page.get_by_role("heading", name="My jobs")).to_be_visible()
    after = session_cookie(alice)
    assert before.get("value") != after.get("value")
    assert after.get("httpOnly")
    assert after.get("sameSite") == "Lax"
    assert "gas_session" not in alice.page.evaluate("document.cookie")
    planted = at()
    planted.context.add_cookies([{"name": "gas_session", "value": str(before.get("value")), "url": planted.url}])
    assert planted.api("me").status == 401


def test_cookie_kept_from_before_the_sign_out_opens_nothing(at: At) -> None:
    """After signing out, the very cookie of the session, replayed, is a stranger's."""
    alice = at()
    alice.sign_in(ALICE)
    kept = session_cookie(alice)
    assert alice.api("me").status == 200
    alice.sign_out()
    assert alice.api("me").status == 401
    thief = at()
    thief.context.add_cookies([{"name": "gas_session", "value": str(kept.get("value")), "url": thief.url}])
    assert thief.api("me").status == 401
    thief.go("/jobs/")
    expect(thief.page).to_have_url(re.compile(r"/login/\?next="))


def test_stranger_sees_no_page_and_no_api(at: At) -> None:
    """Without a sign-in a page leads to the sign-in, and the API answers 401."""
    stranger = at()
    for path in ("/jobs/", "/jobs/new", "/jobs/00000000-0000-4000-8000-000000000000", "/cli/authorize"):
        stranger.go(path)
        expect(stranger.page.get_by_role("link", name="Sign in with Globus")).to_be_visible()
    for path in ("me", "jobs", "references"):
        assert stranger.api(path).status == 401


def test_write_with_the_cookie_alone_is_refused(at: At) -> None:
    """Another site can make a browser send its cookie, but not the page's token: such a write is refused."""
    alice = at(ALICE)
    body = {"file_name": "a.vcf", "size_bytes": 10, "reference": "sars-cov-2"}
    answer = alice.context.request.post(f"{alice.url}/api/v1/uploads", data=body)
    assert answer.status == 400
    assert answer.json()["kind"] == "csrf"


def test_api_can_be_tried_in_the_browser(at: At) -> None:
    """Swagger UI shows the API's calls, from this machine alone, and makes one with the browser's session."""
    alice = at(ALICE)
    alice.go("/swagger/v1")
    page = alice.page
    call = page.locator(".opblock", has_text="Who am I")
    call.locator(".opblock-summary-control").click()
    call.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/api/v1/me") as answer:
        call.get_by_role("button", name="Execute").click()
    assert answer.value.json()["name"] == ALICE
