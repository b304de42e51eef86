"""What people and DAGs do to results, each from a prepared beginning to a checked end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

import pytest

from gas.archive import ColdCopy, RetrievalStatus
from gas.archive.transfer import (
    archive_all,
    archive_one,
    ask,
    ask_all,
    begin_restore,
    fan_out,
    retrievals_ready,
    thaw,
)
from gas.deletion import delete
from gas.job import ArchiveBackend, Job, StorageState
from gas.profiles_table import Tier
from gas.reconcile import reconcile
from gas.services import Services
from gas.storage_table import new_token
from gas.subscription import begin, subscribe, unsubscribe
from tests.faults.ground import Ground, person
from tests.storage import DELAY_S, PATIENCE_S

Point = tuple[str, int]
"""An operation, and which of its calls."""


def calls(*, storage_class: int, vault: int) -> Mapping[ArchiveBackend, int]:
    """How many calls an undisturbed run makes with each back end."""
    return {ArchiveBackend.STORAGE_CLASS: storage_class, ArchiveBackend.VAULT: vault}


class Scenario:
    """One piece of work, which may be broken off at any call and is then done again."""

    calls: ClassVar[Mapping[ArchiveBackend, int]]
    named_by: ClassVar[Sequence[Point]] = ()
    """The calls that make a record name the archive that was uploaded last."""

    def prepare(self, ground: Ground) -> list[Job]:
        """The jobs that it is about, ready for it."""
        raise NotImplementedError

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        """The work of one process."""
        raise NotImplementedError

    def go_on(self, ground: Ground, jobs: list[Job]) -> None:
        """What follows when the process died."""
        self.work(ground.clean, ground, jobs)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        """All is as it should be; in the end every result is hot or deleted."""
        raise NotImplementedError

    def __str__(self) -> str:
        return type(self).__name__


def brought_back(services: Services, ground: Ground, job: Job) -> None:
    """Upgrade the owner, and bring the result back."""
    profile = ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
    begin_restore(services, user_id=job.user_id, tier_version=profile.tier_version)
    retrieved(services, ground, job.job_id)


def retrieved(services: Services, ground: Ground, job_id: str) -> None:
    """Ask for it, wait, and thaw it."""
    retrieval = ask(services, job_id)
    deadline = time.monotonic() + PATIENCE_S
    while retrieval and retrievals_ready(ground.clean, [retrieval])[job_id] is RetrievalStatus.WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thaw(services, job_id)


def archived_job(ground: Ground) -> Job:
    """A job whose result is in the archive."""
    job = ground.due_job()
    archive_one(ground.clean, job.job_id)
    return ground.clean.jobs.get(job.job_id)


def claimed_job(ground: Ground) -> Job:
    """A job that an archiver has claimed, and no more."""
    job = ground.due_job()
    claimed = ground.clean.storage.claim([job], token=new_token(), backend=ground.backend, delay_s=DELAY_S)
    assert claimed
    return claimed[0]


class Archiving(Scenario):
    """A due result goes to the archive."""

    calls = calls(storage_class=7, vault=8)
    named_by = (("TransactWriteItems", 2),)

    def prepare(self, ground: Ground) -> list[Job]:
        return [ground.due_job()]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        archive_one(services, jobs[0].job_id)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        there = ground.assert_archived(jobs[0])
        brought_back(ground.clean, ground, there)
        ground.assert_hot(there)


class ArchivingChunk(Scenario):
    """A chunk of due results of two people goes to the archive."""

    calls = calls(storage_class=12, vault=15)
    named_by = (("TransactWriteItems", 3), ("TransactWriteItems", 4), ("TransactWriteItems", 5))
    """The first two claim."""

    def prepare(self, ground: Ground) -> list[Job]:
        one, other = person(), person()
        return [ground.due_job(owner) for owner in (one, one, other)]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        archive_all(services, [job.job_id for job in jobs], at_once=1)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        for job in jobs:
            ground.assert_archived(job)
        for job in jobs:
            brought_back(ground.clean, ground, job)
            ground.assert_hot(job)


class TooLate(Scenario):
    """The owner upgrades after the copy was made and before it is committed: the result stays hot."""

    calls = calls(storage_class=11, vault=11)
    named_by = (("UpdateItem", 1),)
    """The copy goes into the trash of the record."""

    def prepare(self, ground: Ground) -> list[Job]:
        return [ground.due_job()]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        archive = services.archives[ground.backend]
        store = archive.store

        def store_slowly(*args: object, **more: object) -> ColdCopy:
            copy = store(*args, **more)
            ground.clean.profiles.set_tier(jobs[0].user_id, Tier.PREMIUM)
            return copy

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "store", store_slowly)
            archive_one(services, jobs[0].job_id)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        archive_one(ground.clean, jobs[0].job_id)  # drops its date, where it is premium already
        assert ground.assert_hot(jobs[0]).due_since is None
        ground.clean.profiles.worked_off(ground.clean.profiles.get(jobs[0].user_id))


class Dropping(Scenario):
    """An archiver finds the owner of a due result premium: it waits for no delay any more."""

    calls = calls(storage_class=3, vault=3)

    def prepare(self, ground: Ground) -> list[Job]:
        job = ground.due_job()
        ground.clean.profiles.worked_off(ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM))
        return [job]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        archive_one(services, jobs[0].job_id)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        assert ground.assert_hot(jobs[0]).due_since is None


class TakingBack(Scenario):
    """The restore of an upgrade finds the result half archived."""

    calls = calls(storage_class=10, vault=7)

    def prepare(self, ground: Ground) -> list[Job]:
        job = claimed_job(ground)
        ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        return [job]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        begin_restore(services, user_id=jobs[0].user_id, tier_version=1)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_hot(jobs[0])
        assert not ground.clean.profiles.get(jobs[0].user_id).restore_pending


class Restoring(Scenario):
    """The owner of an archived result upgraded, and it comes back."""

    calls = calls(storage_class=24, vault=24)

    def prepare(self, ground: Ground) -> list[Job]:
        job = archived_job(ground)
        ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        return [job]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        begin_restore(services, user_id=jobs[0].user_id, tier_version=1)
        retrieved(services, ground, jobs[0].job_id)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_hot(jobs[0])
        assert not ground.clean.profiles.get(jobs[0].user_id).restore_pending


class RestoringSeveral(Scenario):
    """Several results of one owner's start their way back: two that are archived, and one that is half archived."""

    calls = calls(storage_class=20, vault=19)

    def prepare(self, ground: Ground) -> list[Job]:
        owner = person()
        jobs = [ground.due_job(owner) for _ in range(3)]
        for job in jobs[:2]:
            archive_one(ground.clean, job.job_id)
        claimed = ground.clean.storage.claim(jobs[2:], token=new_token(), backend=ground.backend, delay_s=DELAY_S)
        assert claimed
        ground.clean.profiles.set_tier(owner.user_id, Tier.PREMIUM)
        return jobs

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        for thawing in begin_restore(services, user_id=jobs[0].user_id, tier_version=1):
            ask_all(services, thawing)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        """What was worked off is on its way, whoever has to ask for it."""
        assert not ground.clean.profiles.get(jobs[0].user_id).restore_pending
        for job in jobs[:2]:
            assert ground.clean.jobs.get(job.job_id).storage_state is StorageState.THAWING
            retrieved(ground.clean, ground, job.job_id)
        for job in jobs:
            ground.assert_hot(job)


