"""Archive, restore and delete under a fault in each of their AWS calls, on both back ends.

Whatever happens, after every crash the result can be downloaded or lies in the archive; after the next try it is where
it belongs, byte for byte, and nothing is left over. One window stays in a vault, which gives the id of a new archive to
nobody but the uploader: a copy whose maker died before the record could name it is for the inventory to find.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.retries.standard import ExponentialBackoff

from gas.archive import ColdCopy, RetrievalStatus, rebuild
from gas.archive.transfer import archive_one, ask, begin_restore, retrievals_ready, thaw
from gas.deletion import delete
from gas.job import ArchiveBackend, Job, Output, StorageState
from gas.profiles_table import Tier
from gas.provision import provision
from gas.services import Services
from gas.settings import Settings
from gas.storage_table import new_token
from tests.fakes import ALICE
from tests.faults.harness import (
    Crash,
    Fault,
    Faults,
    Installation,
    conflict,
    crash,
    crash_after,
    drop,
    lose_answer,
    throttle,
)
from tests.storage import BODIES, DELAY_S, PATIENCE_S, Clock, archives, completed_job, quick_make, versions

Point = tuple[str, int]
"""An AWS operation, and which of its calls."""

#: The call that makes an archive, whose id the record does not name yet.
UPLOAD = ("UploadArchive", 1)


@dataclass(frozen=True)
class Ground:
    """An installation whose clock can be put on."""

    installation: Installation
    clock: Clock
    clean: Services
    """Without faults."""

    def due_job(self) -> Job:
        """A job whose delay is over, of a person of its own."""
        job = completed_job(self.clean, owner=replace(ALICE, user_id=str(uuid.uuid4())))
        self.clock.ahead_s += DELAY_S + 1
        return job


@pytest.fixture(params=list(ArchiveBackend))
def ground(request: Any, aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """GAS on an empty AWS, with each back end."""
    monkeypatch.setattr(rebuild, "make_index", quick_make)
    monkeypatch.setattr(rebuild, "make_table", quick_make)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    settings = Settings(
        aws_account="123456789012",
        work_dir=tmp_path / "work",
        references=tmp_path / "references",
        archive=request.param,
        free_result_ttl_s=DELAY_S,
    )
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    clock = Clock()
    installation = Installation(settings=settings, aws=aws, now=clock)
    return Ground(installation, clock, installation.worker())


class Archiving:
    """A due result goes to the archive."""

    fewest = 7
    names_it = ("TransactWriteItems", 2)
    """The call that makes the record name the copy."""

    def prepare(self, ground: Ground) -> Job:
        return ground.due_job()

    def work(self, services: Services, ground: Ground, job: Job) -> None:
        archive_one(services, job.job_id)

    def check(self, ground: Ground, job: Job) -> None:
        there = ground.clean.jobs.get(job.job_id)
        assert (there.storage_state, there.s3_deleted, there.is_open) == (StorageState.ARCHIVED, True, False)
        assert_stored(ground, there)
        Restoring().restore(ground.clean, ground, there)
        assert_hot(ground, there.job_id)


class Restoring:
    """The owner of an archived result upgraded, and it comes back."""

    fewest = 22
    names_it = None

    def prepare(self, ground: Ground) -> Job:
        job = ground.due_job()
        archive_one(ground.clean, job.job_id)
        ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        return ground.clean.jobs.get(job.job_id)

    def work(self, services: Services, ground: Ground, job: Job) -> None:
        begin_restore(services, user_id=job.user_id, tier_version=1)
        retrieval = ask(services, job.job_id)
        deadline = time.monotonic() + PATIENCE_S
        while retrieval and retrievals_ready(ground.clean, [retrieval])[job.job_id] is RetrievalStatus.WAITING:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        thaw(services, job.job_id)

    def restore(self, services: Services, ground: Ground, job: Job) -> None:
        """The same from the upgrade on."""
        ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        self.work(services, ground, job)

    def check(self, ground: Ground, job: Job) -> None:
        assert_hot(ground, job.job_id)
        assert not ground.clean.profiles.get(job.user_id).restore_pending


class TooLate:
    """The owner upgrades after the copy was made and before it is committed: the result stays hot."""

    fewest = 10
    names_it = ("UpdateItem", 1)
    """The copy goes into the trash of the record."""

    def prepare(self, ground: Ground) -> Job:
        return ground.due_job()

    def work(self, services: Services, ground: Ground, job: Job) -> None:
        archive = services.archives[services.settings.archive]
        store = archive.store

        def store_slowly(*args: Any, **more: Any) -> ColdCopy:
            copy = store(*args, **more)
            ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
            return copy

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "store", store_slowly)
            archive_one(services, job.job_id)

    def check(self, ground: Ground, job: Job) -> None:
        archive_one(ground.clean, job.job_id)  # drops its date, where it is premium already
        assert_hot(ground, job.job_id)
        assert ground.clean.jobs.get(job.job_id).due_since is None


class TakingBack:
    """The restore of an upgrade finds the result half archived."""

    fewest = 7
    names_it = None

    def prepare(self, ground: Ground) -> Job:
        job = ground.due_job()
        backend = ground.clean.settings.archive
        assert ground.clean.storage.claim(job, token=new_token(), backend=backend, delay_s=DELAY_S)
        ground.clean.profiles.set_tier(job.user_id, Tier.PREMIUM)
        return job

    def work(self, services: Services, ground: Ground, job: Job) -> None:
        begin_restore(services, user_id=job.user_id, tier_version=1)

    def check(self, ground: Ground, job: Job) -> None:
        assert_hot(ground, job.job_id)
        assert not ground.clean.profiles.get(job.user_id).restore_pending


class Deleting:
    """The owner of a result that is on its way back deletes the job."""

    fewest = 9
    names_it = None

    def prepare(self, ground: Ground) -> Job:
        job = Restoring().prepare(ground)
        begin_restore(ground.clean, user_id=job.user_id, tier_version=1)
        return job

    def work(self, services: Services, ground: Ground, job: Job) -> None:
        delete(services, job_id=job.job_id, user_id=job.user_id)

    def check(self, ground: Ground, job: Job) -> None:
        there = ground.clean.jobs.get(job.job_id)
        assert (there.storage_state, there.outputs) == (StorageState.DELETING, {})
        assert there.deleted_time is not None
        assert lying_about(ground, job) == set()


Scenario = Archiving | TooLate | TakingBack | Restoring | Deleting


def lying_about(ground: Ground, job: Job) -> set[tuple[str, str]]:
    """Everything of the job in the results bucket, its cold copies included."""
    return {(key, version) for key, version in versions(ground.clean) if job.job_id in key}


def assert_stored(ground: Ground, job: Job) -> None:
    """The bucket holds what an ARCHIVED record names, and nothing else of this job."""
    named = {(job.outputs[output].key, job.outputs[output].version_id) for output in (Output.LOG, Output.SUMMARY)}
    if job.archive_backend is ArchiveBackend.STORAGE_CLASS:
        named.add((f"archive/{job.job_id}/{job.archive_token}", job.archive_id or ""))
    assert lying_about(ground, job) == named


def assert_hot(ground: Ground, job_id: str) -> None:
    """The result can be downloaded, byte for byte, and nothing else of this job lies about."""
    job = ground.clean.jobs.get(job_id)
    assert (job.storage_state, job.trash, job.is_open, job.storage_error) == (StorageState.HOT, None, False, None)
    assert downloaded(ground, job) == BODIES[Output.VCF]
    assert lying_about(ground, job) == {(stored.key, stored.version_id) for stored in job.outputs.values()}


def downloaded(ground: Ground, job: Job) -> bytes:
    link = ground.clean.objects.presigned_download(job.outputs[Output.VCF], file_name="x")
    return httpx.get(link).raise_for_status().content


def assert_not_lost(ground: Ground, job_id: str) -> None:
    """At this very moment, the record names a copy that can be read or retrieved."""
    job = ground.clean.jobs.get(job_id)
    if job.storage_state is StorageState.DELETING:
        return
    if job.readable(Output.VCF):
        assert downloaded(ground, job) == BODIES[Output.VCF]
        return
    assert job.archive_id is not None
    archive = ground.clean.archives[ground.installation.settings.archive]
    archive.ask(job, earlier={})  # raises where there is no such copy


def points(scenario: Scenario, ground: Ground) -> list[Point]:
    """Each call of an undisturbed run."""
    job = scenario.prepare(ground)
    faults = Faults()
    scenario.work(ground.installation.worker(faults), ground, job)
    scenario.check(ground, job)
    assert len(faults.order) >= scenario.fewest, "the run makes fewer calls than it did: is anything left out?"
    return faults.order


def disturbed(
    scenario: Scenario, ground: Ground, fault: Fault, *, share: int = 1
) -> Iterator[tuple[Point, Job, Services]]:
    """For calls of an undisturbed run: a job of its own, and services in which that call goes wrong.

    :param share: only one in so many of the calls, always the same ones.
    """
    reached = 0
    for point in points(scenario, ground)[::share]:
        if fault is conflict and point[0] != "TransactWriteItems":
            continue
        reached += 1
        yield point, scenario.prepare(ground), ground.installation.worker(Faults(*point, fault))
    print(f"{type(scenario).__name__}, {ground.installation.settings.archive}, {fault.__name__}: {reached} points")
    assert reached > 0


SCENARIOS = pytest.mark.parametrize(
    "scenario",
    [Archiving(), TooLate(), TakingBack(), Restoring(), Deleting()],
    ids=lambda scenario: type(scenario).__name__,
)


@SCENARIOS
@pytest.mark.parametrize("fault", [crash, crash_after])
def test_crash_at_any_call(ground: Ground, scenario: Scenario, fault: Fault) -> None:
    """A process that dies before or after any call loses nothing, and the next one ends its work."""
    orphans = 0
    uploaded = False
    for point, job, services in disturbed(scenario, ground, fault):
        uploaded |= fault is crash_after and point == UPLOAD
        uploaded &= not (fault is crash_after and point == scenario.names_it)
        with pytest.raises(Crash):
            scenario.work(services, ground, job)
        assert_not_lost(ground, job.job_id)
        scenario.work(ground.clean, ground, job)
        scenario.check(ground, job)
        orphans += uploaded
        uploaded |= fault is crash and point == UPLOAD
        uploaded &= not (fault is crash and point == scenario.names_it)
    assert left_in_vault(ground) == orphans


def test_conflict_in_any_transaction_is_ridden_out(ground: Ground) -> None:
    """A conflict with another's transaction is never taken for a refusal: the result is archived in the same run."""
    for _, job, services in disturbed(Archiving(), ground, conflict):
        Archiving().work(services, ground, job)
        Archiving().check(ground, job)


@SCENARIOS
@pytest.mark.parametrize("fault", [drop, lose_answer, throttle])
@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.long)])
def test_trouble_at_any_call_is_ridden_out(ground: Ground, scenario: Scenario, fault: Fault, share: int) -> None:
    """A dropped request, a lost answer or throttling at any call is made up for in the same run."""
    orphans = 0
    for point, job, services in disturbed(scenario, ground, fault, share=share):
        scenario.work(services, ground, job)
        scenario.check(ground, job)
        orphans += point == UPLOAD and fault is lose_answer
    assert left_in_vault(ground) == orphans


def left_in_vault(ground: Ground) -> int:
    """Archives that no record names: every scenario ends with its results hot or deleted."""
    return archives(ground.clean, ground.installation.aws)
