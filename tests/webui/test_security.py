"""What the web app gives away, and to whom: signed links, headers, logs, and where it leads a browser."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
import pytest
from flask import Flask
from gunicorn.config import Config
from werkzeug.http import parse_options_header

from gas.job import Output
from gas.services import Services
from gas.settings import Settings
from tests.webui.conftest import ALICE, Browser, FakeAirflow, Globus, Jobs
from tests.webui.test_explore import links
from webui import headers
from webui.access import is_page
from webui.access_log import RedactedLogger
from webui.app import create_app

HOSTILE_NAME = 'a\r\nSet-Cookie: x=y"; filename=evil.exe;\u202egnp/../é,\\.vcf'


def signed(answer: Any) -> tuple[str, dict[str, str]]:
    """Path and query of a signed link that an answer leads to."""
    assert answer.status_code == 302
    parts = urlsplit(answer.location)
    query = parse_qs(parts.query, keep_blank_values=True)
    assert all(len(values) == 1 for values in query.values())
    return unquote(parts.path), {name: values[0] for name, values in query.items()}


@pytest.mark.parametrize("output", list(Output))
def test_a_download_link_opens_one_version_for_a_while(
    alice: Browser, jobs: Jobs, services: Services, output: Output
) -> None:
    """Signed are the very object and its version, the name it is saved under, its type, and the host; it expires."""
    job = jobs.done(ALICE, name="cohort.vcf.gz")
    path, query = signed(alice.get(f"/api/v1/jobs/{job.job_id}/download/{output}"))
    stored = job.outputs[output]
    assert path == f"/{stored.bucket}/{ALICE}/{job.job_id}/0001/{stored.key.rpartition('/')[2]}"
    assert query["versionId"] == stored.version_id
    assert 60 <= int(query["X-Amz-Expires"]) <= services.settings.download_link_s
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-SignedHeaders"] == "host"
    kind, options = parse_options_header(query["response-content-disposition"])
    assert (kind, options["filename"]) == ("attachment", job.output_file_name(output))
    assert "html" not in query["response-content-type"]


def test_an_upload_form_lets_one_file_in(alice: Browser, services: Services) -> None:
    """The key is the job's own, whatever the file is called, and a file that is called like a path stays below it."""
    body = {"file_name": "../../other/input.vcf", "size_bytes": 10, "reference": "sars-cov-2"}
    form = alice.call("POST", "uploads", json=body).json
    assert form["fields"]["key"] == f"{ALICE}/{form['job_id']}/input"
    assert form["max_bytes"] == services.settings.free_upload_limit_bytes
    assert form["expires_in_s"] == services.settings.upload_link_s


@pytest.mark.parametrize(
    "part", ["", ".", "..", "../bob", "a/b", "a\\b", "a\n", "a\x00b", "%2e%2e", "é", "-x", "x" * 129]
)
def test_nothing_but_an_id_becomes_a_part_of_a_key(services: Services, part: str) -> None:
    """Neither as a person, nor as a job, nor as an attempt."""
    objects = services.objects
    for ids in (
        {"user_id": part, "job_id": "job", "attempt": "1"},
        {"user_id": ALICE, "job_id": part, "attempt": "1"},
        {"user_id": ALICE, "job_id": "job", "attempt": part},
    ):
        with pytest.raises(ValueError, match="not usable in a key"):
            objects.output_key(Output.VCF, **ids)
    with pytest.raises(ValueError, match="not usable in a key"):
        objects.presigned_upload(user_id=ALICE, job_id=part, max_bytes=1)
    with pytest.raises(ValueError, match="not usable in a key"):
        objects.delete_results(user_id=part, job_id="job")


@pytest.mark.parametrize(
    "trick", ["..", "%2e%2e", "..%2f..", "a%2fb", "%00", "%0d%0aX-Evil:%201", "x" * 300, "*", "%5c"]
)
def test_a_trick_in_an_address_finds_nothing(alice: Browser, jobs: Jobs, trick: str) -> None:
    """A job's id, an output's name and the secret of a link are looked up and never a part of a path."""
    job = jobs.done(ALICE)
    for path in (
        f"/jobs/{trick}",
        f"/jobs/{trick}/table",
        f"/api/v1/jobs/{trick}",
        f"/api/v1/jobs/{trick}/download/vcf",
        f"/api/v1/jobs/{job.job_id}/download/{trick}",
        f"/shared/{trick}",
        f"/shared/{trick}/download/vcf",
        f"/static/{trick}",
    ):
        answer = alice.get(path, follow_redirects=True)
        assert answer.status_code in (200, 404), path  # 200: ".." led to another page of this site
        assert "X-Evil" not in answer.headers
        assert "root:" not in answer.text
    begun = alice.call("POST", "jobs", json={"job_id": unquote(trick), "file_name": "a.vcf", "reference": "sars-cov-2"})
    assert begun.status_code == 422


