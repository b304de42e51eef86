"""A request that is repeated under its Idempotency-Key makes one thing and gets one answer."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text, update
from werkzeug.test import TestResponse

from gas.job import Job
from gas.services import Services
from tests.webui.conftest import ALICE, BOB, Browser, FakeAirflow, Jobs
from webui import idempotency
from webui.database import IdempotencyKey


def post(browser: Browser, path: str, json: Any, key: str) -> TestResponse:
    headers = {"X-CSRFToken": browser.csrf, "Idempotency-Key": key}
    return browser.post(f"/api/v1/{path}", json=json, headers=headers)


def new_job(job_id: str, file_name: str = "a.vcf") -> dict[str, str]:
    return {"job_id": job_id, "file_name": file_name, "reference": "sars-cov-2"}


def jobs_of(services: Services, user_id: str) -> list[Job]:
    return services.jobs.of_user(user_id).items


def turn_clock(app: Flask, column: str) -> None:
    """Let a time of every key have come."""
    with app.app_context():
        session = app.appbuilder.session
        session.execute(update(IdempotencyKey).values({column: datetime.now(UTC)}))
        session.commit()
        session.remove()


def test_the_first_answer_comes_again(alice: Browser, jobs: Jobs, services: Services) -> None:
    """The second answer is the first, although the job has moved on meanwhile, and says that nothing was done."""
    job_id = jobs.upload(ALICE)
    first = post(alice, "jobs", new_job(job_id), "k1")
    services.jobs.start(job_id, "0001")
    second = post(alice, "jobs", new_job(job_id), '"k1"')  # quoted, as the draft standard writes it
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert second.json["status"] == "PENDING"
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"


def test_another_request_with_the_key_is_refused(alice: Browser, jobs: Jobs) -> None:
    """A key stands for one request."""
    assert post(alice, "jobs", new_job(jobs.upload(ALICE)), "k1").status_code == 201
    other = post(alice, "jobs", new_job(jobs.upload(ALICE)), "k1")
    assert (other.status_code, other.json["kind"]) == (422, "idempotency-key-reused")


def test_a_run_again_makes_one_job(alice: Browser, jobs: Jobs, services: Services) -> None:
    """Run again twice under one key, and there is one new job."""
    source = jobs.done(ALICE)
    made = [post(alice, f"jobs/{source.job_id}/rerun", None, "again").json["job_id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(jobs_of(services, ALICE)) == 2
    assert post(alice, f"jobs/{source.job_id}/rerun", None, "anew").json["job_id"] not in made


def test_keys_are_a_persons_own(alice: Browser, bob: Browser, jobs: Jobs) -> None:
    """Two people who choose the same key do not meet."""
    assert post(alice, "jobs", new_job(jobs.upload(ALICE)), "1").status_code == 201
    assert post(bob, "jobs", new_job(jobs.upload(BOB)), "1").status_code == 201


def test_what_was_not_done_is_done_under_the_same_id(
    alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow
) -> None:
    """A job that could not be started is started by the same request, and not made a second time."""
    source = jobs.done(ALICE)
    airflow.down = True
    assert post(alice, f"jobs/{source.job_id}/rerun", None, "k").status_code == 503
    airflow.down = False
    answer = post(alice, f"jobs/{source.job_id}/rerun", None, "k")
    assert answer.status_code == 200  # it was recorded by the first
    assert airflow.runs == [answer.json["job_id"]]
    assert len(jobs_of(services, ALICE)) == 2


def test_a_refusal_frees_the_key(alice: Browser, jobs: Jobs) -> None:
    """Nothing was made, so the corrected request may come under the same key."""
    job_id = jobs.upload(ALICE)
    assert post(alice, "jobs", {**new_job(job_id), "reference": "none"}, "k").status_code == 422
    assert post(alice, "jobs", new_job(job_id), "k").status_code == 201


def test_a_key_is_forgotten_after_a_day(alice: Browser, app: Flask, jobs: Jobs) -> None:
    """A key that has had its time may stand for something else."""
    assert post(alice, "jobs", new_job(jobs.upload(ALICE)), "k").status_code == 201
    turn_clock(app, "expires_at")
    assert post(alice, "jobs", new_job(jobs.upload(ALICE)), "k").status_code == 201


def test_a_dead_process_loses_its_claim(
    alice: Browser, app: Flask, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a claim is fresh the key is busy; when its process has died, the work is taken up under the same id."""

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    job = jobs.done(ALICE)
    with monkeypatch.context() as patch:
        patch.setattr(idempotency.Keys, "keep", die)  # the link is made and the answer lost
        with pytest.raises(Killed):
            share(alice, job)
    busy = share(alice, job)
    assert (busy.status_code, busy.json["kind"], busy.headers["Retry-After"]) == (409, "idempotency-in-progress", "1")
    turn_clock(app, "claimed_until")
    answer = share(alice, job)
    assert answer.status_code == 201
    assert len(alice.get(f"/api/v1/jobs/{job.job_id}/links").json["links"]) == 1
    assert share(alice, job).json["url"] == answer.json["url"]


