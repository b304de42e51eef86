"""Every route and verb of the app against every kind of caller. A route without a row here fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import text

from tests.webui.conftest import ALICE, BOB, WEB_URL, Browser, Globus, Jobs
from webui import share_links, tokens

CALLERS = (
    "anonymous",
    "owner",
    "other",
    "operator",
    "token",
    "other's token",
    "revoked token",
    "expired token",
    "wrong scope",
    "junk token",
)
#: Callers whose answers follow from the others', see ``Row.answers``.
NARROW = ("read token", "jobs token")
#: A page takes no token: without a cookie it leads to the sign-in.
PAGE = (302, 200, 200, 200, 302, 302, 302, 302, 302, 302)
#: A page about somebody's job.
JOB_PAGE = (302, 200, 404, 404, 302, 302, 302, 302, 302, 302)
#: A call that any signed-in caller may make.
CALL = (401, 200, 200, 200, 200, 200, 401, 401, 401, 401)
#: A call about somebody's job; operators are no exception.
JOB_CALL = (401, 200, 404, 404, 200, 404, 401, 401, 401, 401)
LINK = tuple(302 if status == 200 else status for status in JOB_CALL)
#: For the operator's role alone.
OPERATORS = (302, 302, 302, 200, 302, 302, 302, 302, 302, 302)
OPEN = (200,) * 10
AWAY = (302,) * 10


@dataclass(frozen=True)
class Row:
    """What each of ``CALLERS`` gets; ``path`` fills in the rule's variables."""

    path: str
    expected: tuple[int, ...]
    json: Callable[[str], dict[str, object]] | None = None
    scope: str = ""
    """What a token needs for it, where that is not ``read`` for reading and ``jobs`` for writing."""

    def answers(self, verb: str) -> dict[str, int]:
        """What each of ``CALLERS`` and ``NARROW`` gets.

        Whoever comes with a token of fewer scopes gets what the token of ``gas login`` does, or a 403 where a signed-in
        caller is needed and the scope is missing.
        """
        answers = dict(zip(CALLERS, self.expected, strict=True))
        needed = self.scope or ("read" if verb == "GET" else "jobs")
        for caller, scopes in (("read token", {"read"}), ("jobs token", {"read", "jobs"})):
            refused = answers["anonymous"] == 401 and needed not in scopes
            answers[caller] = 403 if refused else answers["token"]
        return answers


def new_upload(_: str) -> dict[str, object]:
    return {"file_name": "a.vcf", "size_bytes": 10, "reference": "sars-cov-2"}


def new_job(job_id: str) -> dict[str, object]:
    return {"job_id": job_id, "file_name": "a.vcf", "reference": "sars-cov-2"}


def new_name(_: str) -> dict[str, object]:
    return {"file_name": "b.vcf"}


def new_token(_: str) -> dict[str, object]:
    return {"name": "nightly", "scope": "read", "expires_in_days": 7}


def whole_view(_: str) -> dict[str, object]:
    return {"where": [], "limit": 1}


def view_as_file(_: str) -> dict[str, object]:
    return {"format": "vcf"}


def new_wishes(_: str) -> dict[str, object]:
    return {"mail": {"ended": True, "archive": True, "restored": False}, "webhook_url": None}


def bad_code(_: str) -> dict[str, object]:
    return {"code": "x", "code_verifier": "x" * 43, "redirect_uri": "http://127.0.0.1:5000/callback"}


def paste(_: str) -> dict[str, object]:
    return {"reference": "sars-cov-2", "variants": "NC_045512.2-23403-A-G"}


