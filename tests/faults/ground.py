"""An installation to let faults loose on: its clock, its Airflow, its web app, and what may lie about in it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from typing import Any

from gas.dynamodb import Item
from gas.findings import Finding
from gas.inventory import YOUNG_S, inventory
from gas.job import ArchiveBackend, Job, Output, StorageState, StoredObject, new_job_id
from gas.jobs_table import submit_month
from gas.profiles_table import Profile
from gas.services import Services
from tests.fakes import ALICE
from tests.faults.harness import Crash, Faults, Installation, crash, crash_after
from tests.faults.web import Refused, WebApp
from tests.storage import ATTEMPT, BODIES, DELAY_S, Clock, archives, completed_job, stock_taken, versions

#: The result is in the archive, and so there is no link to it.
ARCHIVED = Refused(HTTPStatus.CONFLICT, "archived")
#: There is no such job any more, or no result of it yet.
GONE = Refused(HTTPStatus.NOT_FOUND, "not-found")


@dataclass
class Runs:
    """Airflow's DAG runs, by id: which were submitted, with what, and how they stand."""

    conf: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Airflow:
    """Airflow as one process calls it; like a call of AWS's, each may be where the process dies."""

    runs: Runs
    faults: Faults = field(default_factory=Faults)

    def submit(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any]) -> bool:
        with self._call("AirflowSubmit"):
            new = run_id not in self.runs.conf
            self.runs.conf.setdefault(run_id, conf)
            self.runs.state.setdefault(run_id, "queued")
        return new

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        with self._call("AirflowRunState"):
            return self.runs.state.get(run_id)

    def run_again(self, dag_id: str, run_id: str) -> None:
        with self._call("AirflowRunAgain"):
            self.runs.state[run_id] = "queued"

    @contextmanager
    def _call(self, operation: str) -> Iterator[None]:
        fault = self.faults.met(operation)
        if fault is crash:
            raise Crash
        yield
        if fault is crash_after:
            raise Crash


