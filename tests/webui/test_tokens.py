"""A person's API tokens: made, shown once, narrow, listed, revoked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from typer.testing import Result

from gas.errors import NotAllowed, NotFound
from tests.webui.conftest import ALICE, WEB_URL, Browser, Jobs
from webui import tokens
from webui.database import ApiToken, digest

READ = {"name": "plots", "scope": "read", "expires_in_days": 7}


def made(browser: Browser, **wanted: Any) -> dict[str, Any]:
    answer = browser.call("POST", "tokens", json={**READ, **wanted})
    assert answer.status_code == 201
    return answer.json


def call(app: Flask, token: str, method: str, path: str, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return app.test_client().open(f"/api/v1/{path}", base_url=WEB_URL, method=method, headers=headers, **options)


def test_page_shows_a_new_token_once(alice: Browser, app: Flask) -> None:
    """The answer to the form has the token, which works; the page as it is opened again only knows its name."""
    page = alice.post("/account/tokens", data={**READ, "days": "30", "csrf_token": alice.csrf}).text
    token = re.search(r'value="(gas_[\w-]{43})"', page)[1]
    assert call(app, token, "GET", "me").json["user_id"] == ALICE
    again = alice.get("/account/tokens").text
    assert "plots" in again
    assert token not in again


def test_token_is_kept_as_a_digest_and_for_as_long_as_chosen(alice: Browser, app: Flask) -> None:
    """The database has the digest alone, and the end that the person chose."""
    token = made(alice, expires_in_days=365)["token"]
    with app.app_context():
        (row,) = app.appbuilder.session.scalars(select(ApiToken)).all()
        assert row.token_digest == digest(token)
        assert (row.expires_at - row.created_at).days == 365


@pytest.mark.parametrize("path", ["jobs", "me", "references", "jobs/{job_id}", "jobs/{job_id}/log"])
def test_read_token_reads(alice: Browser, app: Flask, jobs: Jobs, path: str) -> None:
    """A read token sees what its owner sees, by GET and by HEAD."""
    token, job_id = made(alice)["token"], jobs.done(ALICE).job_id
    assert call(app, token, "GET", path.format(job_id=job_id)).status_code == 200
    assert call(app, token, "HEAD", path.format(job_id=job_id)).status_code == 200


def test_refusal_names_the_scope(alice: Browser, app: Flask, jobs: Jobs) -> None:
    """A read token that writes is told which scope it lacks, in words and as RFC 6750 has it; nothing happens."""
    token, job = made(alice)["token"], jobs.done(ALICE)
    answer = call(app, token, "DELETE", f"jobs/{job.job_id}")
    assert (answer.status_code, answer.mimetype, answer.json["kind"]) == (403, "application/problem+json", "scope")
    assert '"jobs"' in answer.json["detail"]
    assert 'error="insufficient_scope", scope="jobs"' in answer.headers["WWW-Authenticate"]
    assert call(app, token, "GET", f"jobs/{job.job_id}").status_code == 200


def test_jobs_token_cannot_reach_the_account(alice: Browser, app: Flask) -> None:
    """A token made for a program runs jobs, and makes no token for itself and changes no plan."""
    token = made(alice, scope="jobs")["token"]
    assert (
        call(
            app, token, "POST", "uploads", json={"file_name": "a.vcf", "size_bytes": 1, "reference": "sars-cov-2"}
        ).status_code
        == 201
    )
    refused = [
        call(app, token, "POST", "tokens", json=READ),
        call(app, token, "GET", "tokens"),
        call(app, token, "POST", "subscribe"),
    ]
    assert [(answer.status_code, answer.json["kind"]) for answer in refused] == [(403, "scope")] * 3
    assert "gas login" in refused[0].json["detail"]
    assert alice.get("/api/v1/me").json["tier"] == "free"


def test_list_tells_names_and_times_and_no_token(alice: Browser, bob: Browser, app: Flask) -> None:
    """The list has one's own tokens, the newest first, without anything that would open the door."""
    first, second = made(alice), made(alice, name="nightly", scope="jobs")
    made(bob)
    call(app, second["token"], "GET", "me")
    listed = alice.get("/api/v1/tokens")
    assert [(one["name"], one["scopes"]) for one in listed.json["tokens"]] == [
        ("nightly", ["jobs"]),
        ("plots", ["read"]),
    ]
    assert [bool(one["last_used_at"]) for one in listed.json["tokens"]] == [True, False]
    assert not any(one["token"] in listed.text or digest(one["token"]) in listed.text for one in (first, second))