ASK = f"/cli/authorize?redirect_uri=http://127.0.0.1:5000/callback&state=12345678&code_challenge={'a' * 43}" + (
    "&code_challenge_method=S256&client_name=lab"
)
TABLE: dict[tuple[str, str], Row] = {
    ("GET", "/"): Row("/", (200, 302, 302, 302, 200, 200, 200, 200, 200, 200)),
    ("GET", "/health"): Row("/health", OPEN),
    ("GET", "/ready"): Row("/ready", OPEN),
    ("GET", "/static/<path:filename>"): Row("/static/gas.css", OPEN),
    ("GET", "/static/appbuilder/<path:filename>"): Row("/static/appbuilder/js/ab.js", OPEN),
    ("GET", "/login/"): Row("/login/", (200, 302, 302, 302, 200, 200, 200, 200, 200, 200)),
    ("GET", "/login/globus"): Row("/login/globus", AWAY),
    ("GET", "/oauth-authorized/globus"): Row(
        "/oauth-authorized/globus?code=x&state=x", (401, 403, 403, 403) + (401,) * 6
    ),
    ("GET", "/logout/"): Row("/logout/", (302, 200, 200, 200, 302, 302, 302, 302, 302, 302)),
    ("POST", "/logout/"): Row("/logout/", (400, 302, 302, 302, 302, 302, 302, 302, 302, 302)),
    ("GET", "/jobs/"): Row("/jobs/", PAGE),
    ("GET", "/jobs/new"): Row("/jobs/new", PAGE),
    ("GET", "/jobs/<job_id>"): Row("/jobs/{job_id}", JOB_PAGE),
    ("GET", "/jobs/<job_id>/delete"): Row("/jobs/{job_id}/delete", JOB_PAGE),
    # The owner, who comes first, deletes it.
    ("POST", "/jobs/<job_id>/delete"): Row("/jobs/{job_id}/delete", (400, 302, 404, 404) + (302,) * 6),
    ("POST", "/jobs/<job_id>/cancel"): Row("/jobs/{job_id}/cancel", (400, 409, 404, 404) + (302,) * 6),
    # The row sends no new id and no name.
    ("POST", "/jobs/<job_id>/rerun"): Row("/jobs/{job_id}/rerun", (400, 422, 404, 404) + (302,) * 6),
    ("POST", "/jobs/<job_id>/name"): Row("/jobs/{job_id}/name", (400, 422, 404, 404) + (302,) * 6),
    ("GET", "/jobs/<job_id>/changes"): Row("/jobs/{job_id}/changes", JOB_PAGE),
    ("GET", "/jobs/<job_id>/table"): Row("/jobs/{job_id}/table", JOB_PAGE),
    ("GET", "/jobs/<job_id>/share"): Row("/jobs/{job_id}/share", JOB_PAGE),
    ("POST", "/jobs/<job_id>/share"): Row("/jobs/{job_id}/share", (400, 422, 404, 404) + (302,) * 6),
    ("POST", "/jobs/<job_id>/share/revoke"): Row("/jobs/{job_id}/share/revoke", (400, 404, 404, 404) + (302,) * 6),
    ("GET", "/shared/<token>"): Row("/shared/{share}", OPEN),
    ("GET", "/shared/<token>/download/<what>"): Row("/shared/{share}/download/vcf", AWAY),
    ("GET", "/plan/"): Row("/plan/", PAGE),
    ("POST", "/plan/"): Row("/plan/", (400, 422, 422, 422) + (302,) * 6),
    ("GET", "/account/"): Row("/account/", PAGE),
    ("POST", "/account/sign-out"): Row("/account/sign-out", (400,) + (302,) * 9),
    ("GET", "/account/tokens"): Row("/account/tokens", PAGE),
    # The row sends no name, and no token's id.
    ("POST", "/account/tokens"): Row("/account/tokens", (400, 422, 422, 422) + (302,) * 6),
    ("POST", "/account/tokens/revoke"): Row("/account/tokens/revoke", (400, 404, 404, 404) + (302,) * 6),
    ("GET", "/account/notices"): Row("/account/notices", PAGE),
    ("POST", "/account/notices"): Row("/account/notices", (400,) + (302,) * 9),
    ("POST", "/account/notices/test"): Row("/account/notices/test", (400, 200, 200, 200) + (302,) * 6),
    # Nobody has a webhook to sign for.
    ("POST", "/account/notices/secret"): Row("/account/notices/secret", (400, 422, 422, 422) + (302,) * 6),
    ("GET", "/jobs/<job_id>/genome"): Row("/jobs/{job_id}/genome?locus=NC_045512.2:23403", JOB_PAGE),
    ("GET", "/static/igv.js"): Row("/static/igv.js", OPEN),
    ("GET", "/variants/"): Row("/variants/", PAGE),
    ("POST", "/variants/"): Row("/variants/", (400, 422, 422, 422) + (302,) * 6),
    # Nobody pays on this server, so nobody tells of payments.
    ("POST", "/billing/stripe/webhook"): Row("/billing/stripe/webhook", (404,) * 10),
    ("GET", "/cli/authorize"): Row(ASK, PAGE),
    ("POST", "/cli/authorize"): Row(ASK, (400, 422, 422, 422, 302, 302, 302, 302, 302, 302)),
    ("GET", "/users/list/"): Row("/users/list/", OPERATORS),
    ("GET", "/users/show/<pk>"): Row("/users/show/{user}", OPERATORS),
    ("GET", "/users/edit/<pk>"): Row("/users/edit/{user}", OPERATORS),
    ("POST", "/users/edit/<pk>"): Row("/users/edit/{user}", (400,) + (302,) * 9),
    ("GET", "/back"): Row("/back", AWAY),
    ("GET", "/lang/<string:locale>"): Row("/lang/en", AWAY),
    ("GET", "/swagger/<version>"): Row("/swagger/v1", PAGE),
    ("GET", "/api/<version>/_openapi"): Row("/api/v1/_openapi", CALL),
    ("GET", "/api/v1/me"): Row("/api/v1/me", CALL),
    ("GET", "/api/v1/usage"): Row("/api/v1/usage", CALL),
    ("POST", "/api/v1/subscribe"): Row("/api/v1/subscribe", CALL, scope="account"),
    ("POST", "/api/v1/unsubscribe"): Row("/api/v1/unsubscribe", CALL, scope="account"),
    ("GET", "/api/v1/references"): Row("/api/v1/references", CALL),
    ("GET", "/api/v1/references/<name>/<file>"): Row("/api/v1/references/sars-cov-2/genome.fa.gz.fai", CALL),
    ("POST", "/api/v1/annotate"): Row("/api/v1/annotate", CALL, paste, scope="read"),
    ("POST", "/api/v1/uploads"): Row("/api/v1/uploads", (401, 201, 201, 201, 201, 201, 401, 401, 401, 401), new_upload),
    ("GET", "/api/v1/jobs"): Row("/api/v1/jobs", CALL),
    # Another's id is like one whose file never arrived.
    ("POST", "/api/v1/jobs"): Row("/api/v1/jobs", (401, 200, 422, 422, 200, 422, 401, 401, 401, 401), new_job),
    ("GET", "/api/v1/jobs/<job_id>"): Row("/api/v1/jobs/{job_id}", JOB_CALL),
    ("DELETE", "/api/v1/jobs/<job_id>"): Row("/api/v1/jobs/{job_id}", (401, 204, 404, 404, 204, 404) + (401,) * 4),
    ("GET", "/api/v1/jobs/<job_id>/forecast"): Row("/api/v1/jobs/{job_id}/forecast", JOB_CALL),
    # The row's job is COMPLETED.
    ("POST", "/api/v1/jobs/<job_id>/cancel"): Row(
        "/api/v1/jobs/{job_id}/cancel", (401, 409, 404, 404, 409, 404, 401, 401, 401, 401)
    ),
    ("POST", "/api/v1/jobs/<job_id>/rerun"): Row(
        "/api/v1/jobs/{job_id}/rerun", (401, 201, 404, 404, 201, 404, 401, 401, 401, 401)
    ),
    ("PATCH", "/api/v1/jobs/<job_id>"): Row("/api/v1/jobs/{job_id}", JOB_CALL, new_name),
    ("GET", "/api/v1/jobs/<job_id>/log"): Row("/api/v1/jobs/{job_id}/log", JOB_CALL),
    ("GET", "/api/v1/jobs/<job_id>/changes"): Row("/api/v1/jobs/{job_id}/changes", JOB_CALL),
    ("GET", "/api/v1/jobs/<job_id>/summary"): Row("/api/v1/jobs/{job_id}/summary", JOB_CALL),
    ("GET", "/api/v1/jobs/<job_id>/download/<what>"): Row("/api/v1/jobs/{job_id}/download/vcf", LINK),
    ("GET", "/api/v1/jobs/<job_id>/table"): Row("/api/v1/jobs/{job_id}/table", JOB_CALL),
    ("POST", "/api/v1/jobs/<job_id>/table"): Row("/api/v1/jobs/{job_id}/table", JOB_CALL, whole_view, scope="read"),
    ("GET", "/api/v1/jobs/<job_id>/table/suggest"): Row("/api/v1/jobs/{job_id}/table/suggest?column=gene", JOB_CALL),
    ("GET", "/api/v1/jobs/<job_id>/table/export"): Row("/api/v1/jobs/{job_id}/table/export?format=vcf", JOB_CALL),
    ("POST", "/api/v1/jobs/<job_id>/table/export"): Row(
        "/api/v1/jobs/{job_id}/table/export", JOB_CALL, view_as_file, scope="read"
    ),
    ("GET", "/api/v1/jobs/<job_id>/links"): Row("/api/v1/jobs/{job_id}/links", JOB_CALL),
    ("POST", "/api/v1/jobs/<job_id>/links"): Row(
        "/api/v1/jobs/{job_id}/links", (401, 201, 404, 404, 201, 404, 401, 401, 401, 401)
    ),
    ("DELETE", "/api/v1/jobs/<job_id>/links"): Row(
        "/api/v1/jobs/{job_id}/links", (401, 204, 404, 404, 204, 404, 401, 401, 401, 401)
    ),
    # The owner, who comes first, revokes it.
    ("DELETE", "/api/v1/jobs/<job_id>/links/<link_id>"): Row(
        "/api/v1/jobs/{job_id}/links/{link}", (401, 204, 404, 404, 404, 404, 401, 401, 401, 401)
    ),
    ("GET", "/api/v1/tokens"): Row("/api/v1/tokens", CALL, scope="account"),
    ("POST", "/api/v1/tokens"): Row(
        "/api/v1/tokens", (401, 201, 201, 201, 201, 201, 401, 401, 401, 401), new_token, scope="account"
    ),
    # The row's token is the owner's, who comes first and revokes it.
    ("DELETE", "/api/v1/tokens/<token_id>"): Row(
        "/api/v1/tokens/{token}", (401, 204, 404, 404, 404, 404, 401, 401, 401, 401), scope="account"
    ),
    ("GET", "/api/v1/notices"): Row("/api/v1/notices", CALL, scope="account"),
    ("PUT", "/api/v1/notices"): Row("/api/v1/notices", CALL, new_wishes, scope="account"),
    ("POST", "/api/v1/notices/test"): Row("/api/v1/notices/test", CALL, scope="account"),
    # Nobody has a webhook to sign for.
    ("POST", "/api/v1/notices/secret"): Row(
        "/api/v1/notices/secret", (401, 422, 422, 422, 422, 422, 401, 401, 401, 401), scope="account"
    ),
    # The owner, who comes first, is signed out of the browser by it.
    ("DELETE", "/api/v1/sessions"): Row(
        "/api/v1/sessions", (401, 204, 204, 204, 204, 204, 401, 401, 401, 401), scope="account"
    ),
    ("GET", "/ga4gh/drs/v1/service-info"): Row("/ga4gh/drs/v1/service-info", OPEN),
    ("GET", "/ga4gh/drs/v1/objects/<object_id>"): Row("/ga4gh/drs/v1/objects/{job_id}.vcf", JOB_CALL),
    ("GET", "/ga4gh/drs/v1/objects/<object_id>/access/<access_id>"): Row(
        "/ga4gh/drs/v1/objects/{job_id}.vcf/access/https", JOB_CALL
    ),
    ("GET", "/ga4gh/wes/v1/service-info"): Row("/ga4gh/wes/v1/service-info", OPEN),
    ("GET", "/ga4gh/wes/v1/runs"): Row("/ga4gh/wes/v1/runs", CALL),
    # The row sends no form.
    ("POST", "/ga4gh/wes/v1/runs"): Row(
        "/ga4gh/wes/v1/runs", tuple(400 if status == 200 else status for status in CALL)
    ),
    ("GET", "/ga4gh/wes/v1/runs/<run_id>"): Row("/ga4gh/wes/v1/runs/{job_id}", JOB_CALL),
    ("GET", "/ga4gh/wes/v1/runs/<run_id>/status"): Row("/ga4gh/wes/v1/runs/{job_id}/status", JOB_CALL),
    ("GET", "/ga4gh/wes/v1/runs/<run_id>/tasks"): Row("/ga4gh/wes/v1/runs/{job_id}/tasks", JOB_CALL),
    ("GET", "/ga4gh/wes/v1/runs/<run_id>/tasks/<task_id>"): Row("/ga4gh/wes/v1/runs/{job_id}/tasks/annotate", JOB_CALL),
    # The row's job is COMPLETED.
    ("POST", "/ga4gh/wes/v1/runs/<run_id>/cancel"): Row(
        "/ga4gh/wes/v1/runs/{job_id}/cancel", (401, 409, 404, 404, 409, 404, 401, 401, 401, 401)
    ),
    ("GET", "/api/v1/shared/<token>"): Row("/api/v1/shared/{share}", OPEN),
    ("POST", "/api/v1/token"): Row("/api/v1/token", (422,) * 10, bad_code),
    # Any token may end itself.
    ("DELETE", "/api/v1/token"): Row("/api/v1/token", (401, 403, 403, 403, 204, 204, 401, 401, 401, 401), scope="read"),
}
#: Whoever calls it proves who they are by a signature instead.
SIGNED = {("POST", "/billing/stripe/webhook")}


