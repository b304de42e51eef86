"""Plans, results in the archive and on their way back, and deleting: the pages and the API of each."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from gas.errors import NotFound
from gas.job import ArchiveBackend, Job, StorageState
from gas.profiles_table import Tier
from gas.services import Services
from gas.storage_table import new_token
from tests.webui.conftest import ALICE, BOB, Browser, FakeAirflow, Jobs


def archived(services: Services, jobs: Jobs) -> Job:
    """A result of Alice's whose files are in the archive."""
    job = jobs.done(ALICE)
    services.jobs.mark_notified(job.job_id)
    (claimed,) = services.storage.claim([job], token=new_token(), backend=ArchiveBackend.STORAGE_CLASS, delay_s=0)
    committed = services.storage.commit(claimed, "version of the cold copy", delay_s=0)
    services.storage.hot_deleted([committed])
    return services.jobs.get(job.job_id)


def thawing(services: Services, jobs: Jobs) -> Job:
    job = services.storage.thaw_start(archived(services, jobs).job_id)
    return services.storage.retrieval(job, retrieval_job_id=new_token(), tier="Expedited")


def seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).astimezone(UTC).timestamp())


# What the owner is told.


def test_free_result_says_when_it_moves(alice: Browser, jobs: Jobs, services: Services) -> None:
    """Page and API tell until when the result stays: a delay after it came, or after its owner's free plan began."""
    job = jobs.done(ALICE)
    storage = alice.get(f"/api/v1/jobs/{job.job_id}").json["storage"]
    since = max(job.due_since, services.profiles.get(ALICE).free_since)
    assert storage["state"] == "HOT"
    assert seconds(storage["not_before"]) == since + services.settings.free_result_ttl_s
    page = alice.get(f"/jobs/{job.job_id}").text
    assert "moves to the archive not before" in page
    assert storage["not_before"] in page


def test_link_ends_before_the_result_moves(alice: Browser, jobs: Jobs, services: Services) -> None:
    """A link to the result lives no longer than the result is sure to stay, and a minute at least."""
    job = jobs.done(ALICE)

    def life(what: str) -> int:
        link = alice.get(f"/api/v1/jobs/{job.job_id}/download/{what}").headers["Location"]
        return int(parse_qs(urlsplit(link).query)["X-Amz-Expires"][0])

    assert 290 <= life("vcf") <= 300
    services.storage.date(job.job_id, due_since=job.due_since + 1000)
    assert life("vcf") == services.settings.download_link_s
    services.profiles.set_tier(ALICE, Tier.PREMIUM)
    assert life("vcf") == services.settings.download_link_s


def test_link_to_what_is_being_archived_is_short(alice: Browser, jobs: Jobs, services: Services) -> None:
    """The files of such a result may go at any moment, and so no link promises more than a minute."""
    job = jobs.done(ALICE)
    services.jobs.mark_notified(job.job_id)
    services.storage.claim([job], token=new_token(), backend=ArchiveBackend.STORAGE_CLASS, delay_s=0)
    link = alice.get(f"/api/v1/jobs/{job.job_id}/download/vcf").headers["Location"]
    assert parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["60"]


def test_archived_result_explains_itself(alice: Browser, jobs: Jobs, services: Services) -> None:
    """What is in the archive is a 409 that names the upgrade; log and summary stay, and the page offers a way."""
    job = archived(services, jobs)
    for what in ("vcf", "index", "table"):
        answer = alice.get(f"/api/v1/jobs/{job.job_id}/download/{what}")
        assert (answer.status_code, answer.json["kind"]) == (409, "archived")
        assert "upgrade to premium" in answer.json["detail"]
    for what in ("log", "summary", "input"):
        assert alice.get(f"/api/v1/jobs/{job.job_id}/download/{what}").status_code == 302
    assert alice.get(f"/api/v1/jobs/{job.job_id}/log").text == Jobs.LOG
    public = alice.get(f"/api/v1/jobs/{job.job_id}").json
    assert {name for name, output in public["outputs"].items() if output["available"]} == {"digest", "log", "summary"}
    page = alice.get(f"/jobs/{job.job_id}").text
    assert "In the archive since" in page
    assert "Upgrade and bring it back" in page
    assert "download/vcf" not in page
    assert "D614G" in page  # the first rows, of the summary
    assert "in the archive" in alice.get("/jobs/").text