def test_no_name_of_a_file_gets_out_of_its_header(alice: Browser, jobs: Jobs) -> None:
    """A record may hold any name: the header of each download is one line, and its name one without a folder."""
    job = jobs.annotated(ALICE, name=HOSTILE_NAME)
    table = f"/api/v1/jobs/{job.job_id}/table/export?format="
    given = [alice.get(f"{table}{form}").headers["Content-Disposition"] for form in ("tsv", "vcf", "xlsx")]
    for output in Output:
        answer = alice.get(f"/api/v1/jobs/{job.job_id}/download/{output}")
        assert "\r" not in answer.location + str(answer.headers["Location"])
        given.append(signed(answer)[1]["response-content-disposition"])
        stored = httpx.get(answer.location)
        assert "set-cookie" not in stored.headers
        assert stored.headers["content-disposition"] == given[-1]
    for header in given:
        assert re.fullmatch(
            r"attachment; filename=\"[A-Za-z0-9 ._+()-]+\"; filename\*=UTF-8''[A-Za-z0-9%._~-]+", header
        )


def test_secrets_in_addresses_are_not_in_the_access_log() -> None:
    """Neither the code that Globus sends a browser back with, nor a signed link that the browser came from."""
    asked = "/oauth-authorized/globus?code=SECRET1&state=SECRET2&x=1"
    came_from = "http://store/bucket/key?X-Amz-Signature=SECRET3&X-Amz-Credential=SECRET4&versionId=5"
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": asked, "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_REFERER": came_from}
    response = type("Response", (), {"status": "302 FOUND", "headers": [], "sent": 0})
    sent = type("Request", (), {"headers": [("Referer", came_from)]})
    parts = RedactedLogger(Config()).atoms(response, sent, environ, timedelta(seconds=1))
    assert "GET /oauth-authorized/globus?code=...&state=...&x=1 HTTP/1.1" in parts.values()
    assert "SECRET" not in str(parts)


def test_secrets_in_addresses_are_not_in_the_error_log() -> None:
    """gunicorn names the request that it could not answer."""
    said: list[str] = []
    logger = RedactedLogger(Config())
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())
    logger.error_log.addHandler(listener)
    try:
        logger.error("Error handling request %s", "/shared/SECRET1/download/vcf?token=SECRET2")
    finally:
        logger.error_log.removeHandler(listener)
    assert said == ["Error handling request /shared/.../download/vcf?token=..."]


def test_what_a_visit_logs_holds_no_secret(
    app: Flask, globus: Globus, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """Signing in, uploading and downloading: no cookie, CSRF token, code of Globus or signature in any line."""
    caplog.set_level(logging.INFO)
    browser = Browser(app, globus)
    back = globus.authorize(ALICE, browser.start())
    browser.come_back(back)
    csrf = browser.csrf
    form = browser.call("POST", "uploads", json={"file_name": "a.vcf", "size_bytes": 1, "reference": "sars-cov-2"}).json
    job = jobs.done(ALICE)
    location = browser.get(f"/api/v1/jobs/{job.job_id}/download/vcf").location
    secrets = [browser.cookie, csrf, *parse_qs(urlsplit(back).query)["code"], form["fields"]["x-amz-signature"]]
    secrets += parse_qs(urlsplit(location).query)["X-Amz-Signature"]
    secrets += list(globus.world.tokens)
    said = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("werkzeug"))
    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in said] == []