def routes(app: Flask) -> set[tuple[str, str]]:
    """Every verb and rule that the app answers."""
    return {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}}


def test_every_route_has_a_row(built_app: Flask) -> None:
    """A new route cannot be added without saying who may call it."""
    assert routes(built_app) == set(TABLE)


def test_every_row_names_every_caller() -> None:
    """No row leaves a caller out."""
    assert {key for key, row in TABLE.items() if len(row.expected) != len(CALLERS)} == set()


@pytest.fixture
def callers(app: Flask, globus: Globus, alice: Browser, bob: Browser, operator: Browser) -> dict[str, Callable]:
    """How each of ``CALLERS`` makes a request."""

    def browser_call(browser: Browser, csrf: str | None) -> Callable:
        headers = {"X-CSRFToken": csrf} if csrf else {}
        return lambda method, path, json: browser.open(path, method=method, json=json, headers=headers, buffered=True)

    def token_call(token: str) -> Callable:
        headers = {"Authorization": f"Bearer {token}"}
        client = app.test_client()
        return lambda method, path, json: client.open(
            path, WEB_URL, method=method, json=json, headers=headers, buffered=True
        )

    with app.app_context():
        session, manager = app.appbuilder.session, app.appbuilder.sm

        def token_of(sub: str) -> str:
            asked = tokens.login_request(
                redirect_uri="http://127.0.0.1:5000/callback",
                state="12345678",
                code_challenge=tokens._s256("v" * 43),
                code_challenge_method="S256",
                client_name="lab",
            )
            code = tokens.new_code(session, user=manager.find_user(username=sub), asked=asked)
            return tokens.exchange(session, code=code, code_verifier="v" * 43, redirect_uri=asked.redirect_uri)

        mine, others, revoked, expired, scopeless = (token_of(sub) for sub in (ALICE, BOB, ALICE, ALICE, ALICE))
        alice_herself = manager.find_user(username=ALICE)
        narrow = {
            scope: tokens.create(session, alice_herself, name="script", scope=scope, days=7)[0]
            for scope in tokens.SCOPES
        }
        tokens.revoke(session, revoked)
        change = "UPDATE gas_api_token SET {} WHERE token_digest = :digest"
        session.execute(text(change.format("expires_at = now()")), {"digest": tokens.digest(expired)})
        session.execute(text(change.format("scope = 'other'")), {"digest": tokens.digest(scopeless)})
        session.commit()
    return {
        "anonymous": browser_call(Browser(app, globus), None),
        "owner": browser_call(alice, alice.csrf),
        "other": browser_call(bob, bob.csrf),
        "operator": browser_call(operator, operator.csrf),
        "token": token_call(mine),
        "other's token": token_call(others),
        "revoked token": token_call(revoked),
        "expired token": token_call(expired),
        "wrong scope": token_call(scopeless),
        "junk token": token_call("junk"),
        "read token": token_call(narrow["read"]),
        "jobs token": token_call(narrow["jobs"]),
    }


