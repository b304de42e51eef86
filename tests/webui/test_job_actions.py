"""What a person does with a job of theirs, on its page and by the API."""

from __future__ import annotations

import pytest

from gas.job import JobStatus
from gas.services import Services
from tests.webui.conftest import ALICE, Browser, FakeAirflow, Jobs


def form(browser: Browser, path: str, **fields: str) -> tuple[int, str]:
    """Send a form as the page does; the status, and where it leads or what it says."""
    answer = browser.post(path, data={"csrf_token": browser.csrf, **fields})
    return answer.status_code, answer.headers.get("Location") or answer.text


# Cancelling.


@pytest.mark.parametrize("state", ["pending", "running"])
def test_job_is_cancelled_once(
    alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow, state: str
) -> None:
    """The record says CANCELLED, its run is stopped, and asking again changes nothing."""
    job = getattr(jobs, state)(ALICE)
    first = alice.call("POST", f"jobs/{job.job_id}/cancel")
    assert (first.status_code, first.json["status"]) == (200, "CANCELLED")
    assert airflow.stopped == [job.job_id]
    there = services.jobs.get(job.job_id)
    assert there.is_open  # until what its attempts left was swept
    again = alice.call("POST", f"jobs/{job.job_id}/cancel")
    assert (again.status_code, again.json) == (200, first.json)
    assert services.jobs.get(job.job_id) == there


def test_cancelling_needs_no_airflow(alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow) -> None:
    """The record alone decides: nothing comes of a run that could not be stopped."""
    job = jobs.running(ALICE)
    airflow.down = True
    assert form(alice, f"/jobs/{job.job_id}/cancel") == (302, f"/jobs/{job.job_id}")
    assert services.jobs.get(job.job_id).job_status is JobStatus.CANCELLED
    assert "You cancelled this job" in alice.get(f"/jobs/{job.job_id}").text


def test_what_has_ended_is_not_cancelled(alice: Browser, jobs: Jobs, services: Services) -> None:
    """A job that was done a moment earlier stays done, and a sentence says so on the page and in the API."""
    job = jobs.done(ALICE)
    answer = alice.call("POST", f"jobs/{job.job_id}/cancel")
    assert (answer.status_code, answer.json["kind"]) == (409, "conflict")
    assert "it is COMPLETED, so there is nothing left to cancel" in answer.json["detail"]
    status, page = form(alice, f"/jobs/{job.job_id}/cancel")
    assert status == 409
    assert "it is COMPLETED, so there is nothing left to cancel" in page
    assert services.jobs.get(job.job_id) == job


def test_list_offers_to_cancel_what_goes_on(alice: Browser, jobs: Jobs) -> None:
    """Only a job that has not ended can be cancelled from the list, which is where the browser comes back to."""
    goes_on, ended = jobs.running(ALICE), jobs.done(ALICE)
    page = alice.get("/jobs/").text
    assert f"/jobs/{goes_on.job_id}/cancel" in page
    assert f"/jobs/{ended.job_id}/cancel" not in page
    assert form(alice, f"/jobs/{goes_on.job_id}/cancel", next="/jobs/") == (302, "/jobs/")
    assert form(alice, f"/jobs/{goes_on.job_id}/cancel", next="//evil.example/") == (302, "/")
