"""Sharing a result by a link: who sees what, for how long, and where the secret never stands."""

from __future__ import annotations

import dataclasses
import logging
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from gunicorn.config import Config
from sqlalchemy import text

from gas.job import Job, StorageState
from gas.profiles_table import Tier
from gas.services import Services
from tests.webui.conftest import ALICE, WEB_URL, Browser, Jobs
from webui.access_log import RedactedLogger
from webui.database import digest


@pytest.fixture
def job(alice: Browser, jobs: Jobs) -> Job:
    """A result of Alice's."""
    return jobs.done(ALICE, name="trio.vcf.gz")


def shared(browser: Browser, job: Job, **wanted: Any) -> tuple[str, dict[str, Any]]:
    """The path of a new link to the job's result, and what the API says of it."""
    answer = browser.call("POST", f"jobs/{job.job_id}/links", json=wanted or None)
    assert answer.status_code == 201
    assert answer.json["url"].startswith(f"{WEB_URL}/shared/")
    return urlsplit(answer.json["url"]).path, answer.json


def test_link_shows_the_result_to_anybody(alice: Browser, visitor: Browser, job: Job, jobs: Jobs) -> None:
    """Without signing in: the summary and each file, as its owner would download it."""
    path, _ = shared(alice, job)
    page = visitor.get(path)
    assert page.status_code == 200
    assert "<h1>trio.vcf.gz</h1>" in page.text
    assert "By consequence" in page.text
    for what in ("vcf", "index", "log", "summary", "table"):
        assert f'href="{path}/download/{what}"' in page.text
        mine = alice.get(f"/api/v1/jobs/{job.job_id}/download/{what}").headers["Location"]
        theirs = visitor.get(f"{path}/download/{what}").headers["Location"]
        assert urlsplit(theirs).path == urlsplit(mine).path
        assert parse_qs(urlsplit(theirs).query)["versionId"] == parse_qs(urlsplit(mine).query)["versionId"]
    assert httpx.get(visitor.get(f"{path}/download/log").headers["Location"]).text == Jobs.LOG


def test_program_sees_by_a_link_what_a_person_does(visitor: Browser, alice: Browser, job: Job) -> None:
    """The API tells of the result and where its files are, to whoever has the link, and of nothing else."""
    path, made = shared(alice, job)
    told = visitor.get(f"/api/v1{path}").json
    assert (told["file_name"], told["counts"], told["expires_at"]) == (
        "trio.vcf.gz",
        {"variants": 3},
        made["expires_at"],
    )
    assert httpx.get(visitor.get(urlsplit(told["downloads"]["log"]).path).headers["Location"]).text == Jobs.LOG
    assert not any(hidden in str(told) for hidden in (ALICE, job.job_id, "Alice", "uchicago"))
    assert visitor.get("/api/v1/shared/none").status_code == 404


def test_link_shows_nothing_else(alice: Browser, visitor: Browser, job: Job, jobs: Jobs) -> None:
    """Neither who the owner is, nor another job, nor the upload, nor anything that could be done with the job."""
    other = jobs.done(ALICE, name="secret.vcf")
    path, _ = shared(alice, job)
    page = visitor.get(path).text
    for hidden in (
        "Alice",
        "Example",
        "uchicago",
        ALICE,
        job.job_id,
        other.job_id,
        "secret",
        "csrf",
        "Delete",
        "Rename",
    ):
        assert hidden not in page, hidden
    assert not re.search(r"<(form|input)", page)
    for what in ("input", "nothing", "vcf/../input"):
        assert visitor.get(f"{path}/download/{what}").status_code == 404
    for wrong in (f"/jobs/{job.job_id}", f"/api/v1/jobs/{job.job_id}"):
        assert visitor.get(wrong).status_code in (302, 401)