class Subscribing(Scenario):
    """The owner of an archived result upgrades; the web app that does it may die before the run is submitted."""

    calls = calls(storage_class=3, vault=3)

    def prepare(self, ground: Ground) -> list[Job]:
        return [archived_job(ground)]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        subscribe(services, jobs[0].user_id)

    def go_on(self, ground: Ground, jobs: list[Job]) -> None:
        """A person who is premium has nothing left to do: reconcile makes up for the run."""
        if ground.clean.profiles.get(jobs[0].user_id).tier is Tier.FREE:
            self.work(ground.clean, ground, jobs)
        else:
            assert all(not finding.trouble for finding in reconcile(ground.clean))

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        user_id = jobs[0].user_id
        assert ground.clean.profiles.get(user_id).tier_version == 1
        (submitted,) = (run for run in ground.runs.conf if user_id in run)
        carried_out(ground, submitted)
        ground.assert_hot(jobs[0])
        assert not ground.clean.profiles.get(user_id).restore_pending


def carried_out(ground: Ground, run_id: str) -> None:
    """What a run of restore does."""
    conf = ground.runs.conf[run_id]
    sets = begin(
        ground.clean,
        job_id=conf.get("job_id"),
        keep_s=conf.get("keep"),
        user_id=conf.get("user_id"),
        tier_version=conf.get("tier_version"),
    )
    for job_id in (job_id for thawing in sets for job_id in thawing):
        retrieved(ground.clean, ground, job_id)
    ground.runs.state[run_id] = "success"


class Downgrading(Scenario):
    """The owner of hot results goes back to the free plan."""

    calls = calls(storage_class=2, vault=2)

    def prepare(self, ground: Ground) -> list[Job]:
        job = ground.completed_job()
        profile = ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        ground.clean.profiles.worked_off(profile)
        assert ground.clean.storage.drop_due(job, profile)
        return [job]

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        unsubscribe(services, jobs[0].user_id)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        profile = ground.clean.profiles.get(jobs[0].user_id)
        assert (profile.tier, profile.tier_version, profile.fanout_pending) == (Tier.FREE, 2, True)
        fan_out(ground.clean)
        assert ground.assert_hot(jobs[0]).due_since == profile.free_since


class FanningOut(Scenario):
    """After a downgrade the person's results are dated: one that has no date, and one with a date from before."""

    calls = calls(storage_class=7, vault=7)

    def prepare(self, ground: Ground) -> list[Job]:
        owner = person()
        jobs = [ground.completed_job(owner) for _ in range(2)]
        profile = ground.clean.profiles.set_tier(owner.user_id, Tier.PREMIUM)
        ground.clean.profiles.worked_off(profile)
        assert ground.clean.storage.drop_due(jobs[0], profile)
        ground.clock.ahead_s += 60
        ground.clean.profiles.set_tier(owner.user_id, Tier.FREE)
        return jobs

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        fan_out(services)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        profile = ground.clean.profiles.get(jobs[0].user_id)
        assert not profile.fanout_pending
        assert list(ground.clean.profiles.pending()) == []
        for job in jobs:
            assert ground.assert_hot(job).due_since == profile.free_since


class Deleting(Scenario):
    """The owner of a result that is on its way back deletes the job."""

    calls = calls(storage_class=11, vault=11)

    def prepare(self, ground: Ground) -> list[Job]:
        jobs = Restoring().prepare(ground)
        begin_restore(ground.clean, user_id=jobs[0].user_id, tier_version=1)
        return jobs

    def work(self, services: Services, ground: Ground, jobs: list[Job]) -> None:
        delete(services, job_id=jobs[0].job_id, user_id=jobs[0].user_id)

    def check(self, ground: Ground, jobs: list[Job]) -> None:
        ground.assert_deleted(jobs[0])


SCENARIOS = (
    Archiving(),
    ArchivingChunk(),
    TooLate(),
    Dropping(),
    TakingBack(),
    Restoring(),
    RestoringSeveral(),
    Subscribing(),
    Downgrading(),
    FanningOut(),
    Deleting(),
)