@pytest.mark.parametrize("key", sorted(TABLE), ids=" ".join)
def test_who_may_call(key: tuple[str, str], app: Flask, callers: dict[str, Callable], jobs: Jobs) -> None:
    """Each caller gets the status that the table says."""
    row = TABLE[key]
    looked_into = key[1].endswith("/genome") or "/table" in key[1]
    job = jobs.annotated(ALICE) if looked_into else jobs.done(ALICE)
    with app.app_context():
        user = app.appbuilder.sm.find_user(username=BOB).id
        session = app.appbuilder.session
        share, link = share_links.create(session, job, days=1)
        owner = app.appbuilder.sm.find_user(username=ALICE)
        _, token = tokens.create(session, owner, name="row", scope="read", days=7)
        path = row.path.format(job_id=job.job_id, user=user, share=share, link=link.id, token=token.id)
    body = row.json(job.job_id) if row.json else None
    got = {name: callers[name](key[0], path, body).status_code for name in (*CALLERS, *NARROW)}
    assert got == row.answers(key[0])


def test_anothers_job_looks_like_none(bob: Browser, jobs: Jobs) -> None:
    """Body and headers of the refusal say the same for another's job as for an id that never was."""
    bob.get("/jobs/")  # a first page makes the session's CSRF token, and so a cookie
    anothers, absent = jobs.done(ALICE).job_id, "0" * 8 + "-0000-4000-8000-" + "0" * 12
    for path in ("/jobs/{}", "/api/v1/jobs/{}", "/api/v1/jobs/{}/log", "/api/v1/jobs/{}/download/input"):
        seen = [bob.get(path.format(job_id)) for job_id in (anothers, absent)]
        texts = [answer.text.replace(anothers, "ID").replace(absent, "ID") for answer in seen]
        assert texts[0] == texts[1]
        assert [answer.status_code for answer in seen] == [404, 404]
        assert sorted(seen[0].headers.keys()) == sorted(seen[1].headers.keys())


