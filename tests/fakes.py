"""Stand-ins for GAS's services, for tests of logic alone: they keep everything in memory and can be told to fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gas.errors import Conflict, NotFound, ReferenceProblem, Unavailable
from gas.job import Job, JobStatus, Progress, StoredObject
from gas.profiles_table import Profile, ProfilesTable, Tier
from gas.services import Services
from gas.settings import Settings

ALICE = Profile(user_id="a11ce000-0000-4000-8000-000000000001", name="Alice", email="alice@example.org", free_since=0)
BOB = Profile(user_id="b0b00000-0000-4000-8000-000000000002", name="Bob", email="bob@example.org", free_since=0)
PREMIUM_ALICE = replace(ALICE, tier=Tier.PREMIUM, free_since=None, tier_version=1)


@dataclass
class FakeJobs:
    """Records by id."""

    records: dict[str, Job] = field(default_factory=dict)

    def create(self, job: Job) -> Job:
        there = self.records.setdefault(job.job_id, job)
        if there.user_id != job.user_id:
            raise Conflict("this job id cannot be used; begin a new upload")
        return there

    def owned(self, job_id: str, user_id: str) -> Job:
        job = self.records.get(job_id)
        if job is None or job.user_id != user_id:
            raise NotFound(f"there is no job {job_id}")
        return job


@dataclass
class FakeObjects:
    """Uploads by owner and job id; ``deleted`` are the versions that were deleted."""

    uploads: dict[tuple[str, str], StoredObject] = field(default_factory=dict)
    deleted: list[StoredObject] = field(default_factory=list)

    def arrive(self, *, user_id: str, job_id: str, size_bytes: int) -> None:
        """What the person's browser does."""
        self.uploads[user_id, job_id] = StoredObject(
            bucket="gas-inputs", key=f"{user_id}/{job_id}/input", version_id="v1", sha256="", size_bytes=size_bytes
        )

    def presigned_upload(self, *, user_id: str, job_id: str, max_bytes: int) -> dict[str, Any]:
        return {"url": "http://127.0.0.1/gas-inputs", "fields": {"key": f"{user_id}/{job_id}/input"}}

    def head_input(self, *, user_id: str, job_id: str) -> StoredObject | None:
        return self.uploads.get((user_id, job_id))

    def delete_version(self, stored: StoredObject) -> None:
        self.deleted.append(stored)


@dataclass
class FakeAirflow:
    """DAG runs by id; ``down`` makes it unreachable."""

    runs: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    down: bool = False

    def submit(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any]) -> bool:
        if self.down:
            raise Unavailable("the workflow engine does not answer; try again in a minute")
        new = run_id not in self.runs
        self.runs.setdefault(run_id, (dag_id, conf))
        return new


@dataclass
class FakeReferences:
    """Names of installed references."""

    names: frozenset[str] = frozenset({"sars-cov-2"})
    checksum: str = "as it was installed"

    def get(self, name: str) -> object:
        if name not in self.names:
            raise ReferenceProblem(f"there is no reference {name}; installed: {', '.join(sorted(self.names))}")
        return SimpleNamespace(checksum=self.checksum)


@dataclass
class Fakes:
    """Fakes, and the :class:`Services` made of them."""

    settings: Settings = field(default_factory=lambda: Settings(free_upload_limit_bytes=1000))
    jobs: FakeJobs = field(default_factory=FakeJobs)
    objects: FakeObjects = field(default_factory=FakeObjects)
    airflow: FakeAirflow = field(default_factory=FakeAirflow)
    references: FakeReferences = field(default_factory=FakeReferences)

    @property
    def services(self) -> Services:
        unused: Any = None
        return Services(
            settings=self.settings,
            jobs=self.jobs,  # type: ignore[arg-type]  # the part of JobsTable that submission uses
            storage=unused,
            profiles=ProfilesTable(unused),
            notices=unused,
            mail=unused,
            webhooks=unused,
            objects=self.objects,  # type: ignore[arg-type]  # the same
            archives={},
            vault_inventory=unused,
            events=unused,
            airflow=self.airflow,  # type: ignore[arg-type]  # the same
            references=self.references,  # type: ignore[arg-type]  # the same
        )


def pending_job(*, job_id: str, user_id: str = ALICE.user_id, submit_time: int = 1_700_000_000) -> Job:
    """A job as it stands right after its submission."""
    return Job(
        job_id=job_id,
        user_id=user_id,
        input_file_name="cohort.vcf.gz",
        reference="sars-cov-2",
        submit_time=submit_time,
        job_status=JobStatus.PENDING,
        input=StoredObject(
            bucket="gas-inputs", key=f"{user_id}/{job_id}/input", version_id="v1", sha256="", size_bytes=10
        ),
    )


def fake_annotate(input: Path, output: Path, *, progress: Callable[[Progress], None], **_: Any) -> Any:
    """The engine's place taken by something quick: the result is the input, the files beside it say their names."""
    lines = input.read_bytes().splitlines()
    output.write_bytes(input.read_bytes())
    beside = {name: output.with_name(f"annotated.{name}") for name in ("index", "log", "summary", "table", "digest")}
    for name, path in beside.items():
        path.write_text(name)
    progress(Progress(stage="consequences", done=len(lines), total=len(lines)))
    return SimpleNamespace(vcf=output, **beside, counts={"records": len(lines)}, notes=("phase unknown",), timings={})
