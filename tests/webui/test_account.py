"""The profile: who a person is by Globus, what they have used, and where they are signed in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import text
from typer.testing import Result

from gas import usage
from gas.services import Services
from tests.webui.conftest import ALICE, ALICE_AT_WORK, BOB, Browser, Globus, Jobs
from tests.webui.test_command_line import code_of, exchange

DAY_S = 86400


def test_profile_tells_what_globus_said(alice: Browser) -> None:
    """Name, e-mail, institution and both linked identities are on the page, with who vouches for them."""
    page = alice.get("/account/").text
    for said in ("Alice Example", "alice@uchicago.example", "UChicago", "alice@globusid.org", "alice@work.example"):
        assert said in page
    me = alice.get("/api/v1/me").json
    assert me["institution"] == "UChicago"
    assert [(one["sub"], one["provider"]) for one in me["identities"]] == [
        (ALICE, "Globus ID"),
        (ALICE_AT_WORK, "Globus ID"),
    ]
    joined = datetime.fromisoformat(me["joined_at"])
    assert abs((datetime.now(UTC) - joined).total_seconds()) < 60


def test_identities_follow_the_last_sign_in(alice: Browser, app: Flask, globus: Globus) -> None:
    """An identity that was unlinked at Globus is gone after the next sign-in, and none is there twice."""
    with app.app_context():
        app.appbuilder.session.execute(text("UPDATE gas_linked_identity SET username = 'gone@old.example'"))
        app.appbuilder.session.commit()
    Browser(app, globus).sign_in(ALICE)
    assert len(alice.get("/api/v1/me").json["identities"]) == 2
    assert "gone@old.example" not in alice.get("/account/").text


def test_account_from_before_identities_were_kept(alice: Browser, app: Flask) -> None:
    """Where nothing is known the page says so, until the next sign-in."""
    with app.app_context():
        app.appbuilder.session.execute(text("DELETE FROM gas_linked_identity"))
        app.appbuilder.session.commit()
    assert "Globus tells them when you sign in" in alice.get("/account/").text
    assert alice.get("/api/v1/me").json["identities"] == []


def test_usage_is_of_this_month_and_of_ones_own(alice: Browser, bob: Browser, jobs: Jobs) -> None:
    """Jobs of earlier months, of other people and deleted ones do not count; variants are of completed ones."""
    jobs.done(ALICE)
    deleted = jobs.done(ALICE)
    jobs.failed(ALICE, "no header")
    day = datetime.now(UTC).day
    jobs.done(ALICE, ago_s=(day + 1) * DAY_S)
    jobs.done(BOB)
    assert alice.call("DELETE", f"jobs/{deleted.job_id}").status_code == 204
    used = alice.get("/api/v1/usage").json
    assert used == {
        "month": f"{datetime.now(UTC):%Y-%m}",
        "jobs": 2,
        "completed": 1,
        "jobs_at_least": False,
        "variants": 3,
        "uploaded_bytes": 2 * len(b"##fileformat=VCFv4.3\n"),
        "sums_at_least": False,
    }


def test_usage_of_a_large_account_is_bounded(
    alice: Browser, jobs: Jobs, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bounds are reached, only so many jobs are read, and the page says "at least"."""
    for _ in range(4):
        jobs.done(ALICE)
    monkeypatch.setattr(usage, "SUMMED", 2)
    used = usage.usage(services.jobs, ALICE, now=time.time())
    assert (used.jobs, used.jobs_at_least, used.variants, used.sums_at_least) == (4, False, 6, True)
    monkeypatch.setattr(usage, "COUNTED", 3)
    used = usage.usage(services.jobs, ALICE, now=time.time())
    assert (used.jobs, used.completed, used.jobs_at_least, used.variants) == (3, 3, True, 6)
    assert alice.get("/account/").text.count("at least") == 4


def test_usage_of_exactly_as_many_as_are_counted(
    jobs: Jobs, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account without a job has used nothing; a month's first second belongs to it, the one before does not."""
    assert usage.usage(services.jobs, ALICE, now=time.time()).jobs == 0
    first = int(datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())
    monkeypatch.setattr(time, "time", lambda: float(first))
    jobs.pending(ALICE)
    jobs.pending(ALICE, ago_s=1)
    assert usage.usage(services.jobs, ALICE, now=first).jobs == 1
    assert usage.usage(services.jobs, ALICE, now=first - 1).jobs == 2


def test_sign_out_everywhere(alice: Browser, bob: Browser, app: Flask, globus: Globus) -> None:
    """Every browser of the person's is signed out, and nobody else's; their programs go on."""
    elsewhere = Browser(app, globus)
    elsewhere.sign_in(ALICE)
    token = exchange(app, code_of(alice)).json["access_token"]
    assert alice.post("/account/sign-out", data={"csrf_token": alice.csrf}).location == "/"
    assert [browser.get("/jobs/").status_code for browser in (alice, elsewhere, bob)] == [302, 302, 200]
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/me", base_url="http://localhost:8800", headers=headers).status_code == 200


def test_sign_out_everywhere_by_the_api(
    alice: Browser, bob: Browser, app: Flask, globus: Globus, gas: Callable[..., Result]
) -> None:
    """``gas logout --everywhere`` and a browser's own call end every browser of the person's, and nobody else's."""
    browsers = (alice, bob)
    assert alice.call("DELETE", "sessions").status_code == 204
    assert [browser.get("/jobs/").status_code for browser in browsers] == [302, 200]
    alice.sign_in(ALICE)
    elsewhere = Browser(app, globus)
    elsewhere.sign_in(ALICE)
    narrow = gas("token", "create", "nightly", "--scope", "jobs").stdout.strip()
    assert "gas login" in str(gas("logout", "--everywhere", token=narrow).exception)
    assert [browser.get("/jobs/").status_code for browser in browsers] == [200, 200]
    assert gas("logout", "--everywhere").exit_code == 0
    assert [browser.get("/jobs/").status_code for browser in (*browsers, elsewhere)] == [302, 200, 302]


def test_header_leads_to_the_account_and_its_tabs_to_every_page(alice: Browser, app: Flask) -> None:
    """The corner of each page leads to the profile; each tab leads to a page that is there and says where one is."""
    assert 'href="/account/"' in alice.get("/jobs/").text
    page = alice.get("/account/").text
    tabs = page.partition('<nav class="tabs"')[2].partition("</nav>")[0]
    addresses = [part.partition('"')[0] for part in tabs.split('href="')[1:]]
    assert {"/account/", "/plan/", "/account/tokens"} <= set(addresses)
    for address in addresses:
        answer = alice.get(address)
        assert answer.status_code == 200
        assert f'<a href="{address}" aria-current="page"' in answer.text


def test_command_tells_who_and_how_much(gas: Callable[..., Result], jobs: Jobs) -> None:
    """``gas whoami`` names institution and identities, ``gas usage`` the month's figures."""
    jobs.done(ALICE)
    who = gas("whoami").stdout
    assert "UChicago" in who
    assert "linked: alice@work.example, Globus ID, UChicago" in who
    used = gas("usage").stdout
    assert "1 jobs, 1 of them completed\n3 variants annotated" in used
    assert json.loads(gas("usage", "--json").stdout)["jobs"] == 1
