"""How a command line gets its token: the approval page, the one-time code, the exchange."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, text

from tests.webui.conftest import ALICE, WEB_URL, Browser
from webui.database import ApiToken, LoginCode, digest

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "http://127.0.0.1:5123/callback"
ASKED = {
    "redirect_uri": CALLBACK,
    "state": "state-of-the-terminal",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "client_name": "lab-laptop",
}


def decide(browser: Browser, decision: str = "allow", **changed: str) -> Any:
    return browser.post("/cli/authorize", data={**ASKED, **changed, "decision": decision, "csrf_token": browser.csrf})


def code_of(browser: Browser) -> str:
    """The code that an approval sends back."""
    return parse_qs(urlsplit(decide(browser).location).query)["code"][0]


def exchange(app: Flask, code: str, /, **changed: str) -> Any:
    """The terminal's own request, without any cookie."""
    body = {"code": code, "code_verifier": VERIFIER, "redirect_uri": CALLBACK, **changed}
    return app.test_client().post("/api/v1/token", base_url=WEB_URL, json=body)


def me(app: Flask, token: str) -> Any:
    return app.test_client().get("/api/v1/me", base_url=WEB_URL, headers={"Authorization": f"Bearer {token}"})


def test_approval_gives_a_working_token(alice: Browser, app: Flask) -> None:
    """Approved in the browser, the terminal gets a token that speaks for the person, and its state back."""
    answer = decide(alice)
    assert answer.location.startswith(f"{CALLBACK}?")
    query = parse_qs(urlsplit(answer.location).query)
    assert query["state"] == [ASKED["state"]]
    given = exchange(app, query["code"][0]).json
    assert given["access_token"].startswith("gas_")
    assert (given["token_type"], given["expires_in"], given["scope"]) == ("Bearer", 30 * 24 * 3600, "jobs account")
    assert me(app, given["access_token"]).json["user_id"] == ALICE


def test_page_names_computer_and_person(alice: Browser) -> None:
    """The person sees which computer asks, for whom, and for how long; a hostile name stays text."""
    page = alice.get("/cli/authorize", query_string={**ASKED, "client_name": "<img src=x onerror=alert(1)>"}).text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert "Alice Example" in page
    assert "30 days" in page


def test_page_lets_its_form_lead_back_to_the_terminal(alice: Browser) -> None:
    """The browser follows the answer of the form to the asking port, and to nowhere else."""
    policy = alice.get("/cli/authorize", query_string=ASKED).headers["Content-Security-Policy"]
    assert "form-action 'self' http://127.0.0.1:5123;" in policy


def test_refusal_is_told_to_the_terminal(alice: Browser, app: Flask) -> None:
    """Who does not allow it sends an error back, and no code."""
    query = parse_qs(urlsplit(decide(alice, "deny").location).query)
    assert query == {"error": ["access_denied"], "state": [ASKED["state"]]}


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://127.0.0.1:5123/callback",
        "http://evil.example:5123/callback",
        "http://127.0.0.1.evil.example:5123/",
        "http://127.0.0.1:5123@evil.example/",
        "http://user@127.0.0.1:5123/",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:5123\\@evil.example/",
        "http://127.0.0.1:5123/#fragment",
        "http://[::1/",
        "javascript:alert(1)",
        "",
    ],
)
def test_codes_go_to_loopback_alone(alice: Browser, redirect_uri: str) -> None:
    """No other address is redirected to, by the page or by its form."""
    assert alice.get("/cli/authorize", query_string={**ASKED, "redirect_uri": redirect_uri}).status_code == 422
    answer = decide(alice, redirect_uri=redirect_uri)
    assert answer.status_code == 422
    assert "Location" not in answer.headers


@pytest.mark.parametrize("changed", [{"code_challenge": "short"}, {"code_challenge_method": "plain"}, {"state": "x"}])
def test_weak_requests_are_refused(alice: Browser, changed: dict[str, str]) -> None:
    """PKCE with S256 and a state are not optional."""
    assert alice.get("/cli/authorize", query_string={**ASKED, **changed}).status_code == 422


@pytest.mark.parametrize(
    "changed", [{"code_verifier": "w" * 64}, {"redirect_uri": "http://127.0.0.1:5124/callback"}, {"code": "other"}]
)
def test_code_is_bound_to_who_asked(alice: Browser, app: Flask, changed: dict[str, str]) -> None:
    """A stolen code is worthless without the verifier and the redirect URI, and the attempt uses it up."""
    code = code_of(alice)
    assert exchange(app, code, **changed).status_code == 422
    assert exchange(app, code).status_code == (200 if "code" in changed else 422)


def test_code_works_once(alice: Browser, app: Flask) -> None:
    """The second exchange of a code fails."""
    code = code_of(alice)
    assert exchange(app, code).status_code == 200
    assert exchange(app, code).status_code == 422


def test_code_expires(alice: Browser, app: Flask) -> None:
    """A code is good for a minute; later ones sweep it away."""
    code = code_of(alice)
    with app.app_context():
        session = app.appbuilder.session
        lifetime = session.scalar(text("SELECT extract(epoch FROM expires_at - now()) FROM gas_login_code"))
        assert 50 < lifetime <= 60
        session.execute(text("UPDATE gas_login_code SET expires_at = now()"))
        session.commit()
    assert exchange(app, code).status_code == 422
    code_of(alice)
    code_of(alice)
    with app.app_context():
        assert len(app.appbuilder.session.scalars(select(LoginCode)).all()) == 2


def test_token_is_kept_as_a_digest(alice: Browser, app: Flask) -> None:
    """The database holds neither the token nor the code; the last use is noted."""
    code = code_of(alice)
    token = exchange(app, code).json["access_token"]
    me(app, token)
    with app.app_context():
        (row,) = app.appbuilder.session.scalars(select(ApiToken)).all()
        assert row.token_digest == digest(token)
        assert row.client_name == "lab-laptop"
        assert row.last_used_at is not None


def test_token_can_be_revoked_by_itself(alice: Browser, app: Flask) -> None:
    """A revoked token is refused at once."""
    token = exchange(app, code_of(alice)).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().delete("/api/v1/token", base_url=WEB_URL, headers=headers).status_code == 204
    assert me(app, token).status_code == 401


def test_token_of_a_closed_account_is_refused(alice: Browser, app: Flask) -> None:
    """An operator who closes an account closes its tokens."""
    token = exchange(app, code_of(alice)).json["access_token"]
    with app.app_context():
        app.appbuilder.session.execute(text("UPDATE ab_user SET active = false"))
        app.appbuilder.session.commit()
    assert me(app, token).status_code == 401


def test_visitor_signs_in_first(visitor: Browser) -> None:
    """Somebody who is not signed in comes back to the approval page after the sign-in."""
    answer = visitor.get("/cli/authorize", query_string=ASKED)
    target = parse_qs(urlsplit(answer.location).query)["next"][0]
    page = visitor.get(visitor.sign_in(ALICE, target=target).location)
    assert re.search(r"Let the\s+<code>gas</code> command act for you", page.text)
