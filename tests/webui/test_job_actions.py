"""What a person does with a job of theirs, on its page and by the API."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from gas.job import JobStatus
from gas.services import Services
from gas.settings import Settings
from tests.webui.conftest import ALICE, BOB, Browser, FakeAirflow, Jobs


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


# Running again.


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_job_is_run_again_as_a_new_one(
    alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow, state: str
) -> None:
    """The new job has a copy of the very bytes that the old one had, which can then be deleted."""
    old = {
        "done": lambda: jobs.done(ALICE, name="mine.vcf"),
        "failed": lambda: jobs.failed(ALICE, "line 3: no", name="mine.vcf"),
        "cancelled": lambda: services.jobs.cancel(jobs.pending(ALICE, name="mine.vcf").job_id, ALICE),
    }[state]()
    key = services.objects.input_key(user_id=ALICE, job_id=old.job_id)
    jobs.put(services.settings.inputs_bucket, key, b"uploaded later, and no job's input")
    answer = alice.call("POST", f"jobs/{old.job_id}/rerun")
    assert (answer.status_code, answer.json["status"], answer.json["file_name"]) == (201, "PENDING", "mine.vcf")
    new = services.jobs.get(answer.json["job_id"])
    assert (new.job_id != old.job_id, new.reference, airflow.runs) == (True, old.reference, [new.job_id])
    assert alice.call("DELETE", f"jobs/{old.job_id}").status_code == 204
    assert services.objects.read_text(new.input, 100) == "##fileformat=VCFv4.3\n"


def test_form_that_is_sent_twice_makes_one_job(
    alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow
) -> None:
    """The form's own job id makes a double click harmless, also while Airflow is down."""
    old = jobs.done(ALICE)
    page = alice.get(f"/jobs/{old.job_id}").text
    new = re.search(r'name="job_id" value="([^"]+)"', page)[1]
    airflow.down = True
    assert form(alice, f"/jobs/{old.job_id}/rerun", job_id=new, reference="sars-cov-2") == (302, f"/jobs/{new}")
    airflow.down = False
    assert form(alice, f"/jobs/{old.job_id}/rerun", job_id=new, reference="sars-cov-2") == (302, f"/jobs/{new}")
    assert {job.job_id for job in services.jobs.of_user(ALICE).items} == {old.job_id, new}
    assert len(list(services.objects._versions(services.settings.inputs_bucket, f"{ALICE}/{new}/"))) == 1
    again = alice.call("POST", f"jobs/{old.job_id}/rerun", json={"job_id": new})
    assert (again.status_code, again.json["job_id"]) == (200, new)


@pytest.fixture
def other_reference(services: Services) -> Iterator[str]:
    """The name of another installed reference."""
    name = "sars-cov-2-again"
    folder = services.references.folder
    shutil.copytree(services.references.get("sars-cov-2").folder, folder / name)
    yield name
    shutil.rmtree(folder / name)


def test_job_is_run_again_on_another_reference(
    alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow, other_reference: str
) -> None:
    """The page offers each installed reference; the new job has the chosen one, by form and by API."""
    old = jobs.done(ALICE, name="mine.vcf")
    page = alice.get(f"/jobs/{old.job_id}").text
    assert re.findall(r"<option( selected)?>([^<]+)</option>", page) == [
        (" selected", "sars-cov-2"),
        ("", other_reference),
    ]
    new = re.search(r'name="job_id" value="([^"]+)"', page)[1]
    assert form(alice, f"/jobs/{old.job_id}/rerun", job_id=new, reference=other_reference) == (302, f"/jobs/{new}")
    answer = alice.call("POST", f"jobs/{old.job_id}/rerun", json={"reference": other_reference})
    assert (answer.status_code, answer.json["reference"]) == (201, other_reference)
    assert airflow.runs == [new, answer.json["job_id"]]
    found = {job.job_id: (job.reference, job.input_file_name) for job in services.jobs.of_user(ALICE).items}
    assert found.pop(old.job_id) == ("sars-cov-2", "mine.vcf")
    assert set(found.values()) == {(other_reference, "mine.vcf")}
    listed = alice.get(f"/api/v1/jobs?reference={other_reference}").json["jobs"]
    assert {job["job_id"] for job in listed} == set(found)


