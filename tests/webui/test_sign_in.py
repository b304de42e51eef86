"""Signing in and out."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, text

from gas.errors import NotAllowed
from gas.services import Services
from tests.webui.conftest import ALICE, ALICE_AT_WORK, BOB, CAROL, OPERATOR, Browser, Globus
from webui.access import safe_next
from webui.database import WebSession, digest
from webui.globus import Person


def usernames(app: Flask) -> list[str]:
    with app.app_context():
        return [user.username for user in app.appbuilder.sm.get_all_users()]


def test_sign_in_uses_pkce_and_a_nonce(visitor: Browser) -> None:
    """The request to Globus carries an S256 challenge, a nonce, a state and the canonical redirect URI."""
    query = parse_qs(urlsplit(visitor.start()).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert query["nonce"]
    assert query["state"]
    assert query["redirect_uri"] == ["http://localhost:8800/oauth-authorized/globus"]


def test_first_sign_in_makes_user_and_profile(alice: Browser, app: Flask, services: Services) -> None:
    """At the first sign-in the person is registered as an ordinary user and gets a free profile."""
    profile = services.profiles.get(ALICE)
    assert (profile.name, profile.email, profile.tier) == ("Alice Example", "alice@uchicago.example", "free")
    with app.app_context():
        user = app.appbuilder.sm.find_user(username=ALICE)
        assert [role.name for role in user.roles] == ["GAS_User"]
        assert user.password == "!"  # no password opens it


def test_sign_in_opens_my_jobs(alice: Browser) -> None:
    """After the sign-in the person sees their own, still empty, list."""
    page = alice.get("/jobs/").text
    assert "No jobs yet" in page
    assert "Alice Example" in page


def test_sign_in_returns_to_where_the_person_was_going(visitor: Browser) -> None:
    """A page that asks for a sign-in is shown after it."""
    answer = visitor.get("/jobs/new?a=b")
    assert urlsplit(answer.location).path == "/login/"
    target = parse_qs(urlsplit(answer.location).query)["next"][0]
    assert visitor.sign_in(ALICE, target=target).location == "/jobs/new?a=b"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "jobs",
        "",
    ],
)
def test_sign_in_never_leads_to_another_site(visitor: Browser, target: str) -> None:
    """Whatever ``next`` says, the person ends on this site."""
    assert safe_next(target) == "/"
    assert visitor.sign_in(ALICE, target=target).location == "/"


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Browser) -> None:
    """The session cookie is HttpOnly and SameSite=Lax, and holds an id alone."""
    cookie = visitor.get("/login/globus").headers["Set-Cookie"]
    assert cookie.startswith("gas_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_session_gets_a_new_id_at_sign_in(visitor: Browser) -> None:
    """An id that somebody planted before the sign-in is worthless after it."""
    visitor.start()
    planted = visitor.cookie
    visitor.sign_in(ALICE)
    assert visitor.cookie != planted
    visitor.cookie = planted
    assert visitor.get("/api/v1/me").status_code == 401


def test_unknown_session_id_is_never_adopted(visitor: Browser) -> None:
    """An id made up elsewhere does not become a session."""
    visitor.cookie = "made-up-elsewhere"
    visitor.start()
    assert visitor.cookie != "made-up-elsewhere"


def test_replayed_cookie_is_dead_after_sign_out(alice: Browser) -> None:
    """A cookie that was copied before the sign-out opens nothing after it."""
    copied = alice.cookie
    assert alice.post("/logout/", data={"csrf_token": alice.csrf}).location == "/"
    alice.cookie = copied
    assert alice.get("/api/v1/me").status_code == 401


def test_request_under_way_cannot_bring_a_session_back(alice: Browser, app: Flask) -> None:
    """A request that began before the sign-out and ends after it leaves the session dead."""
    store = app.session_interface
    with app.test_request_context("/", headers={"Cookie": f"gas_session={alice.cookie}"}) as context:
        late = context.session
        assert late["_user_id"]
        copied = alice.cookie
        alice.post("/logout/", data={"csrf_token": alice.csrf})
        late["seen"] = True
        store.save_session(app, late, app.response_class())
    alice.cookie = copied
    assert alice.get("/api/v1/me").status_code == 401


def test_sign_out_asks_first(alice: Browser) -> None:
    """A link cannot sign a person out; neither can a form of another site."""
    assert "Sign out?" in alice.get("/logout/").text
    assert alice.post("/logout/").status_code == 400
    assert alice.get("/api/v1/me").status_code == 200


def test_database_holds_neither_ids_nor_tokens(alice: Browser, app: Flask, globus: Globus) -> None:
    """Whoever reads the session table can sign in with nothing of it, here or at Globus."""
    with app.app_context():
        rows = app.appbuilder.session.execute(select(WebSession)).scalars().all()
    assert digest(alice.cookie) in {row.id_digest for row in rows}
    stored = " ".join(row.id_digest + row.data for row in rows)
    assert alice.cookie not in stored
    issued = list(globus.world.tokens)
    assert issued
    assert not [token for token in issued if token in stored]


def test_callback_of_another_browser_is_refused(visitor: Browser, app: Flask, globus: Globus) -> None:
    """A code that a stranger's browser was given cannot sign this browser in as the stranger."""
    stranger = Browser(app, globus)
    location = globus.authorize(BOB, stranger.start())
    answer = visitor.come_back(location)
    assert answer.status_code == 401
    assert "was not completed" in answer.text
    assert visitor.get("/api/v1/me").status_code == 401


