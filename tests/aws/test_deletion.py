"""A deleted job is hidden at once, leaves nothing but a tombstone, and whoever comes late deletes what they made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gas.annotate_job import run
from gas.archive import Outcome
from gas.archive.transfer import archive_one, begin_restore, begin_restore_job, thaw
from gas.deletion import TOMBSTONE_S, delete, sweep
from gas.errors import NotFound
from gas.job import Job, JobStatus, StorageState, new_job_id
from gas.services import Services
from gas.storage_table import new_token
from tests.fakes import ALICE, BOB, pending_job
from tests.storage import DELAY_S, Clock, archives, thawed, versions


@pytest.fixture
def services(storage_services: Services) -> Services:
    """GAS with each back end."""
    return storage_services


def assert_buried(services: Services, aws: Any, job_id: str) -> None:
    """Only the tombstone is left."""
    there = services.jobs.get(job_id)
    assert (there.storage_state, there.outputs, there.input_file_name) == (StorageState.DELETING, {}, "")
    assert there.deleted_time is not None
    assert there.is_open
    assert versions(services) == set()
    assert archives(services, aws) == 0
    with pytest.raises(NotFound):
        services.jobs.owned(job_id, ALICE.user_id)


@pytest.mark.parametrize("state", list(StorageState)[:4])
def test_delete_in_every_state(services: Services, aws: Any, due_job: Job, state: StorageState) -> None:
    """A result is deleted wherever it lies, with its copies."""
    if state is StorageState.ARCHIVING:
        token = new_token()
        services.storage.claim([due_job], token=token, backend=services.settings.archive, delay_s=DELAY_S)
    elif state is not StorageState.HOT:
        archive_one(services, due_job.job_id)
    if state is StorageState.THAWING:
        begin_restore_job(services, due_job.job_id)
    assert services.jobs.get(due_job.job_id).storage_state is state
    delete(services, job_id=due_job.job_id, user_id=ALICE.user_id)
    assert_buried(services, aws, due_job.job_id)
    assert archive_one(services, due_job.job_id) is Outcome.NOTHING
    assert thaw(services, due_job.job_id) is Outcome.NOTHING


def test_delete_before_the_end(services: Services, aws: Any) -> None:
    """A PENDING job that is deleted is CANCELLED, its upload goes, and its run ends in success."""
    job = services.jobs.create(pending_job(job_id=new_job_id()))
    delete(services, job_id=job.job_id, user_id=ALICE.user_id)
    assert services.jobs.get(job.job_id).job_status is JobStatus.CANCELLED
    assert run(services, job_id=job.job_id, attempt="0001-a")["job_status"] == "CANCELLED"
    assert_buried(services, aws, job.job_id)


def test_run_of_a_job_whose_record_is_gone(services: Services, tmp_path: Path) -> None:
    """A run that finds no record deletes what its attempt put, and ends in success."""
    path = tmp_path / "output"
    path.write_text("late")
    job_id = new_job_id()
    services.objects.upload(path, f"{ALICE.user_id}/{job_id}/0001-a/annotated.vcf.gz")
    assert run(services, job_id=job_id, attempt="0001-a", user_id=ALICE.user_id)["job_status"] == "CANCELLED"
    assert versions(services) == set()


def test_only_the_owner_may(services: Services, due_job: Job) -> None:
    """Another's job is as absent as one that never was, and nothing happens to it."""
    with pytest.raises(NotFound):
        delete(services, job_id=due_job.job_id, user_id=BOB.user_id)
    with pytest.raises(NotFound):
        delete(services, job_id=new_job_id(), user_id=BOB.user_id)
    assert services.jobs.get(due_job.job_id) == due_job


def test_delete_twice(services: Services, aws: Any, due_job: Job) -> None:
    """Deleting again is fine."""
    for _ in range(2):
        delete(services, job_id=due_job.job_id, user_id=ALICE.user_id)
    assert_buried(services, aws, due_job.job_id)


def test_the_record_goes_last(services: Services, due_job: Job, clock: Clock) -> None:
    """A tombstone stays for a week, then what came late is swept and the record is gone."""
    delete(services, job_id=due_job.job_id, user_id=ALICE.user_id)
    assert not sweep(services, due_job.job_id)
    clock.ahead_s += TOMBSTONE_S + 1
    assert sweep(services, due_job.job_id)
    assert services.jobs.find(due_job.job_id) is None
    assert sweep(services, due_job.job_id)


def test_delete_while_it_is_archived(
    services: Services, aws: Any, due_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archiver whose job is deleted while it copies deletes its copy."""
    archive = services.archives[services.settings.archive]
    store = archive.store

    def deleting(*args: Any, **more: Any) -> Any:
        copy = store(*args, **more)
        delete(services, job_id=due_job.job_id, user_id=ALICE.user_id)
        return copy

    monkeypatch.setattr(archive, "store", deleting)
    assert archive_one(services, due_job.job_id) is Outcome.NOTHING
    assert_buried(services, aws, due_job.job_id)


def test_delete_while_it_is_thawed(services: Services, aws: Any, due_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thaw whose job is deleted meanwhile deletes what it put."""
    archive_one(services, due_job.job_id)
    begin_restore_job(services, due_job.job_id)
    archive = services.archives[services.settings.archive]
    fetch = archive.fetch

    def deleting(*args: Any) -> Any:
        sha256 = fetch(*args)
        delete(services, job_id=due_job.job_id, user_id=ALICE.user_id)
        return sha256

    monkeypatch.setattr(archive, "fetch", deleting)
    assert thawed(services, due_job.job_id) is Outcome.NOTHING
    assert_buried(services, aws, due_job.job_id)


def test_restore_leaves_deleted_jobs_alone(services: Services, aws: Any, due_job: Job) -> None:
    """A restore of everything passes by what is being deleted."""
    delete(services, job_id=due_job.job_id, user_id=ALICE.user_id)
    assert begin_restore(services, user_id=ALICE.user_id, tier_version=0) == []
    assert_buried(services, aws, due_job.job_id)