def test_secret_of_a_link_is_kept_nowhere(
    alice: Browser, visitor: Browser, job: Job, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """The database holds a digest; logs, further pages and other sites do not learn of it."""
    path, _ = shared(alice, job)
    token = path.rpartition("/")[2]
    assert len(token) == 43  # 256 bits
    with app.app_context():
        rows = app.appbuilder.session.execute(text("SELECT * FROM gas_share_link")).mappings().all()
    assert [row["token_digest"] for row in rows] == [digest(token)]
    assert token not in str(rows)
    assert token not in str(alice.get(f"/api/v1/jobs/{job.job_id}/links").json)
    assert token not in alice.get(f"/jobs/{job.job_id}/share").text
    page = visitor.get(path)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert visitor.get(f"{path}/download/vcf").headers["Referrer-Policy"] == "no-referrer"
    caplog.set_level(logging.DEBUG)
    alice.call("DELETE", f"jobs/{job.job_id}/links")
    assert visitor.get(path).status_code == 404
    assert token not in caplog.text


def test_error_of_ours_logs_no_secret(
    alice: Browser, visitor: Browser, job: Job, services: Services, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong while a link is looked at is logged without it."""
    path, _ = shared(alice, job)

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(type(services.jobs), "find", broken)
    assert visitor.get(path).status_code == 500
    assert "/shared/..." in caplog.text
    assert path not in caplog.text


def test_access_log_holds_no_secret() -> None:
    """The lines of gunicorn's log tell of a link neither by the request nor by where it came from."""
    parts = {"REQUEST_METHOD": "GET", "RAW_URI": "/shared/abc_DEF-1/download/vcf?x=1", "SERVER_PROTOCOL": "HTTP/1.1"}
    parts |= {"PATH_INFO": "/shared/abc_DEF-1/download/vcf", "HTTP_REFERER": "http://localhost/shared/abc_DEF-1"}
    response = type("Response", (), {"status": "302 FOUND", "headers": [], "sent": 0})
    asked = type("Request", (), {"headers": [("Referer", "http://localhost/shared/abc_DEF-1")]})
    logger = RedactedLogger(Config())
    line = logger.atoms(response, asked, parts, timedelta(seconds=1))
    assert "GET /shared/.../download/vcf?x=1 HTTP/1.1" in line.values()
    assert "abc_DEF-1" not in str(line)


def test_link_ends(alice: Browser, visitor: Browser, job: Job, app: Flask) -> None:
    """When it expires, when it is revoked alone or with all, and with its job: each time in the same words."""
    refusals = set()

    def gone(path: str) -> bool:
        answers = [visitor.get(path), visitor.get(f"{path}/download/vcf")]
        refusals.update(re.sub(r"\s+", " ", answer.text) for answer in answers)
        return [answer.status_code for answer in answers] == [404, 404]

    (first, told), (second, _), (third, _) = (shared(alice, job, days=days) for days in (1, 7, 30))
    good_for = datetime.fromisoformat(told["expires_at"]) - datetime.fromisoformat(told["created_at"])
    assert good_for.total_seconds() == 86400
    assert alice.call("DELETE", f"jobs/{job.job_id}/links/{told['id']}").status_code == 204
    assert gone(first)
    with app.app_context():
        session = app.appbuilder.session
        change = "UPDATE gas_share_link SET expires_at = now() WHERE token_digest = :digest"
        session.execute(text(change), {"digest": digest(second.rpartition("/")[2])})
        session.commit()
    assert gone(second)
    assert visitor.get(third).status_code == 200
    assert len(alice.get(f"/api/v1/jobs/{job.job_id}/links").json["links"]) == 1
    for _ in range(2):
        assert alice.call("DELETE", f"jobs/{job.job_id}/links").status_code == 204
    assert gone(third)
    fourth, _ = shared(alice, job)
    alice.call("DELETE", f"jobs/{job.job_id}")
    assert gone(fourth)
    assert gone("/shared/never-given-out")
    assert len(refusals) == 1


def test_owner_makes_and_revokes_links_on_a_page(alice: Browser, visitor: Browser, job: Job) -> None:
    """The page shows the address once, lists what is good, and revokes."""
    where = f"/jobs/{job.job_id}/share"
    assert "Nobody but you" in alice.get(where).text
    made = alice.post(where, data={"csrf_token": alice.csrf, "days": "30"})
    path = urlsplit(re.search(r'value="(http[^"]+/shared/[^"]+)"', made.text)[1]).path
    assert visitor.get(path).status_code == 200
    assert path not in alice.get(where).text
    link = re.search(r'name="link_id" value="(\d+)"', alice.get(where).text)[1]
    answer = alice.post(f"{where}/revoke", data={"csrf_token": alice.csrf, "link_id": link})
    assert (answer.status_code, answer.headers["Location"]) == (302, where)
    assert visitor.get(path).status_code == 404
    for days in ("0", "366", "-1", "x", "99999", "٣"):
        assert alice.post(where, data={"csrf_token": alice.csrf, "days": days}).status_code == 422


def test_only_a_result_can_be_shared(alice: Browser, jobs: Jobs) -> None:
    """A job without a result has nothing to share, and a length of time that is none is told."""
    for waiting in (jobs.pending(ALICE), jobs.failed(ALICE, "no")):
        answer = alice.call("POST", f"jobs/{waiting.job_id}/links")
        assert (answer.status_code, "no result to share" in answer.json["detail"]) == (409, True)
        assert "no result to share yet" in alice.get(f"/jobs/{waiting.job_id}/share").text
    done = jobs.done(ALICE)
    for wanted in ({"days": 0}, {"days": 366}, {"days": "7"}, {"until": 3}):
        assert alice.call("POST", f"jobs/{done.job_id}/links", json=wanted).status_code == 422


def test_link_belongs_to_its_job(alice: Browser, bob: Browser, job: Job, jobs: Jobs) -> None:
    """Neither another of one's own jobs nor another person leads to a link."""
    _, told = shared(alice, job)
    other = jobs.done(ALICE)
    assert alice.call("DELETE", f"jobs/{other.job_id}/links/{told['id']}").status_code == 404
    assert bob.call("DELETE", f"jobs/{job.job_id}/links/{told['id']}").status_code == 404
    assert alice.call("DELETE", f"jobs/{job.job_id}/links/{1 << 40}").status_code == 404
    assert len(alice.get(f"/api/v1/jobs/{job.job_id}/links").json["links"]) == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [(StorageState.ARCHIVED, "In the archive"), (StorageState.THAWING, "On its way back from the archive")],
)
def test_archived_result_explains_itself(
    alice: Browser,
    visitor: Browser,
    job: Job,
    services: Services,
    state: StorageState,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Summary and log stay there to be read; what is in the archive is named so, and never with the owner's plan."""
    path, _ = shared(alice, job)
    there = dataclasses.replace(job, storage_state=state, archive_time=1_700_000_000, restore_time=1_700_000_100)
    monkeypatch.setattr(type(services.jobs), "find", lambda *_: there)
    page = visitor.get(path).text
    assert said in page
    assert "By consequence" in page
    assert not re.search("(?i)premium|upgrade", page)
    assert f"{path}/download/vcf" not in page
    refused = visitor.get(f"{path}/download/vcf")
    assert (refused.status_code, "archive" in refused.text) == (409, True)
    assert visitor.get(f"{path}/download/log").status_code == 302


def test_download_outlives_neither_link_nor_result(
    alice: Browser, visitor: Browser, job: Job, services: Services, app: Flask
) -> None:
    """A link to the file is good for minutes, and for less where the link to the result ends sooner."""
    services.profiles.set_tier(ALICE, Tier.PREMIUM)

    def life_s() -> int:
        location = visitor.get(f"{path}/download/log").headers["Location"]
        return int(parse_qs(urlsplit(location).query)["X-Amz-Expires"][0])

    path, _ = shared(alice, job)
    assert life_s() == services.settings.download_link_s
    with app.app_context():
        session = app.appbuilder.session
        session.execute(text("UPDATE gas_share_link SET expires_at = now() + interval '100 seconds'"))
        session.commit()
    assert 60 <= life_s() <= 100


def test_links_of_a_job_are_bounded(alice: Browser, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can fill the database with links."""
    monkeypatch.setattr("webui.share_links.MOST", 2)
    for _ in range(2):
        shared(alice, job)
    assert alice.call("POST", f"jobs/{job.job_id}/links").status_code == 409
