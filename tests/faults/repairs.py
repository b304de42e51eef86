"""The records that reconcile finds open, each left by a process that died, and its repair of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gas.archive.transfer import archive_one, begin_restore
from gas.job import Job, JobStatus, new_job_id
from gas.profiles_table import Tier
from gas.reconcile import reconcile
from gas.services import Services
from gas.subscription import subscribe
from tests.fakes import pending_job
from tests.faults.ground import Ground, person
from tests.faults.harness import Crash, Faults, crash, crash_after
from tests.faults.scenarios import (
    FanningOut,
    Restoring,
    Scenario,
    Subscribing,
    archived_job,
    brought_back,
    calls,
    carried_out,
    claimed_job,
)

LATER_S = 2 * 3600
"""Reconcile leaves nobody alone that long."""


class Repair(Scenario):
    """Reconcile over one open record; the jobs are those of it alone."""

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        """Trouble would be told, and be no exception."""
        told = list(reconcile(services))
        assert [finding for finding in told if finding.trouble] == []


def died(ground: Ground, work: Callable[[Services], object], faults: Faults) -> None:
    """A process does this and dies."""
    with pytest.raises(Crash):
        work(ground.worker(faults))


def change(ground: Ground, job: Job, update: str, **values: Any) -> None:
    """Write into the record what no process of today's would."""
    ground.clean.jobs._table.update(
        job.job_id,
        update=update,
        condition="job_id = :id",
        values={":id": job.job_id, **{f":{name}": value for name, value in values.items()}},
        names={"#open": "open"} if "#open" in update else None,
    )


class Unstarted(Repair):
    """A job that was recorded and never started."""

    calls = calls(storage_class=6, vault=6)

    def prepare(self, ground: Ground) -> list[Job]:
        owner = person()
        ground.clean.profiles.ensure(owner.user_id, name=owner.name, email=owner.email)
        job = replace(pending_job(job_id=new_job_id(), user_id=owner.user_id), submit_time=ground.clean.storage.now())
        ground.clean.jobs.create(job)
        ground.clock.ahead_s += LATER_S
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        assert ground.runs.conf[jobs[0].job_id] == {"job_id": jobs[0].job_id, "user_id": jobs[0].user_id}


class LeftRunning(Unstarted):
    """A job whose run ended without a word."""

    calls = calls(storage_class=7, vault=7)

    def prepare(self, ground: Ground) -> list[Job]:
        (job,) = super().prepare(ground)
        ground.clean.jobs.start(job.job_id, "0001-a")
        ground.runs.conf[job.job_id] = {}
        ground.runs.state[job.job_id] = "failed"
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        there = ground.clean.jobs.get(jobs[0].job_id)
        assert (there.job_status, there.is_open) == (JobStatus.FAILED, False)


class Untold(Repair):
    """A completed job that nobody was told of."""

    calls = calls(storage_class=6, vault=6)

    def prepare(self, ground: Ground) -> list[Job]:
        job = ground.completed_job()
        change(ground, job, "SET notified = :no, #open = :yes", no=False, yes="y")
        ground.clock.ahead_s += 61
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        assert ground.assert_hot(jobs[0]).notified


class HalfArchived(Repair):
    """An archiver died an hour ago."""

    calls = calls(storage_class=11, vault=11)
    named_by = (("TransactWriteItems", 1),)

    def prepare(self, ground: Ground) -> list[Job]:
        job = claimed_job(ground)
        ground.clock.ahead_s += LATER_S
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        there = ground.assert_archived(jobs[0])
        brought_back(ground.clean, ground, there)
        ground.assert_hot(there)


class HalfArchivedOfPremium(Repair):
    """An archiver died, and the owner has upgraded."""

    calls = calls(storage_class=10, vault=7)

    def prepare(self, ground: Ground) -> list[Job]:
        job = claimed_job(ground)
        ground.clean.profiles.worked_off(ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM))
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_hot(jobs[0])


class Uncleared(Repair):
    """An archiver died between its commit and the deletion of the hot versions."""

    calls = calls(storage_class=8, vault=7)

    def prepare(self, ground: Ground) -> list[Job]:
        job = ground.due_job()
        died(ground, lambda services: archive_one(services, job.job_id), Faults("DeleteObjects", 1, crash))
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        there = ground.assert_archived(jobs[0])
        brought_back(ground.clean, ground, there)
        ground.assert_hot(there)


class Unasked(Repair):
    """A restore died before it asked the archive, and its run is no more."""

    calls = calls(storage_class=10, vault=11)

    def prepare(self, ground: Ground) -> list[Job]:
        job = archived_job(ground)
        ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        begin_restore(ground.clean, user_id=job.user_id, tier_version=1)
        ground.clock.ahead_s += LATER_S
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        assert [run for run in ground.runs.conf if jobs[0].job_id in run] == [f"restore-job-{jobs[0].job_id}-1"]
        carried_out(ground, f"restore-job-{jobs[0].job_id}-1")
        ground.assert_hot(jobs[0])


class HasTrash(Repair):
    """A thaw died right after its commit."""

    calls = calls(storage_class=12, vault=11)

    def prepare(self, ground: Ground) -> list[Job]:
        (job,) = Restoring().prepare(ground)
        died(
            ground,
            lambda services: brought_back(services, ground, job),
            Faults("UpdateItem", 4, crash_after),  # begun, worked off, asked, committed
        )
        assert ground.clean.jobs.get(job.job_id).trash
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_hot(jobs[0])


class HalfDeleted(Repair):
    """A web app died between hiding a job and deleting its bytes."""

    calls = calls(storage_class=14, vault=14)

    def prepare(self, ground: Ground) -> list[Job]:
        job = archived_job(ground)
        assert ground.clean.storage.mark_deleting(job)
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_deleted(jobs[0])


class HalfUpgraded(Repair):
    """A web app died between writing an upgrade and submitting its run."""

    calls = calls(storage_class=5, vault=5)

    def prepare(self, ground: Ground) -> list[Job]:
        job = archived_job(ground)
        died(ground, lambda services: subscribe(services, job.user_id), Faults("AirflowSubmit", 1, crash))
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        Subscribing().check(ground, jobs)


class HalfDowngraded(Repair):
    """No archive run has dated the results of somebody who went back to the free plan."""

    calls = calls(storage_class=13, vault=13)

    def prepare(self, ground: Ground) -> list[Job]:
        jobs = FanningOut().prepare(ground)
        ground.clock.ahead_s += LATER_S
        return jobs

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        FanningOut().check(ground, jobs)


class StillListed(Repair):
    """A settled record that is listed as open."""

    calls = calls(storage_class=5, vault=5)

    def prepare(self, ground: Ground) -> list[Job]:
        job = ground.completed_job()
        change(ground, job, "SET #open = :yes", yes="y")
        return [job]

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_hot(jobs[0])


REPAIRS = (
    Unstarted(),
    LeftRunning(),
    Untold(),
    HalfArchived(),
    HalfArchivedOfPremium(),
    Uncleared(),
    Unasked(),
    HasTrash(),
    HalfDeleted(),
    HalfUpgraded(),
    HalfDowngraded(),
    StillListed(),
)
