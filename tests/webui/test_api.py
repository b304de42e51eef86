"""The JSON API: what it takes, what it gives, and how it refuses."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from flask import Flask

from gas.profiles_table import Tier
from gas.services import Services
from tests.webui.conftest import (
    ALICE,
    BOB,
    SCOPE,
    SCRIPT_ID,
    SCRIPT_SECRET,
    WEB_URL,
    Browser,
    FakeAirflow,
    Globus,
    Jobs,
)

VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def problem(answer: Any, status: int, kind: str) -> str:
    """Check that ``answer`` is a problem; its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json.keys() == {"type", "title", "status", "detail", "kind"}
    assert (answer.json["status"], answer.json["kind"]) == (status, kind)
    return answer.json["detail"]


def test_me_tells_plan_and_limit(alice: Browser, services: Services) -> None:
    """The account says which plan it is on, and the limit follows the plan at once."""
    me = alice.get("/api/v1/me").json
    told = {
        "user_id": ALICE,
        "name": "Alice Example",
        "email": "alice@uchicago.example",
        "tier": "free",
        "upload_limit_bytes": 1 << 20,
    }
    assert {name: me[name] for name in told} == told
    services.profiles.set_tier(ALICE, Tier.PREMIUM)
    assert alice.get("/api/v1/me").json["upload_limit_bytes"] == 2 << 20


def test_references_have_one_default(alice: Browser) -> None:
    """Programs learn the references, their contigs, and which to take when nobody chose."""
    (reference,) = alice.get("/api/v1/references").json["references"]
    assert (reference["name"], reference["default"]) == ("sars-cov-2", True)
    assert reference["contigs"] == [{"name": "NC_045512.2", "length": 29903}]


def test_upload_and_submit(alice: Browser, airflow: FakeAirflow, services: Services) -> None:
    """A file goes up by the form, becomes a job, and its DAG run is asked for."""
    asked = alice.call(
        "POST", "uploads", json={"file_name": "my.vcf", "size_bytes": len(VCF), "reference": "sars-cov-2"}
    )
    assert asked.status_code == 201
    form = asked.json
    assert form["max_bytes"] == 1 << 20
    put = httpx.post(form["url"], data=form["fields"], files={"file": VCF})
    assert put.status_code in (200, 201, 204), put.text
    new = {"job_id": form["job_id"], "file_name": "my.vcf", "reference": "sars-cov-2"}
    made = alice.call("POST", "jobs", json=new)
    assert (made.status_code, made.json["status"]) == (201, "PENDING")
    again = alice.call("POST", "jobs", json=new)
    assert (again.status_code, again.json["job_id"]) == (200, form["job_id"])
    assert set(airflow.runs) == {form["job_id"]}
    assert services.jobs.owned(form["job_id"], ALICE).input.size_bytes == len(VCF)


def test_over_the_limit_is_told_of_the_upgrade(alice: Browser) -> None:
    """A file over the free plan's limit is refused before the upload, with the limit and the way out."""
    said = problem(
        alice.call("POST", "uploads", json={"file_name": "a.vcf", "size_bytes": 2 << 20, "reference": "sars-cov-2"}),
        413,
        "upload-too-large",
    )
    assert "1 MiB" in said
    assert "premium" in said


def test_limit_holds_for_the_stored_object(alice: Browser, jobs: Jobs, services: Services) -> None:
    """What the browser said of the size does not count: the stored object is measured, and removed when too large."""
    job_id = jobs.upload(ALICE, b"x" * ((1 << 20) + 1))
    new = {"job_id": job_id, "file_name": "a.vcf", "reference": "sars-cov-2"}
    problem(alice.call("POST", "jobs", json=new), 413, "upload-too-large")
    assert services.objects.head_input(user_id=ALICE, job_id=job_id) is None
    assert alice.get("/api/v1/jobs").json["jobs"] == []