def share(browser: Browser, job: Job) -> TestResponse:
    return post(browser, f"jobs/{job.job_id}/links", {"days": 1}, "share")


def test_nothing_secret_lies_in_the_database(alice: Browser, app: Flask, jobs: Jobs) -> None:
    """Neither the key nor the address of a link can be read from what is kept."""
    secret = share(alice, jobs.done(ALICE)).json["url"].rpartition("/")[2]
    with app.app_context():
        row = app.appbuilder.session.execute(text("SELECT * FROM gas_idempotency_key")).one()
        app.appbuilder.session.remove()
    assert row.answer
    assert not any(word in str(row) for word in (secret, ALICE, "'share'"))


def test_a_form_to_upload_is_made_anew_for_the_same_job(alice: Browser) -> None:
    """A form that was lost comes again, good for its full time, and leads to the same place."""
    asked = {"file_name": "a.vcf", "size_bytes": 10, "reference": "sars-cov-2"}
    forms = [post(alice, "uploads", asked, "k").json for _ in range(2)]
    assert forms[0]["job_id"] == forms[1]["job_id"]
    assert forms[0]["fields"]["key"] == forms[1]["fields"]["key"]


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "caf\u00e9", '"'])
def test_what_is_no_key_is_refused(alice: Browser, key: str) -> None:
    """A key is 1 to 255 visible ASCII characters."""
    answer = post(alice, "uploads", {}, key)
    assert (answer.status_code, answer.json["kind"]) == (400, "bad-request")


def test_of_many_at_once_one_does_the_work(app: Flask) -> None:
    """Of claims made at the same time for one key, one is given."""
    key, got = str(uuid.uuid4()), []
    barrier = threading.Barrier(6)

    def claim() -> None:
        with app.app_context():
            keys = idempotency.keys()
            barrier.wait()
            try:
                got.append(keys.claim(user_id=ALICE, key=key, request_digest="d"))
            except idempotency.InProgress:
                got.append(None)
            app.appbuilder.session.remove()

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in got) == 1
    assert len(got) == 6


def test_an_overtaken_claim_keeps_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes back after another has taken the claim over does not put their answer in its place."""
    with app.app_context():
        keys = idempotency.keys()
        asked = {"user_id": ALICE, "key": "k", "request_digest": "d"}
        monkeypatch.setattr(idempotency, "LEASE", timedelta(0))
        slow, quick = keys.claim(**asked), keys.claim(**asked)
        assert slow.made_id == quick.made_id
        kept = idempotency.Kept(status=201, content_type="text/plain", body=b"quick")
        keys.keep(quick, user_id=ALICE, key="k", kept=kept)
        keys.keep(slow, user_id=ALICE, key="k", kept=idempotency.Kept(status=201, content_type="x", body=b"slow"))
        keys.release(slow)
        assert keys.claim(**asked) == kept
        app.appbuilder.session.remove()