def test_way_back_is_shown(alice: Browser, jobs: Jobs, services: Services) -> None:
    """While the archive is retrieving, the page tells since when, how, and when to expect it."""
    job = thawing(services, jobs)
    storage = alice.get(f"/api/v1/jobs/{job.job_id}").json["storage"]
    assert (storage["state"], storage["retrieval_tier"]) == ("THAWING", "Expedited")
    assert seconds(storage["expected_by"]) == job.retrieval_time + 300
    page = alice.get(f"/jobs/{job.job_id}").text
    assert "On its way back" in page
    assert "Expedited, expected by" in page
    assert "on its way back" in alice.get(f"/api/v1/jobs/{job.job_id}/download/vcf").json["detail"]


# Plans.


def test_upgrade_on_the_page_starts_one_restore(
    alice: Browser, jobs: Jobs, services: Services, airflow: FakeAirflow
) -> None:
    """The button records the plan, asks for one restore of the person, and leads back to the job."""
    job = archived(services, jobs)
    form = {"csrf_token": alice.csrf, "plan": "premium", "next": f"/jobs/{job.job_id}"}
    for _ in range(2):
        answer = alice.post("/plan/", data=form)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/jobs/{job.job_id}")
    profile = services.profiles.get(ALICE)
    assert (profile.tier, profile.tier_version, profile.restore_pending) == (Tier.PREMIUM, 1, True)
    assert set(airflow.runs) == {f"restore-{ALICE}-1"}
    assert "it is brought back" in alice.get(f"/jobs/{job.job_id}").text
    assert "Go back to the free plan" in alice.get("/plan/").text


def test_upgrade_counts_while_airflow_is_down(alice: Browser, services: Services, airflow: FakeAirflow) -> None:
    """The plan is in the record, and so is that the restore is still to be submitted."""
    airflow.down = True
    answer = alice.call("POST", "subscribe")
    assert (answer.status_code, answer.json["tier"]) == (200, "premium")
    assert services.profiles.get(ALICE).restore_pending
    assert list(services.profiles.pending()) == [ALICE]


def test_downgrade_gives_a_full_delay(alice: Browser, jobs: Jobs, services: Services) -> None:
    """Whoever goes back to the free plan keeps every result for the whole delay from then on."""
    old = jobs.done(ALICE)
    services.storage.drop_due(old, services.profiles.set_tier(ALICE, Tier.PREMIUM))
    assert alice.get(f"/api/v1/jobs/{old.job_id}").json["storage"]["not_before"] is None
    assert alice.call("POST", "unsubscribe").json["tier"] == "free"
    not_before = alice.get(f"/api/v1/jobs/{old.job_id}").json["storage"]["not_before"]
    assert seconds(not_before) == services.profiles.get(ALICE).free_since + services.settings.free_result_ttl_s


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_plan_form_leads_nowhere_else(alice: Browser, target: str) -> None:
    """The way back after a change of plan is a page of this site."""
    answer = alice.post("/plan/", data={"csrf_token": alice.csrf, "plan": "free", "next": target})
    assert answer.headers["Location"] == "/"


# Deleting.


def test_deleting_is_asked_about_and_then_done(alice: Browser, jobs: Jobs, services: Services) -> None:
    """The page asks first; then the job is gone from everywhere, with its objects."""
    job = jobs.done(ALICE)
    assert f'href="/jobs/{job.job_id}/delete"' in alice.get(f"/jobs/{job.job_id}").text
    question = alice.get(f"/jobs/{job.job_id}/delete").text
    assert re.search(r"cannot be undone", question)
    assert services.jobs.owned(job.job_id, ALICE)
    answer = alice.post(f"/jobs/{job.job_id}/delete", data={"csrf_token": alice.csrf})
    assert answer.headers["Location"] == "/jobs/"
    assert alice.get(f"/jobs/{job.job_id}").status_code == 404
    assert alice.get("/api/v1/jobs").json["jobs"] == []
    assert services.jobs.get(job.job_id).storage_state is StorageState.DELETING
    assert services.objects.result_versions(user_id=ALICE, job_id=job.job_id) == []
    assert services.objects.head_input(user_id=ALICE, job_id=job.job_id) is None


def test_api_deletes_ones_own_job_alone(alice: Browser, bob: Browser, jobs: Jobs, services: Services) -> None:
    """Another's job is as absent as one that never was; deleting one's own may be repeated."""
    job = jobs.running(ALICE)
    assert bob.call("DELETE", f"jobs/{job.job_id}").status_code == 404
    assert services.jobs.owned(job.job_id, ALICE)
    assert alice.call("DELETE", f"jobs/{job.job_id}").status_code == 204
    assert alice.call("DELETE", f"jobs/{job.job_id}").status_code == 204
    assert alice.call("DELETE", "jobs/no-id").status_code == 404
    assert bob.call("DELETE", f"jobs/{job.job_id}").status_code == 404
    with pytest.raises(NotFound):
        services.jobs.owned(job.job_id, BOB)
