"""The record of a job: its fields, its states, and which state may follow which. No I/O.

Field names that users of the original service know (``input_file_name``, ``s3_key_result_file``, ...) are kept.
Times are POSIX seconds (UTC) as integers; sizes are bytes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

#: The DAG that carries a job.
DAG_ID = "annotate"

JOB_ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def new_job_id() -> str:
    """A fresh job id: a random UUID in its usual text form, also the id of the job's DAG run."""
    return str(uuid.uuid4())


class JobStatus(StrEnum):
    """Where the work of a job stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class StorageState(StrEnum):
    """Where the result of a COMPLETED job lies."""

    HOT = "HOT"
    ARCHIVING = "ARCHIVING"
    ARCHIVED = "ARCHIVED"
    THAWING = "THAWING"
    DELETING = "DELETING"


class ArchiveBackend(StrEnum):
    """Where cold copies lie: S3's own Glacier storage class, or a Glacier vault."""

    STORAGE_CLASS = "storage-class"
    VAULT = "vault"


#: Which status may follow which. RUNNING follows itself when a new attempt takes the job over.
TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


class Output(StrEnum):
    """The files a job leaves: the words used in URLs, in the record and on the command line."""

    VCF = "vcf"
    INDEX = "index"
    LOG = "log"
    SUMMARY = "summary"
    TABLE = "table"
    DIGEST = "digest"
    """What is compared with another annotation, see :mod:`gas.comparison`; results of earlier releases have none."""


#: Within which time AWS means to have retrieved something, in seconds, by the tier that was asked for.
RETRIEVAL_S: Mapping[str, int] = {"Expedited": 5 * 60, "Standard": 5 * 3600}

