"""GAS on an AWS within the tests' own process, which answers a call in a millisecond or two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3

from gas.archive.transfer import fan_out
from gas.dynamodb import ConditionFailed, Item, Table, to_item
from gas.job import ArchiveBackend, Job, Output, StorageState, StoredObject
from gas.profiles_table import Tier
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from tests.faults.harness import ANSWERED
from tests.faults.schedules import Points
from tests.storage import BODIES, DELAY_S, Clock, completed_job

ACCOUNT = "123456789012"
REGION = "us-east-1"


@contextmanager
def aws_within() -> Iterator[None]:
    """moto in this process, mended as the stand-in is; retrievals are ready at once."""
    from moto import mock_aws

    from gas.local.aws_standin import glacier, items, storage_class, transactions

    waits = glacier.Waits(expedited_s=-1, standard_s=-1)
    glacier.mend(waits)
    items.mend()
    storage_class.mend(waits)
    transactions.mend()
    with mock_aws(), routes_kept(), faults_come_first():
        yield


@contextmanager
def faults_come_first() -> Iterator[None]:
    """Let moto carry nothing out that a fault has answered: botocore asks all who may answer, and takes the first."""
    from moto.core.botocore_stubber import BotocoreStubber

    original = BotocoreStubber.__call__

    def unless_answered(stubber: Any, event_name: str, request: Any, **more: Any) -> Any:
        return None if request in ANSWERED else original(stubber, event_name, request, **more)

    with patch.object(BotocoreStubber, "__call__", unless_answered):
        yield


@contextmanager
def routes_kept() -> Iterator[None]:
    """Let moto write down the addresses that a service answers to once, and not for each call."""
    from moto.core.base_backend import BaseBackend

    with patch.object(BaseBackend, "urls", property(cache(BaseBackend.urls.fget))):
        yield


@dataclass(frozen=True)
class AwsWithin:
    """How to reach the AWS in this process; only within :func:`aws_within`."""

    session: boto3.Session = field(
        default_factory=lambda: boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name=REGION)
    )
    endpoint_url: None = None

    def reset(self) -> None:
        """Empty it."""
        from moto.moto_api._internal.models import moto_api_backend

        moto_api_backend.reset()


@dataclass(frozen=True)
class Stage:
    """An installation, the points at which its calls can be stopped, and its clock."""

    services: Services
    points: Points
    clock: Clock

    @classmethod
    def of(cls, backend: ArchiveBackend, folder: Path) -> Stage:
        """A provisioned installation; only within :func:`aws_within`."""
        settings = Settings(
            aws_account=ACCOUNT,
            work_dir=folder / "work",
            references=folder / "references",
            archive=backend,
            free_result_ttl_s=DELAY_S,
        )
        session = AwsWithin().session
        points = Points(session)
        list(provision(settings, session=session))
        clock = Clock()
        return cls(build(settings, session=session, now=clock), points, clock)

    def wrong(self, job: Job, *, crashed: bool = False) -> str | None:
        """What is wrong with the job when nobody has anything left to do.

        :param crashed: archives in a vault that no record names are the inventory's.
        """
        services = self.services
        lost = self.lost(job)
        if lost:
            return lost
        fan_out(services)
        there = services.jobs.get(job.job_id)
        profile = services.profiles.get(job.user_id)
        archives = self._archives(job)
        excused = archives - {there.archive_id} if crashed else set()
        if there.storage_state is StorageState.DELETING:
            return "deleted, and something is left" if self.lying(job) - excused else None
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
        return None if self.lying(job) - excused == named else "something is left, or missing"

    def lost(self, job: Job) -> str | None:
        """Whether the record names, at this moment, a copy that does not exist."""
        there = self.services.jobs.get(job.job_id)
        if there.storage_state is StorageState.DELETING:
            return None
        lying = self.lying(job)
        if there.readable(Output.VCF):
            return None if there.outputs[Output.VCF].version_id in lying else "LOST: the hot version is gone"
        return None if there.archive_id in lying else "LOST: the cold copy is gone"

    def lying(self, job: Job) -> set[str]:
        """VersionIds and archive ids of everything of the job."""
        listed = self.services.objects.versions_below("")
        return {stored.version_id for stored in listed if job.job_id in stored.key} | self._archives(job)

    def clear(self, job: Job) -> None:
        """Forget the job, so that lists and queries stay short."""
        services = self.services
        services.objects.delete_job(user_id=job.user_id, job_id=job.job_id)
        services.objects.delete_prefix(services.settings.results_bucket, f"archive/{job.job_id}/")
        services.jobs._table.delete(job.job_id, condition="job_id = :id", values={":id": job.job_id})
        with suppress(ConditionFailed):  # another of the person's jobs was forgotten before
            services.profiles._table.delete(job.user_id, condition="user_id = :id", values={":id": job.user_id})
        for vault in _vaults():
            for name in self._archives(job):
                vault.archives.pop(name, None)
            vault.jobs.clear()

    def _archives(self, job: Job) -> set[str]:
        return {
            name
            for vault in _vaults()
            for name, archive in vault.archives.items()
            if job.job_id in archive["description"]
        }


@dataclass
class Beginning:
    """One due result of one person, put back to where it was as often as it is wanted, in few calls."""

    stage: Stage
    _job: Job | None = None
    _items: dict[Table, Item] = field(default_factory=dict)

    def again(self) -> Job:
        """The job as it stood when it became due; whatever happened to it since is undone."""
        if self._job is None:
            self._job = self._first()
        services = self.stage.services
        lying = {stored.version_id: stored for stored in services.objects.versions_below("")}
        named = {stored.version_id for stored in self._job.outputs.values()}
        services.objects.delete_versions(stored for name, stored in lying.items() if name not in named)
        outputs = {
            output: stored if stored.version_id in lying else self._put(output, stored)
            for output, stored in self._job.outputs.items()
        }
        self._job = replace(self._job, outputs=outputs)
        self._items[services.jobs._table]["outputs"] = {name.value: asdict(stored) for name, stored in outputs.items()}
        for table, item in self._items.items():
            services.objects._aws.dynamodb.put_item(TableName=table.name, Item=to_item(item))
        for vault in _vaults():
            vault.archives.clear()
            vault.jobs.clear()
        return self._job

    def forget(self) -> None:
        """Leave nothing for the next."""
        if self._job is not None:
            self.stage.clear(self._job)

    def _first(self) -> Job:
        services = self.stage.services
        job = completed_job(services)
        self.stage.clock.ahead_s += DELAY_S + 1
        for table, key in ((services.jobs._table, job.job_id), (services.profiles._table, job.user_id)):
            item = table.get(key)
            assert item
            self._items[table] = item
        return job

    def _put(self, output: Output, stored: StoredObject) -> StoredObject:
        s3 = self.stage.services.objects._aws.s3
        put = s3.put_object(Bucket=stored.bucket, Key=stored.key, Body=BODIES[output])
        return replace(stored, version_id=put["VersionId"])


def _vaults() -> list[Any]:
    from moto.glacier.models import glacier_backends

    return list(glacier_backends[ACCOUNT][REGION].vaults.values())
