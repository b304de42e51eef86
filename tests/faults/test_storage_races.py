"""Archivers, a restorer, an unsubscription and a deletion at the same time: the real code under many schedules.

Whatever the order of their AWS calls, the result is never lost and never missed: a premium person ends with it hot, a
free one with it hot and dated or archived, and nothing lies about.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from gas.archive import Outcome, rebuild
from gas.archive.transfer import archive_one, ask, begin_restore, empty_trash, fan_out, thaw
from gas.deletion import delete
from gas.job import ArchiveBackend, Job, Output, StorageState
from gas.profiles_table import Tier
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from tests.fakes import ALICE
from tests.faults.schedules import Actor, Points, Report, Scene, explore
from tests.storage import DELAY_S, Clock, completed_job, quick_make

ACCOUNT = "123456789012"
REGION = "us-east-1"

Work = Callable[[Services, Job], object]


@dataclass(frozen=True)
class Stage:
    """GAS on an AWS within this process, which answers a call in a millisecond or two."""

    services: Services
    points: Points
    clock: Clock

    def scene(self, works: Sequence[Work]) -> Scene:
        """A due job of a new person's, and an actor for each work on it."""
        owner = replace(ALICE, user_id=str(uuid.uuid4()))
        job = completed_job(self.services, owner=owner)
        self.clock.ahead_s += DELAY_S + 1
        actors = [
            Actor(f"{work.__name__}{n}", lambda work=work: work(self.services, job), self.points)
            for n, work in enumerate(works)
        ]

        def wrong() -> str | None:
            for actor in actors:
                if actor.error is not None:
                    return f"{actor.name} raised {actor.error!r}"
            try:
                return self._wrong(job)
            finally:
                self._clear(job)

        return Scene(actors, wrong)

    def _wrong(self, job: Job) -> str | None:
        services = self.services
        lost = self._lost(services.jobs.get(job.job_id))
        if lost:
            return lost
        fan_out(services)
        there = services.jobs.get(job.job_id)
        profile = services.profiles.get(job.user_id)
        if there.storage_state is StorageState.DELETING:
            return "deleted, and something is left" if self._lying(job) else None
        if there.trash is not None:
            return "the trash is full"
        if profile.tier is Tier.PREMIUM and there.storage_state is not StorageState.HOT:
            return f"MISSED: the owner is premium and the result {there.storage_state}"
        if there.storage_state not in (StorageState.HOT, StorageState.ARCHIVED):
            return f"STUCK in {there.storage_state}"
        if profile.tier is Tier.FREE and there.storage_state is StorageState.HOT and there.due_since is None:
            return "MISSED: the owner is free and the result never becomes due"
        named = {stored.version_id for output, stored in there.outputs.items() if there.readable(output)}
        if there.archive_id:
            named.add(there.archive_id)
        return None if self._lying(job) == named else "something is left, or missing"

    def _lost(self, job: Job) -> str | None:
        if job.storage_state is StorageState.DELETING:
            return None
        there = self._lying(job)
        if job.readable(Output.VCF):
            return None if job.outputs[Output.VCF].version_id in there else "LOST: the hot version is gone"
        return None if job.archive_id in there else "LOST: the cold copy is gone"

    def _lying(self, job: Job) -> set[str]:
        """VersionIds and archive ids of everything of the job."""
        from moto.glacier.models import glacier_backends

        listed = self.services.objects.versions_below("")
        there = {stored.version_id for stored in listed if job.job_id in stored.key}
        for vault in glacier_backends[ACCOUNT][REGION].vaults.values():
            there |= {name for name, archive in vault.archives.items() if job.job_id in archive["description"]}
        return there

    def _clear(self, job: Job) -> None:
        """Lists and queries stay short."""
        from moto.glacier.models import glacier_backends

        services = self.services
        services.objects.delete_job(user_id=job.user_id, job_id=job.job_id)
        services.objects.delete_prefix(services.settings.results_bucket, f"archive/{job.job_id}/")
        services.jobs._table.delete(job.job_id, condition="job_id = :id", values={":id": job.job_id})
        services.profiles._table.delete(job.user_id, condition="user_id = :id", values={":id": job.user_id})
        for vault in glacier_backends[ACCOUNT][REGION].vaults.values():
            vault.archives.clear()
            vault.jobs.clear()


@pytest.fixture(scope="module")
def moto_mended() -> Iterator[None]:
    """An AWS in this process, mended as the stand-in is; retrievals are ready at once."""
    from moto import mock_aws

    from gas.local.aws_standin import glacier, storage_class, transactions

    waits = glacier.Waits(expedited_s=-1, standard_s=-1)
    for mend in (glacier.mend, storage_class.mend):
        mend(waits)
    transactions.mend()
    with mock_aws():
        yield