def test_airflow_is_told_ids_alone(
    alice: Browser, jobs: Jobs, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's configuration is shown in Airflow's pages and logs: no name, address, link or token is in it."""
    told: list[Mapping[str, Any]] = []
    monkeypatch.setattr(airflow, "submit", lambda dag_id, *, run_id, conf: told.append(conf) or True)
    job_id = jobs.upload(ALICE)
    alice.call("POST", "jobs", json={"job_id": job_id, "file_name": "secret.vcf", "reference": "sars-cov-2"})
    assert told == [{"job_id": job_id, "user_id": ALICE}]


def test_no_link_of_a_page_carries_a_secret(alice: Browser, jobs: Jobs, app: Flask) -> None:
    """Addresses end in histories and logs: tokens travel in headers and in the bodies of forms."""
    job = jobs.annotated(ALICE)
    csrf = alice.csrf
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?\w+>", job.job_id, rule.rule)
        if "GET" not in rule.methods or not is_page(app.request_class.from_values(path)):
            continue
        answer = alice.get(path)
        held = [*links(answer.text), answer.headers.get("Location", "")]
        assert not [link for link in held if csrf in link or alice.cookie in link or "X-Amz" in link], path
        assert answer.headers["Referrer-Policy"] in ("same-origin", "no-referrer"), path
        for form in re.findall(r"<form[^>]*>.*?</form>", answer.text, re.DOTALL):
            assert "csrf_token" not in form or 'method="post"' in form.lower(), path


def test_a_made_up_host_leads_nowhere(visitor: Browser) -> None:
    """Whatever name a request gives this server, no link, no redirect and no cookie is made of it."""
    for path in ("/", "/login/", "/jobs/", "/nothing", "/login/globus", "/back", "/lang/en"):
        answer = visitor.client.get(path, base_url="http://evil.example", headers={"X-Forwarded-Host": "evil.example"})
        assert "evil.example" not in answer.text, path
        assert "evil.example" not in answer.headers.get("Set-Cookie", ""), path
        location = answer.headers.get("Location", "")
        assert "evil.example" not in unquote(location), path


def test_errors_of_pages_wear_the_same_dress(
    alice: Browser, visitor: Browser, jobs: Jobs, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Header, way back and footer are there whatever went wrong, and a sentence of what to do."""
    job = jobs.done(ALICE)
    large = {"csrf_token": alice.csrf, "plan": "x" * 70_000}
    answers = {
        400: alice.post("/plan/", data={}),
        401: visitor.get("/oauth-authorized/globus?error=access_denied"),
        404: alice.get("/jobs/none"),
        405: alice.post("/jobs/"),
        413: alice.post("/plan/", data=large),
        422: alice.post(f"/jobs/{job.job_id}/name", data={"csrf_token": alice.csrf, "file_name": ""}),
    }

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a detail that is nobody's business")

    monkeypatch.setattr(services.jobs, "of_user", broken)
    answers[500] = alice.get("/jobs/")
    for status, answer in answers.items():
        page = answer.text
        assert answer.status_code == status
        assert answer.mimetype == "text/html"
        assert page.count('<header class="site') == page.count("<footer") == page.count("<h1") == 1, status
        assert "nobody's business" not in page
        assert "Traceback" not in page
        assert "script-src 'self';" in answer.headers["Content-Security-Policy"]


def test_browsers_insist_on_https_where_people_reach_it_so() -> None:
    """For a year, with every name below; not where it is reached by http."""
    for https in (True, False):
        app = Flask(__name__)
        headers.install(app, https=https)
        sent = app.test_client().get("/").headers.get("Strict-Transport-Security")
        assert sent == ("max-age=31536000; includeSubDomains" if https else None)


def test_app_behind_https_insists_on_it(wired: Services, settings: Settings, globus_server: Globus) -> None:
    """The app itself, reached by https through a proxy that speaks http to it: HSTS on every answer, Secure cookies."""
    public = settings.model_copy(update={"web_url": "https://gas.example.org"})
    app = create_app(services=replace(wired, settings=public))
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "gas.example.org"}
    client = app.test_client()
    for path, status in (
        ("/", 200),
        ("/jobs/", 302),
        ("/api/v1/me", 401),
        ("/static/gas.css", 200),
        ("/absent", 404),
        ("/login/globus", 302),
    ):
        answer = client.get(path, base_url="http://gas.example.org", headers=proxied, buffered=True)
        assert answer.status_code == status, path
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", path
        cookies = answer.headers.getlist("Set-Cookie")
        assert all("; Secure" in cookie for cookie in cookies), path
    assert len(cookies) == 1
    assert "redirect_uri=https%3A%2F%2Fgas.example.org%2F" in answer.location


def test_the_cookie_goes_by_https_alone_where_people_reach_it_so(app: Flask, visitor: Browser) -> None:
    """Secure beside HttpOnly and SameSite, for this host and no other."""
    app.config["SESSION_COOKIE_SECURE"] = True
    try:
        cookie = visitor.get("/login/globus").headers["Set-Cookie"]
    finally:
        app.config["SESSION_COOKIE_SECURE"] = False
    _, flags = cookie.split(";", 1)
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {flag.strip() for flag in flags.split(";")}
    assert "Domain" not in flags


def test_markup_in_an_address_comes_back_as_text(alice: Browser, jobs: Jobs) -> None:
    """Filters, searches and errors quote what was asked for, and none of it is markup."""
    job = jobs.annotated(ALICE)
    evil = "\"'><script>alert(1)</script>"
    for path in (
        f"/jobs/?name={quote(evil)}",
        f"/jobs/?status={quote(evil)}",
        f"/jobs/?cursor={quote(evil)}",
        f"/jobs/{job.job_id}/table?sort={quote(evil)}",
        f"/jobs/{job.job_id}/table?match={quote(evil)}",
        f"/jobs/{job.job_id}/table?column=gene&operator={quote(evil)}&value={quote(evil)}",
        f"/login/?next={quote(evil)}",
        f"/plan/?next={quote(evil)}",
        f"/cli/authorize?client_name={quote(evil)}",
        f"/jobs/{quote(evil, safe='')}",
    ):
        answer = alice.get(path)
        assert "<script>alert" not in answer.text, path
        assert answer.status_code != 500, path