@dataclass(frozen=True)
class Ground:
    """One GAS. Its tests leave no job behind that somebody would have something to do for."""

    installation: Installation
    clock: Clock
    web: WebApp
    runs: Runs = field(default_factory=Runs)
    _completed: list[Item] = field(default_factory=list)
    """The record of the first job, as it was when it was completed."""

    @property
    def backend(self) -> ArchiveBackend:
        """Where this GAS archives to."""
        return self.installation.settings.archive

    def worker(self, faults: Faults | None = None) -> Services:
        """Services as a fresh process builds them."""
        faults = faults or Faults()
        airflow: Any = Airflow(self.runs, faults)
        return replace(self.installation.worker(faults), airflow=airflow)

    @property
    def clean(self) -> Services:
        """Services without faults."""
        return self.web.services

    def due_job(self, owner: Profile | None = None) -> Job:
        """A job whose delay is over, of a person of its own unless said."""
        job = self.completed_job(owner)
        self.clock.ahead_s += DELAY_S + 1
        return job

    def completed_job(self, owner: Profile | None = None) -> Job:
        """A job that was completed just now: the first of all the long way, the others as copies of it."""
        owner = owner or person()
        table = self.clean.jobs._table
        if not self._completed:
            job = completed_job(self.clean, owner=owner)
            self._completed.extend(table.get_many([job.job_id]).values())
            return job
        self.clean.profiles.ensure(owner.user_id, name=owner.name, email=owner.email)
        like, job_id, now = self._completed[0], new_job_id(), self.clean.storage.now()
        outputs = {name: self._put(Output(name), owner, job_id) for name in like["outputs"]}
        table.put_new(
            {
                **like,
                "job_id": job_id,
                "user_id": owner.user_id,
                "user_order": f"{now:012d}#{job_id}",
                "submit_month": submit_month(now),
                "outputs": {name: asdict(stored) for name, stored in outputs.items()},
                **dict.fromkeys(("submit_time", "start_time", "complete_time", "due_since"), now),
            }
        )
        return self.clean.jobs.get(job_id)

    def _put(self, output: Output, owner: Profile, job_id: str) -> StoredObject:
        objects, bucket, body = self.clean.objects, self.clean.settings.results_bucket, BODIES[output]
        key = objects.output_key(output, user_id=owner.user_id, job_id=job_id, attempt=ATTEMPT)
        put = objects._aws.s3.put_object(Bucket=bucket, Key=key, Body=body)
        digest = hashlib.sha256(body).hexdigest()
        return StoredObject(bucket=bucket, key=key, version_id=put["VersionId"], sha256=digest, size_bytes=len(body))

    def lying_about(self, job: Job) -> set[tuple[str, str]]:
        """Everything of the job in the results bucket, its cold copies included."""
        return {(key, version) for key, version in versions(self.clean) if job.job_id in key}

    def in_vault(self) -> int:
        """How many archives the vault holds."""
        return archives(self.clean, self.installation.aws)

    def assert_none_lost(self, jobs: Sequence[Job], *, orphans: int) -> None:
        """At this very moment the owner of each gets it from the web app, unless it is in the archive or deleted.

        A vault tells how many archives it holds, and not which: there must be one for each result that is said to be
        in it, besides those ``orphans`` that no record names.
        """
        cold = 0
        for job in jobs:
            there = self.clean.jobs.get(job.job_id)
            match there.storage_state:
                case None | StorageState.DELETING:
                    assert self.web.download(job) == GONE
                case StorageState.ARCHIVED | StorageState.THAWING:
                    assert self.web.download(job) == ARCHIVED
                    cold += 1
                    if self.backend is ArchiveBackend.STORAGE_CLASS:
                        assert _cold(there) in self.lying_about(job)
                case _:
                    assert self.web.download(job) == BODIES[Output.VCF]
        if self.backend is ArchiveBackend.VAULT:
            assert self.in_vault() >= orphans + cold

    def assert_hot(self, job: Job) -> Job:
        """The owner gets the result from the web app, byte for byte, and nothing else of the job lies about."""
        assert self.web.download(job) == BODIES[Output.VCF]
        there = self.clean.jobs.get(job.job_id)
        assert (there.storage_state, there.trash, there.is_open) == (StorageState.HOT, None, False)
        assert there.storage_error is None
        assert self.lying_about(job) == {(stored.key, stored.version_id) for stored in there.outputs.values()}
        return there

    def assert_archived(self, job: Job) -> Job:
        """The web app says that the result is archived, and the bucket holds what the record names, and no more."""
        assert self.web.download(job) == ARCHIVED
        there = self.clean.jobs.get(job.job_id)
        assert (there.storage_state, there.s3_deleted, there.is_open) == (StorageState.ARCHIVED, True, False)
        named = {
            (there.outputs[kept].key, there.outputs[kept].version_id)
            for kept in (Output.LOG, Output.SUMMARY, Output.DIGEST)
        }
        if self.backend is ArchiveBackend.STORAGE_CLASS:
            named.add(_cold(there))
        assert self.lying_about(job) == named
        return there

    def assert_deleted(self, job: Job) -> None:
        """For the web app the job is gone; nothing is left but its tombstone."""
        assert self.web.download(job) == GONE
        there = self.clean.jobs.get(job.job_id)
        assert (there.storage_state, there.outputs) == (StorageState.DELETING, {})
        assert there.deleted_time is not None
        assert self.lying_about(job) == set()

    def assert_only_inventory_has_work(self, *, orphans: int) -> None:
        """Nothing lies about but so many archives in the vault; two days later the inventory deletes these too."""
        assert self.in_vault() == orphans
        self.clock.ahead_s += YOUNG_S + 3600
        found = self._inventory()
        assert len(found) == orphans
        assert all(finding.repair and not finding.trouble for finding in found)
        assert self.in_vault() == 0
        assert self._inventory() == []

    def settle(self, jobs: Sequence[Job], *, keep: bool = False) -> None:
        """Take the jobs out of the way, so that a later run makes the same calls as an earlier one, and as quickly.

        :param keep: leave the results and their records, for the inventory to look at.
        """
        table = self.clean.jobs._table
        for job in jobs:
            named = {"condition": "job_id = :id", "values": {":id": job.job_id}}
            if keep:
                table.update(job.job_id, update="REMOVE due, due_since", **named)
            else:
                lying = self.clean.objects.result_versions(user_id=job.user_id, job_id=job.job_id)
                self.clean.objects.delete_versions(lying)
                table.delete(job.job_id, **named)

    def _inventory(self) -> list[Finding]:
        return list(inventory(self.clean, vault_inventory=stock_taken(self.clean)))


def person() -> Profile:
    """Somebody new."""
    return replace(ALICE, user_id=str(uuid.uuid4()))


def _cold(job: Job) -> tuple[str, str]:
    return (f"archive/{job.job_id}/{job.archive_token}", job.archive_id or "")