@pytest.fixture(params=list(ArchiveBackend))
def stage(request: Any, moto_mended: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """GAS with each back end."""
    monkeypatch.setattr(rebuild, "make_index", quick_make)
    monkeypatch.setattr(rebuild, "make_table", quick_make)
    settings = Settings(
        aws_account=ACCOUNT,
        work_dir=tmp_path / "work",
        references=tmp_path / "references",
        archive=request.param,
        free_result_ttl_s=DELAY_S,
    )
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name=REGION)
    points = Points(session)
    list(provision(settings, session=session))
    clock = Clock()
    return Stage(build(settings, session=session, now=clock), points, clock)


def archive(services: Services, job: Job) -> None:
    """An archiver."""
    archive_one(services, job.job_id)


def restore(services: Services, job: Job) -> None:
    """An upgrade, and the run that it submits."""
    profile = services.profiles.set_tier(job.user_id, Tier.PREMIUM)
    begin_restore(services, user_id=job.user_id, tier_version=profile.tier_version)
    ask(services, job.job_id)
    while thaw(services, job.job_id) is Outcome.WAITING:
        pass


def unsubscribe(services: Services, job: Job) -> None:
    """A downgrade."""
    services.profiles.set_tier(job.user_id, Tier.FREE)


def erase(services: Services, job: Job) -> None:
    """The owner's deletion."""
    delete(services, job_id=job.job_id, user_id=job.user_id)


def report(stage: Stage, works: Sequence[Work], *, preemptions: int, limit: int | None = None) -> Report:
    """Explore, and print the count."""
    found = explore(lambda: stage.scene(works), preemptions=preemptions, limit=limit)
    names = " || ".join(work.__name__ for work in works)
    ended = "all" if found.complete else "a sample"
    print(
        f"{stage.services.settings.archive}: {names}: {found.schedules} schedules ({ended}), {preemptions} preemptions"
    )
    return found


ACTORS = (archive, archive, restore, unsubscribe, erase)
PAIRS = sorted(set(itertools.combinations(ACTORS, 2)), key=lambda pair: [work.__name__ for work in pair])


@pytest.mark.parametrize("works", PAIRS, ids=lambda pair: "-".join(work.__name__ for work in pair))
def test_any_two(stage: Stage, works: Sequence[Work]) -> None:
    """Of any two actors, every schedule with one preemption ends right."""
    found = report(stage, works, preemptions=1)
    assert found.complete
    assert found.schedules >= 5
    assert found.violations == {}


def test_all_at_once(stage: Stage) -> None:
    """Of all five actors, each of a fixed sample of schedules with up to two preemptions ends right."""
    found = report(stage, ACTORS, preemptions=2, limit=60)
    assert found.schedules == 60
    assert found.violations == {}


def test_the_explorer_finds_the_naive_loss(stage: Stage) -> None:
    """Upload, record, delete by key: the same explorer finds the schedule that destroys a restored result."""
    found = report(stage, (naive_archive, naive_restore), preemptions=1)
    assert any("LOST" in violation for violation in found.violations)


@pytest.mark.long
@pytest.mark.parametrize("works", PAIRS, ids=lambda pair: "-".join(work.__name__ for work in pair))
def test_any_two_with_two_preemptions(stage: Stage, works: Sequence[Work]) -> None:
    """Of any two actors, every schedule with up to two preemptions ends right."""
    found = report(stage, works, preemptions=2)
    assert found.complete
    assert found.violations == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_of_all_at_once(stage: Stage) -> None:
    """Of all five actors, each of a large fixed sample of schedules with up to two preemptions ends right."""
    found = report(stage, ACTORS, preemptions=2, limit=2000)
    assert found.schedules == 2000
    assert found.violations == {}


def naive_archive(services: Services, job: Job) -> None:
    """The obvious order, which is wrong."""
    archive = services.archives[services.settings.archive]
    if services.profiles.get(job.user_id).tier is Tier.PREMIUM:
        return
    copy = archive.store(job.outputs[Output.VCF], job_id=job.job_id, token="t")
    services.storage._update(
        job.job_id,
        update="SET storage_state = :s, archive_id = :i, archive_token = :t, archive_backend = :b",
        condition="attribute_exists(job_id)",
        values={":s": "ARCHIVED", ":i": copy.archive_id, ":t": "t", ":b": services.settings.archive},
    )
    services.objects.delete_versions(
        stored
        for stored in services.objects.result_versions(user_id=job.user_id, job_id=job.job_id)
        if stored.key == job.outputs[Output.VCF].key
    )


def naive_restore(services: Services, job: Job) -> None:
    """The way back belonging to it."""
    services.profiles.set_tier(job.user_id, Tier.PREMIUM)
    services.storage.thaw_start(job.job_id)
    ask(services, job.job_id)
    thaw(services, job.job_id)
    empty_trash(services, job.job_id)