def test_revoked_token_is_dead(alice: Browser, bob: Browser, app: Flask) -> None:
    """Its owner revokes a token by the page or by the API, another person cannot; the next call with it is refused."""
    one, other = made(alice), made(alice)
    assert bob.call("DELETE", f"tokens/{one['id']}").status_code == 404
    assert call(app, one["token"], "GET", "me").status_code == 200
    assert alice.call("DELETE", f"tokens/{one['id']}").status_code == 204
    form = {"token_id": other["id"], "csrf_token": alice.csrf}
    assert alice.post("/account/tokens/revoke", data=form).location == "/account/tokens"
    assert [call(app, token["token"], "GET", "me").status_code for token in (one, other)] == [401, 401]
    assert alice.call("DELETE", f"tokens/{one['id']}").status_code == 404


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scope": "account"}, "scope"),
        ({"scope": "read jobs"}, "scope"),
        ({"expires_in_days": 36500}, "365 days"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
    ],
)
def test_wishes_that_cannot_be_had(alice: Browser, changed: dict[str, Any], said: str) -> None:
    """Nobody makes a token that is nameless, lasting, or as mighty as that of a sign-in."""
    answer = alice.call("POST", "tokens", json={**READ, **changed})
    assert answer.status_code == 422
    assert said in answer.json["detail"]
    assert alice.get("/api/v1/tokens").json["tokens"] == []


def test_number_of_tokens_is_bounded_and_expired_ones_do_not_count(
    alice: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has as many as may be revokes one first, or waits for one to end."""
    monkeypatch.setattr(tokens, "MOST", 2)
    made(alice)
    made(alice)
    assert alice.call("POST", "tokens", json=READ).status_code == 409
    with app.app_context():
        app.appbuilder.session.execute(
            text("UPDATE gas_api_token SET expires_at = now() WHERE id = (SELECT min(id) FROM gas_api_token)")
        )
        app.appbuilder.session.commit()
    made(alice)
    assert len(alice.get("/api/v1/tokens").json["tokens"]) == 2


def test_name_of_a_token_stays_text(alice: Browser) -> None:
    """A name that is markup is shown as it was typed."""
    made(alice, name="<img src=x onerror=alert(1)>")
    page = alice.get("/account/tokens").text
    assert "&lt;img src=x" in page
    assert "<img" not in page


# The command line.


def test_command_makes_lists_and_revokes(gas: Callable[..., Result], app: Flask) -> None:
    """The token alone is printed, so that a script can take it; the list tells its id, by which it is revoked."""
    token = gas("token", "create", "nightly", "--scope", "jobs", "--days", "365").stdout.strip()
    assert call(app, token, "GET", "me").status_code == 200
    head, first, second = gas("token", "list").stdout.splitlines()
    assert head.split("\t")[:3] == ["ID", "NAME", "SCOPES"]
    number, name, scopes, *_ = first.split("\t")
    assert (name, scopes, second.split("\t")[2]) == ("nightly", "jobs", "jobs account")
    assert json.loads(gas("token", "revoke", number, "--json").stdout) == {"id": int(number), "revoked": True}
    assert call(app, token, "GET", "me").status_code == 401
    assert isinstance(gas("token", "revoke", number).exception, NotFound)


def test_command_tells_a_narrow_token_what_it_lacks(gas: Callable[..., Result]) -> None:
    """A script's token that wants more is told how a person gets it, with the exit code of what is not allowed."""
    made = json.loads(gas("token", "create", "plots", "--json").stdout)
    assert made["scopes"] == ["read"]
    error = gas("token", "list", token=made["token"]).exception
    assert isinstance(error, NotAllowed)
    assert (error.exit_code, error.kind) == (3, "scope")
    assert "gas login" in str(error)