def test_callback_works_once(visitor: Browser, globus: Globus) -> None:
    """The same callback, opened again, signs nobody in."""
    location = globus.authorize(ALICE, visitor.start())
    visitor.come_back(location)
    visitor.post("/logout/", data={"csrf_token": visitor.csrf})
    assert visitor.come_back(location).status_code == 401


def test_refusal_at_globus_is_said(visitor: Browser) -> None:
    """A person who says no at Globus is told so and is not signed in."""
    state = parse_qs(urlsplit(visitor.start()).query)["state"][0]
    answer = visitor.get("/oauth-authorized/globus", query_string={"error": "access_denied", "state": state})
    assert answer.status_code == 401
    assert "was not completed" in answer.text


def test_nobody_is_merged_by_e_mail(alice: Browser, app: Flask, globus: Globus, jobs) -> None:
    """Carol has Alice's address, and sees nothing of Alice's."""
    job = jobs.pending(ALICE)
    carol = Browser(app, globus)
    carol.sign_in(CAROL)
    assert carol.get("/api/v1/me").json["user_id"] == CAROL
    assert carol.get(f"/api/v1/jobs/{job.job_id}").status_code == 404
    assert carol.get("/api/v1/me").json["email"] == "alice@uchicago.example"
    assert sorted(usernames(app)) == [ALICE, CAROL]


def test_linked_identity_is_the_same_account(alice: Browser, app: Flask) -> None:
    """Who comes back with another of their linked identities finds their own account."""
    back = Person(sub=ALICE_AT_WORK, name="Alice A.", email="", identities=frozenset({ALICE, ALICE_AT_WORK}))
    with app.test_request_context():
        assert app.appbuilder.sm.sign_in(back).username == ALICE
    assert usernames(app) == [ALICE]


def test_closed_account_is_shut_out_at_once(alice: Browser, app: Flask, globus: Globus) -> None:
    """When the operator closes an account, its open session ends and a new sign-in is refused."""
    with app.app_context():
        app.appbuilder.session.execute(text("UPDATE ab_user SET active = false"))
        app.appbuilder.session.commit()
    assert alice.get("/api/v1/me").status_code == 401
    again = Browser(app, globus)
    assert "closed" in again.sign_in(ALICE).text
    assert again.get("/api/v1/me").status_code == 401


def test_id_token_is_needed(app: Flask) -> None:
    """A token answer without a verified ID token signs nobody in."""
    from webui.security import person_of

    with pytest.raises(NotAllowed):
        person_of(None)


def test_operators_come_from_the_settings(operator: Browser, alice: Browser) -> None:
    """Only who is named in GAS_ADMINS sees the people list."""
    assert "Alice" in operator.get("/users/list/").text
    assert alice.get("/users/list/").status_code == 302
    assert "/users/list/" not in alice.get("/jobs/").text


def test_operator_is_made_and_unmade_by_the_settings(operator: Browser, app: Flask, globus: Globus) -> None:
    """Roles follow the settings at each sign-in."""
    app.config["GAS_ADMINS"] = frozenset()
    try:
        again = Browser(app, globus)
        again.sign_in(OPERATOR)
        assert again.get("/users/list/").status_code == 302
    finally:
        app.config["GAS_ADMINS"] = frozenset({OPERATOR})


def test_other_spelling_of_loopback_is_led_to_the_right_one(app: Flask) -> None:
    """Pages opened at 127.0.0.1 move to localhost, where the cookie and Globus's redirect work; the API stays."""
    client = app.test_client()
    moved = client.get("/jobs/new?a=b", base_url="http://127.0.0.1:8800")
    assert moved.location == "http://localhost:8800/jobs/new?a=b"
    assert client.get("/health", base_url="http://127.0.0.1:8800").status_code == 200
    assert client.get("/api/v1/me", base_url="http://127.0.0.1:8800").status_code == 401


def test_cookie_beside_a_bearer_lends_nothing(alice: Browser) -> None:
    """A junk bearer token is refused even where the browser is signed in."""
    answer = alice.get("/api/v1/me", headers={"Authorization": "Bearer junk"})
    assert answer.status_code == 401