def test_what_cannot_be_run_again_is_told(alice: Browser, jobs: Jobs, services: Services, settings: Settings) -> None:
    """A job at work, an unknown reference, an input that is gone, and one over today's plan: a sentence each."""
    goes_on, done = jobs.running(ALICE), jobs.done(ALICE)
    large = jobs.failed(ALICE, "no")
    body = b"x" * (settings.free_upload_limit_bytes + 1)
    stored = jobs.put(settings.inputs_bucket, services.objects.input_key(user_id=ALICE, job_id=large.job_id), body)
    services.jobs._table.update(
        large.job_id,
        update="SET #input = :input",
        condition="user_id = :user",
        values={":input": asdict(stored), ":user": ALICE},
        names={"#input": "input"},
    )
    gone = jobs.done(ALICE)
    services.objects.delete_version(gone.input)
    for job, body, status, said in (
        (goes_on, None, 409, "it can be run again once it has ended"),
        (done, {"reference": "klingon"}, 422, "klingon"),
        (done, {"job_id": done.job_id}, 422, "an id of its own"),
        (large, None, 413, "the free plan takes at most 1 MiB"),
        (gone, None, 422, "no longer there; upload it again"),
    ):
        answer = alice.call("POST", f"jobs/{job.job_id}/rerun", json=body)
        assert (answer.status_code, said in answer.json["detail"]) == (status, True), answer.json
    assert len(services.jobs.of_user(ALICE).items) == 4


# Renaming.


def test_job_is_renamed(alice: Browser, jobs: Jobs, services: Services) -> None:
    """A new name is shown and names the downloads; the keys of the files know nothing of it."""
    job = jobs.done(ALICE)
    assert form(alice, f"/jobs/{job.job_id}/name", file_name="trio 7.vcf.gz") == (302, f"/jobs/{job.job_id}")
    assert "<h1>trio 7.vcf.gz</h1>" in alice.get(f"/jobs/{job.job_id}").text
    link = alice.get(f"/api/v1/jobs/{job.job_id}/download/vcf").headers["Location"]
    assert "trio%207.annot.vcf.gz" in link.partition("?")[2].replace("%2520", "%20")
    assert "trio" not in link.partition("?")[0]
    answer = alice.call("PATCH", f"jobs/{job.job_id}", json={"file_name": "C:\\data\\b.vcf"})
    assert (answer.status_code, answer.json["file_name"]) == (200, "b.vcf")
    there = services.jobs.get(job.job_id)
    assert there == replace(job, input_file_name="b.vcf")


@pytest.mark.parametrize("name", ["", "  ", "a/", "x" * 201, "a\r\nSet-Cookie: b=1.vcf", "a\u202efcv.exe"])
def test_name_that_cannot_be_shown_is_refused(alice: Browser, jobs: Jobs, services: Services, name: str) -> None:
    """Nothing that is no name, or that could break a header or deceive the eye, becomes one."""
    job = jobs.done(ALICE)
    assert form(alice, f"/jobs/{job.job_id}/name", file_name=name)[0] == 422
    assert alice.call("PATCH", f"jobs/{job.job_id}", json={"file_name": name}).status_code == 422
    assert services.jobs.get(job.job_id) == job


def test_hostile_name_is_shown_as_it_is(alice: Browser, jobs: Jobs) -> None:
    """Markup in a name is text on every page, also in the field that holds it."""
    job = jobs.done(ALICE)
    name = "\"><script>alert('x')<script>.vcf"
    form(alice, f"/jobs/{job.job_id}/name", file_name=name)
    for path in (f"/jobs/{job.job_id}", "/jobs/", f"/jobs/{job.job_id}/delete"):
        page = alice.get(path).text
        assert "<script>alert" not in page
        assert "&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;script&gt;.vcf" in page


# When it may end.


def test_waiting_job_tells_its_place(alice: Browser, jobs: Jobs, airflow: FakeAirflow) -> None:
    """Jobs that wait for longer are counted, whoever's, and what they may take follows from recent ones."""
    job = jobs.pending(ALICE)
    for ago_s in (5, 10):
        jobs.pending(BOB, ago_s=ago_s)
    jobs.running(BOB, ago_s=20)
    assert "2 jobs wait before it." in alice.get(f"/jobs/{job.job_id}").text
    airflow.took = [600.0] * 10
    told = alice.get(f"/api/v1/jobs/{job.job_id}/forecast").json
    assert (told["ahead"], told["ahead_at_least"], told["usual_s"], told["left_s"]) == (2, False, [600, 600], None)
    assert told["begins_in_s"] == 75  # two jobs over 16 slots
    assert told["sentence"] in alice.get(f"/jobs/{job.job_id}").text


def test_forecast_does_without_airflow(alice: Browser, jobs: Jobs, airflow: FakeAirflow) -> None:
    """Where Airflow does not answer, only what the records say is told; of a job that has ended, nothing."""
    airflow.down = True
    told = alice.get(f"/api/v1/jobs/{jobs.pending(ALICE).job_id}/forecast").json
    assert (told["sentence"], told["usual_s"]) == ("No job waits before it.", None)
    assert alice.get(f"/api/v1/jobs/{jobs.done(ALICE).job_id}/forecast").json["sentence"] == ""
