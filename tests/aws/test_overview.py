"""What an operator sees at a glance, from the records as they stand in the stand-in's DynamoDB."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from gas import overview as overviews
from gas.archive import transfer
from gas.job import JobStatus, new_job_id
from gas.overview import Waiting, overview
from gas.services import Services
from gas.storage_table import new_token
from tests.fakes import pending_job
from tests.storage import DELAY_S, Clock, completed_job


def test_nothing_is_told_of_an_empty_table(services: Services) -> None:
    """A new installation has no jobs, and nothing waits."""
    seen = overview(services)
    assert seen.by_status == seen.failures == {}
    assert seen.pending == seen.running == seen.archiving == seen.thawing == seen.due == Waiting(number=0, oldest=[])
    assert seen.whole


def test_jobs_are_counted_by_state_and_failures_by_kind(storage_services: Services, clock: Clock) -> None:
    """Each job is where its record says, the longest first; a deleted one is nowhere."""
    services = storage_services
    older, newer, running, failed, deleted = (
        pending_job(job_id=new_job_id(), submit_time=int(clock()) - 60 + n) for n in range(5)
    )
    for job in (newer, older, running, failed, deleted):
        services.jobs.create(job)
    services.jobs.start(running.job_id, "0001-a")
    services.jobs.fail(failed.job_id, None, "It went wrong.", "engine")
    services.jobs.fail(deleted.job_id, None, "It went wrong.", "input")
    services.storage.mark_deleting(services.jobs.get(deleted.job_id))
    done = completed_job(services)

    seen = overview(services, now=clock())
    assert seen.by_status == {
        JobStatus.PENDING: 2,
        JobStatus.RUNNING: 1,
        JobStatus.FAILED: 1,
        JobStatus.COMPLETED: 1,
    }
    assert seen.failures == {"engine": 1}
    assert asdict(seen)["by_status"] == seen.by_status
    assert [(job_id, kind) for job_id, _, kind in seen.failed] == [(failed.job_id, "engine")]
    assert seen.pending.oldest == [(older.job_id, older.submit_time), (newer.job_id, newer.submit_time)]
    assert [job_id for job_id, _ in seen.running.oldest] == [running.job_id]
    assert [job_id for job_id, _ in seen.due.oldest] == [done.job_id]


def test_what_goes_to_the_archive_and_comes_back_is_seen_on_its_way(storage_services: Services, clock: Clock) -> None:
    """A claimed result moves to the archive, an archived one that is asked for is on its way back."""
    services = storage_services
    claimed, archived = completed_job(services), completed_job(services)
    clock.ahead_s += DELAY_S + 1
    backend, delay_s = services.settings.archive, services.settings.free_result_ttl_s
    assert services.storage.claim([claimed], token=new_token(), backend=backend, delay_s=delay_s)
    transfer.archive_one(services, archived.job_id)
    assert transfer.begin_restore_job(services, archived.job_id)

    seen = overview(services, now=clock())
    assert [job_id for job_id, _ in seen.archiving.oldest] == [claimed.job_id]
    assert [job_id for job_id, _ in seen.thawing.oldest] == [archived.job_id]


def test_what_a_person_must_look_at_is_told(storage_services: Services, clock: Clock) -> None:
    """An open record with trouble is listed with what is wrong."""
    services = storage_services
    job = completed_job(services)
    clock.ahead_s += DELAY_S + 1
    backend, delay_s = services.settings.archive, services.settings.free_result_ttl_s
    (claimed,) = services.storage.claim([job], token=new_token(), backend=backend, delay_s=delay_s) or ()
    services.storage.trouble(claimed, "The vault is not there.")
    assert overview(services, now=clock()).trouble == [(job.job_id, "The vault is not there.")]


def test_figures_say_when_they_are_not_all(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs there are, so many are looked at; then the figures are at least so large."""
    monkeypatch.setattr(overviews, "MOST", 2)
    now = 1_790_000_000
    for number in range(3):
        services.jobs.create(pending_job(job_id=new_job_id(), submit_time=now - number))
    seen = overview(services, now=now)
    assert seen.pending.number == 2
    assert not seen.whole
