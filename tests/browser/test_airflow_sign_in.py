"""Signing in at Airflow with Globus, in a real browser: who gets in, and as what."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from gas.local.globus_standin import BOB as BOBS_SUB
from gas.local.layout import Layout
from gas.local.stack import Stack
from tests.browser.conftest import ALICE, BOB, At

pytestmark = [pytest.mark.browser, pytest.mark.live]


@pytest.fixture
def airflow(stack: Stack) -> Layout:
    return stack.layout


def opened(at: At) -> Page:
    """A page of a stranger's browser."""
    visitor = at()
    visitor.expected_complaints.append("")  # the pages are Airflow's, and so are their flaws
    return visitor.page


def sign_in(at: At, url: str, person: str) -> BrowserContext:
    """Through Airflow's sign-in page and Globus; back at Airflow."""
    page = opened(at)
    page.goto(url)
    page.locator("#btn-signin-globus").click()
    page.get_by_role("button", name=person, exact=True).click()
    page.wait_for_url(re.compile(rf"^{re.escape(url)}/"))
    return page.context


def status(context: BrowserContext, url: str, method: str = "GET", **options: Any) -> int:
    return context.request.fetch(url, method=method, max_redirects=0, **options).status


def test_people_get_in_by_the_lists_alone(at: At, airflow: Layout) -> None:
    """Alice, by her identity, administrates; Bob, by a group, operates; Carol has an account and stays outside."""
    url = airflow.airflow_url
    alice, bob, carol = (sign_in(at, url, person) for person in (ALICE, BOB, "Carol"))
    expect(alice.pages[0].get_by_role("link", name="Dags").first).to_be_visible()
    assert status(alice, f"{url}/auth/fab/v1/users") == 200
    assert status(bob, f"{url}/api/v2/dags/annotate") == 200
    assert status(bob, f"{url}/api/v2/dags/inventory", "PATCH", data={"is_paused": False}) == 200
    assert status(bob, f"{url}/auth/fab/v1/users") == 403
    expect(carol.pages[0].get_by_text("This Globus account may not use Airflow")).to_be_visible()
    assert status(carol, f"{url}/api/v2/dags/annotate") == 401


def test_nobody_from_globus_has_a_password(at: At, airflow: Layout) -> None:
    """The account that Bob's sign-in made cannot be used with a password, not even an empty one."""
    sign_in(at, airflow.airflow_url, BOB)
    for password in ("", "!", "bob"):
        who = {"username": BOBS_SUB, "password": password}
        answer = httpx.post(f"{airflow.airflow_url}/auth/token", json=who, trust_env=False)
        assert answer.status_code in (400, 401, 422)


def test_another_spelling_of_the_address(at: At, airflow: Layout) -> None:
    """Who comes by the number of this machine is led to its name, which the cookie and Globus know."""
    page = opened(at)
    page.goto(f"http://127.0.0.1:{airflow.airflow_port}/auth/login/?next=%2Fdags")
    expect(page).to_have_url(f"{airflow.airflow_url}/auth/login/?next=%2Fdags")