#: The outputs that leave S3 when a result is archived; index and table are made anew when it comes back.
ARCHIVED_OUTPUTS = (Output.VCF, Output.INDEX, Output.TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One version of one S3 object: what the record remembers of an output or of the input."""

    bucket: str
    key: str
    version_id: str
    sha256: str
    """Hex SHA-256 of the bytes; empty where the browser uploaded them and nobody has read them yet."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trash:
    """What nobody may read any more and somebody must delete."""

    token: str
    """Of the claim under which the cold copy was made; dead once it lies here."""
    backend: ArchiveBackend
    archive_id: str | None
    versions: tuple[StoredObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job is: ``done`` of ``total`` variants (``total`` 0 while unknown) in the named stage."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as the record holds it."""

    job_id: str
    user_id: str
    """The Globus ``sub`` of its owner."""
    input_file_name: str
    """The name the person gave the file: shown, never part of a path or key."""
    reference: str
    submit_time: int
    job_status: JobStatus
    input: StoredObject
    outputs: Mapping[Output, StoredObject] = field(default_factory=dict)
    complete_time: int | None = None
    """When it ended, in whatever way."""
    start_time: int | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    """The head of ``summary.json``: records, variants, by impact."""
    notes: tuple[str, ...] = ()
    """What the check accepted with a remark; "phase unknown" is among them where it holds."""
    error: str | None = None
    """A sentence for the person."""
    error_kind: str | None = None
    """``GasError.kind`` of what ended a FAILED job."""
    progress: Progress | None = None
    attempt: str | None = None
    """The token of the attempt that owns a RUNNING job, or that ended it."""
    attempts: tuple[str, ...] = ()
    """The token of every attempt that ever took the job, oldest first."""
    storage_state: StorageState | None = None
    due_since: int | None = None
    """Since when a free person's result waits for its archival delay."""
    notified: bool = False
    """Whether the topics have been told how it ended."""
    is_open: bool = True
    """Whether somebody still has something to do for it."""
    archive_token: str | None = None
    """Of the claim that took the result to the archive; ARCHIVING, ARCHIVED and THAWING."""
    archive_backend: ArchiveBackend | None = None
    """As in force at that claim."""
    archive_time: int | None = None
    """Of the claim, later of the commit."""
    archive_id: str | None = None
    """Names the cold copy; ARCHIVED and THAWING."""
    s3_deleted: bool = False
    """Whether the hot versions of an ARCHIVED or THAWING result are known to be gone."""
    restore_time: int | None = None
    """When the way back began."""
    retrieval_job_id: str | None = None
    retrieval_tier: str | None = None
    retrieval_time: int | None = None
    keep_s: int | None = None
    """How long a result that an operator brings back is kept before its delay begins."""
    storage_error: str | None = None
    """A sentence about what a person must look at."""
    trash: Trash | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the program that submitted it gave it to remember."""
    origin_job_id: str | None = None
    """The job whose input it annotates again, on another state of the reference; see :mod:`gas.reannotation`."""
    previous_job_id: str | None = None
    """The job whose result it is compared with."""
    latest_job_id: str | None = None
    """The last job that was made to annotate this one's input again."""
    changes: Mapping[str, Any] | None = None
    """Of a COMPLETED one with a ``previous_job_id``: counts of what differs, or ``why_not`` it could be compared."""
    made_on: str | None = None
    """:attr:`gas.references.Reference.checksum` of what a COMPLETED one was made on; earlier releases kept none."""
    deleted_time: int | None = None
    """Since when only a tombstone is left of it."""

    def readable(self, output: Output) -> bool:
        """Whether this output can be downloaded as it stands: VCF, index and table cannot while archived."""
        archived = self.storage_state in (StorageState.ARCHIVED, StorageState.THAWING)
        return output in self.outputs and not (archived and output in ARCHIVED_OUTPUTS)

    @property
    def result_file_name(self) -> str:
        """What the annotated VCF is called when a person downloads it: ``NAME.annot.vcf.gz``."""
        return f"{self.stem}.annot.vcf.gz"

    @property
    def stem(self) -> str:
        """The input's name without its VCF or BCF ending."""
        return re.sub(r"(?i)\.(vcf|bcf)(\.b?gz)?$", "", self.input_file_name) or "variants"

    def output_file_name(self, output: Output) -> str:
        """What this output is called when a person downloads it."""
        if output is Output.VCF:
            return self.result_file_name
        return f"{self.stem}{_ENDINGS[output]}"


_ENDINGS = {
    Output.INDEX: ".annot.vcf.gz.tbi",
    Output.LOG: ".vcf.count.log",  # the name that users of the original service know
    Output.SUMMARY: ".summary.json",
    Output.TABLE: ".parquet",
    Output.DIGEST: ".digest.parquet",
}


def job_to_json(job: Job, *, not_before: int | None = None) -> dict[str, Any]:
    """The public form of a job, for the API, the command line and the pages; times are ISO 8601 in UTC.

    :param not_before: when the result moves to the archive at the earliest (POSIX seconds), where it does.
    """
    progress = job.progress
    return {
        "job_id": job.job_id,
        "file_name": job.input_file_name,
        "reference": job.reference,
        "status": job.job_status.value,
        "submit_time": _iso(job.submit_time),
        "start_time": _iso(job.start_time),
        "complete_time": _iso(job.complete_time),
        "progress": {"stage": progress.stage, "done": progress.done, "total": progress.total} if progress else None,
        "counts": dict(job.counts),
        "notes": list(job.notes),
        "error": job.error,
        "error_kind": job.error_kind,
        "outputs": {
            output.value: {
                "size_bytes": stored.size_bytes,
                "sha256": stored.sha256,
                "file_name": job.output_file_name(output),
                "available": job.readable(output),
            }
            for output, stored in job.outputs.items()
        },
        "storage": _storage_json(job, not_before) if job.storage_state else None,
        "reannotates": _reannotates_json(job) if job.previous_job_id else None,
    }


def _reannotates_json(job: Job) -> dict[str, Any]:
    return {"job_id": job.previous_job_id, "changes": dict(job.changes) if job.changes is not None else None}


def _storage_json(job: Job, not_before: int | None) -> dict[str, Any]:
    back_by = None
    if job.retrieval_tier and job.retrieval_time is not None:
        back_by = job.retrieval_time + RETRIEVAL_S[job.retrieval_tier]
    return {
        "state": job.storage_state,
        "not_before": _iso(not_before),
        "archive_time": _iso(job.archive_time) if job.storage_state is StorageState.ARCHIVED else None,
        "restore_time": _iso(job.restore_time),
        "retrieval_tier": job.retrieval_tier,
        "expected_by": _iso(back_by),
        "error": job.storage_error,
    }


def _iso(posix_s: int | None) -> str | None:
    if posix_s is None:
        return None
    return datetime.fromtimestamp(posix_s, UTC).isoformat().replace("+00:00", "Z")