def test_writes_of_a_browser_need_the_csrf_token(alice: Browser, operator: Browser, jobs: Jobs, app: Flask) -> None:
    """A signed-in browser that another site drives can write nothing, by no route, and no page of an operator's."""
    job_id, kept = jobs.upload(ALICE), jobs.done(ALICE).job_id
    with app.app_context():
        user = app.appbuilder.sm.find_user(username=ALICE).id
        owner = app.appbuilder.sm.find_user(username=ALICE)
        session = app.appbuilder.session
        _, token = tokens.create(session, owner, name="row", scope="read", days=7)
        share, link = share_links.create(session, jobs.done(ALICE), days=1)
        given = {"job_id": kept, "user": user, "share": share, "link": link.id, "token": token.id}
    writes = routes(app) - {(verb, path) for verb, path in routes(app) if verb == "GET"} - SIGNED
    answers = {}
    for verb, rule in writes:
        row = TABLE[verb, rule]
        body = row.json(job_id) if row.json else None
        for name, browser in (("owner", alice), ("operator", operator)):
            answer = browser.open(row.path.format(**given), method=verb, json=body)
            answers[verb, rule, name] = (answer.status_code, "CSRF" in answer.text)
    assert len(answers) > 2 * 35
    assert {key: answer for key, answer in answers.items() if answer != (400, True)} == {}
    assert {job["job_id"] for job in alice.get("/api/v1/jobs").json["jobs"]} >= {kept}
    assert alice.get("/api/v1/me").json["tier"] == "free"