def test_airflow_down_keeps_the_job(alice: Browser, jobs: Jobs, airflow: FakeAirflow) -> None:
    """When Airflow does not answer the job is recorded, the answer says so, and submitting again starts it."""
    new = {"job_id": jobs.upload(ALICE), "file_name": "a.vcf", "reference": "sars-cov-2"}
    airflow.down = True
    said = problem(alice.call("POST", "jobs", json=new), 503, "unavailable")
    assert "recorded" in said
    airflow.down = False
    assert alice.call("POST", "jobs", json=new).json["status"] == "PENDING"
    assert airflow.runs == [new["job_id"]]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("uploads", None, 400),
        ("uploads", [], 400),
        ("uploads", "text", 400),
        ("uploads", {}, 422),
        ("uploads", {"file_name": "a.vcf", "size_bytes": "10", "reference": "sars-cov-2"}, 422),
        ("uploads", {"file_name": "a.vcf", "size_bytes": True, "reference": "sars-cov-2"}, 422),
        ("uploads", {"file_name": "a.vcf", "size_bytes": -1, "reference": "sars-cov-2"}, 422),
        ("uploads", {"file_name": "a.vcf", "size_bytes": 0, "reference": "sars-cov-2"}, 422),
        ("uploads", {"file_name": "", "size_bytes": 10, "reference": "sars-cov-2"}, 422),
        ("uploads", {"file_name": "a\nb.vcf", "size_bytes": 10, "reference": "sars-cov-2"}, 422),
        ("uploads", {"file_name": "a.vcf", "size_bytes": 10, "reference": "../etc"}, 422),
        ("uploads", {"file_name": "a.vcf", "size_bytes": 10, "reference": "sars-cov-2", "user_id": BOB}, 422),
        ("jobs", {"job_id": "../../x", "file_name": "a.vcf", "reference": "sars-cov-2"}, 422),
        ("jobs", {"job_id": "0" * 36, "file_name": "a.vcf", "reference": "sars-cov-2"}, 422),
        ("token", {"code": 5, "code_verifier": "x", "redirect_uri": "x"}, 422),
    ],
)
def test_bad_bodies_get_one_sentence(alice: Browser, path: str, body: Any, status: int) -> None:
    """Whatever is sent, the answer is a problem that names what is wrong, and never a 500."""
    answer = alice.call("POST", path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=²", "limit=-1", "cursor=junk", "status=X"])
def test_bad_queries_get_one_sentence(alice: Browser, query: str) -> None:
    """A bad page size, cursor or status is refused."""
    assert alice.get(f"/api/v1/jobs?{query}").status_code == 422


def test_jobs_come_in_pages_newest_first(alice: Browser, jobs: Jobs) -> None:
    """Following the cursors shows every job once, newest first."""
    made = [jobs.pending(ALICE, ago_s=10 * n).job_id for n in range(5)]
    seen, cursor = [], None
    while True:
        page = alice.get("/api/v1/jobs", query_string={"limit": 2, **({"cursor": cursor} if cursor else {})}).json
        seen += [job["job_id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made


def test_jobs_can_be_had_by_status(alice: Browser, jobs: Jobs) -> None:
    """A status filter leaves the others out."""
    jobs.pending(ALICE)
    running = jobs.running(ALICE).job_id
    (job,) = alice.get("/api/v1/jobs?status=RUNNING").json["jobs"]
    assert job["job_id"] == running
    assert job["progress"] == {"stage": "annotating", "done": 1234, "total": 5678}


def test_log_and_summary(alice: Browser, jobs: Jobs) -> None:
    """The log is text and the summary is JSON, as the engine wrote them."""
    job_id = jobs.done(ALICE).job_id
    log = alice.get(f"/api/v1/jobs/{job_id}/log")
    assert (log.text, log.content_type) == (Jobs.LOG, "text/plain; charset=utf-8")
    assert alice.get(f"/api/v1/jobs/{job_id}/summary").json == dict(Jobs.SUMMARY)


@pytest.mark.parametrize(
    ("what", "body", "name"),
    [
        ("vcf", b"the vcf", "cohort.annot.vcf.gz"),
        ("index", b"the index", "cohort.annot.vcf.gz.tbi"),
        ("table", b"the table", "cohort.parquet"),
        ("log", Jobs.LOG.encode(), "cohort.vcf.count.log"),
        ("input", b"##fileformat=VCFv4.3\n", "cohort.vcf.gz"),
    ],
)
def test_downloads(alice: Browser, jobs: Jobs, what: str, body: bytes, name: str) -> None:
    """Each file of a job comes by a fresh link, under the name that belongs to it."""
    job_id = jobs.done(ALICE).job_id
    link = alice.get(f"/api/v1/jobs/{job_id}/download/{what}")
    assert link.status_code == 302
    query = parse_qs(urlsplit(link.location).query)
    assert 290 <= int(query["X-Amz-Expires"][0]) <= 300
    assert query["versionId"]
    got = httpx.get(link.location)
    assert got.content == body
    assert f'filename="{name}"' in got.headers["Content-Disposition"]


def test_download_names_cannot_inject_headers(alice: Browser, jobs: Jobs) -> None:
    """A hostile file name stays inside the one header value."""
    job = jobs.pending(ALICE, name='x"; evil=1; filename="y.exe\\é.vcf')
    link = alice.get(f"/api/v1/jobs/{job.job_id}/download/input").location
    assert "\r" not in link
    assert "\n" not in unquote(link)
    header = httpx.get(link).headers["Content-Disposition"]
    assert header.count('"') == 2
    assert "evil=1" not in header.split(";")[1:2][0].replace("evil_1", "")


@pytest.mark.parametrize("what", ["vcf", "log", "nothing", "../input", "VCF"])
def test_what_is_not_there_is_404(alice: Browser, jobs: Jobs, what: str) -> None:
    """A running job has no results, and there are no other files."""
    job_id = jobs.running(ALICE).job_id
    assert alice.get(f"/api/v1/jobs/{job_id}/download/{what}").status_code == 404


def test_unknown_paths_and_verbs_are_problems(alice: Browser) -> None:
    """The API's own 404 and 405 are problems too, and a page's are pages."""
    problem(alice.get("/api/v1/nothing"), 404, "not-found")
    answer = alice.call("PUT", "jobs")
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    page = alice.get("/nothing")
    assert (page.status_code, page.mimetype) == (404, "text/html")


def test_large_bodies_are_refused(alice: Browser) -> None:
    """Files do not go through the web app: a body over 64 KiB is a 413."""
    answer = alice.call("POST", "uploads", json={"file_name": "a" * 70_000})
    problem(answer, 413, "request-entity-too-large")


def test_anonymous_is_told_how_to_sign_in(visitor: Browser) -> None:
    """A 401 names the scheme."""
    answer = visitor.get("/api/v1/me")
    problem(answer, 401, "not-allowed")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_trouble_with_aws_is_503(alice: Browser, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """When AWS does not answer, the person is told to come back, and no detail leaks."""
    from botocore.exceptions import EndpointConnectionError

    def broken(*_: Any, **__: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://secret.internal")

    monkeypatch.setattr(type(services.jobs), "of_user", broken)
    said = problem(alice.get("/api/v1/jobs"), 503, "unavailable")
    assert "secret" not in said


def test_our_own_mistake_is_500_without_detail(
    alice: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is logged and answered without its text."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("internal detail")

    monkeypatch.setattr(type(services.jobs), "of_user", broken)
    assert "internal detail" not in problem(alice.get("/api/v1/jobs"), 500, "internal")
    page = alice.get("/jobs/")
    assert page.status_code == 500
    assert "internal detail" not in page.text


def test_openapi_describes_every_call(alice: Browser, built_app: Flask) -> None:
    """The description names every path of the API, each answer has a schema, and every reference leads somewhere."""
    spec = alice.get("/api/v1/_openapi").json
    rules = {
        rule.rule.replace("<", "{").replace(">", "}")
        for rule in built_app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
    }
    assert rules <= spec["paths"].keys()

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values()))
        return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()

    for reference in references(spec):
        node = spec
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


# Globus access tokens.


def globus_token(globus: Globus, scope: str) -> str:
    """An access token for the script's own identity, as globus-sdk's client credentials grant gives it."""
    answer = httpx.post(
        f"{globus.url}/v2/oauth2/token",
        auth=(SCRIPT_ID, SCRIPT_SECRET),
        data={"grant_type": "client_credentials", "scope": scope},
    )
    answer.raise_for_status()
    return answer.json()["access_token"]


def with_token(app: Flask, token: str, path: str = "me") -> Any:
    return app.test_client().get(f"/api/v1/{path}", WEB_URL, headers={"Authorization": f"Bearer {token}"})


def test_globus_token_with_our_scope_is_taken(app: Flask, globus: Globus, services: Services) -> None:
    """The first use of a Globus token makes user and profile; the person is the token's subject."""
    me = with_token(app, globus_token(globus, SCOPE))
    assert me.status_code == 200
    assert services.profiles.get(me.json["user_id"]).tier == "free"
    assert me.json["user_id"] == SCRIPT_ID


def test_globus_token_without_our_scope_is_refused(app: Flask, globus: Globus) -> None:
    """A token that was given for something else opens nothing."""
    other = globus_token(globus, "urn:globus:auth:scope:transfer.api.globus.org:all")
    assert with_token(app, other).status_code == 401


def test_globus_is_asked_once_a_minute(app: Flask, globus: Globus, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of Globus is believed for a while, and asked for again afterwards."""
    from webui import globus as module

    introspection, asked = app.config["GLOBUS_INTROSPECTION"], []
    ask = introspection._ask
    monkeypatch.setattr(introspection, "_ask", lambda token: asked.append(token) or ask(token))
    token = globus_token(globus, SCOPE)
    for _ in range(3):
        assert with_token(app, token).status_code == 200
    assert len(asked) == 1
    monkeypatch.setattr(module, "ANSWER_LIFETIME_S", 0)
    assert with_token(app, token).status_code == 200
    assert len(asked) == 2


def test_globus_down_is_503(app: Flask, globus: Globus, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Globus does not answer, a token is neither taken nor called bad."""
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", "http://127.0.0.1:9/")
    monkeypatch.setattr("webui.globus.RETRIES", 0)
    problem(with_token(app, "some-token-of-globus"), 503, "unavailable")


def test_tokens_are_not_logged(app: Flask, globus: Globus, caplog: pytest.LogCaptureFixture) -> None:
    """No log line, at any level, holds a token."""
    caplog.set_level(0)
    token = globus_token(globus, SCOPE)
    with_token(app, token)
    with_token(app, "gas_junkjunkjunk")
    assert token not in caplog.text
    assert "gas_junkjunkjunk" not in caplog.text


def test_bearers_are_for_the_api_alone(app: Flask, globus: Globus) -> None:
    """A token opens no page."""
    token = globus_token(globus, SCOPE)
    page = app.test_client().get("/jobs/", base_url=WEB_URL, headers={"Authorization": f"Bearer {token}"})
    assert urlsplit(page.location).path == "/login/"
