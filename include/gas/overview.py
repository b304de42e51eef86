"""What an operator wants to see at a glance: how many jobs are where, what waits for how long, and what failed.

Everything comes from the indexes of the table of jobs, and from no more records than :data:`MOST`: looking costs the
same however many jobs there have ever been.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from gas.job import Job, JobStatus, StorageState

if TYPE_CHECKING:
    from gas.services import Services

#: Records read of those that are open, and of those submitted lately.
MOST = 2000
#: Due results that are counted.
MOST_DUE = 1000
#: DynamoDB's limit of records in one read.
BATCH = 100
#: How far back the jobs by status go, in seconds.
LATELY_S = 24 * 3600
#: Examples shown of each kind.
SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs that wait for something, or are in the middle of it."""

    number: int
    oldest: Sequence[tuple[str, int]]
    """Job ids and since when (POSIX seconds), those of longest first; a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How GAS stands at one moment."""

    at: int
    """POSIX seconds."""
    by_status: Mapping[JobStatus, int]
    """Of the jobs submitted in the last :data:`LATELY_S`."""
    failures: Mapping[str, int]
    """Of those, the failed ones by ``GasError.kind``."""
    failed: Sequence[tuple[str, int, str]]
    """The latest of them: job id, when it ended, kind."""
    pending: Waiting
    running: Waiting
    archiving: Waiting
    thawing: Waiting
    due: Waiting
    """Results of people on the free plan that wait for their delay to be over, by when it began."""
    trouble: Sequence[tuple[str, str]]
    """Open jobs about which a person must do something: id, and what is wrong."""
    whole: bool
    """Whether all there is was looked at; else the figures are at least so large."""


def overview(services: Services, *, now: float | None = None) -> Overview:
    """Look at what is open, due, and was submitted lately."""
    at = int(time.time() if now is None else now)
    open_ids = list(islice(services.jobs.open_ids(), MOST + 1))
    lately_ids = list(islice(services.jobs.submitted_between(at - LATELY_S, at + 1), MOST + 1))
    due_ids = [job_id for _, job_id in islice(services.jobs.due(before=at + 1), MOST_DUE + 1)]
    opened = list(_jobs(services, open_ids[:MOST]))
    lately = list(_jobs(services, lately_ids[:MOST]))
    failed = sorted((job for job in lately if job.job_status is JobStatus.FAILED), key=_ended, reverse=True)
    return Overview(
        at=at,
        by_status=dict(Counter(job.job_status for job in lately)),
        failures=dict(Counter(job.error_kind or "error" for job in failed)),
        failed=[(job.job_id, _ended(job), job.error_kind or "error") for job in failed[:SHOWN]],
        pending=_waiting((job, job.submit_time) for job in opened if job.job_status is JobStatus.PENDING),
        running=_waiting(
            (job, job.start_time or job.submit_time) for job in opened if job.job_status is JobStatus.RUNNING
        ),
        archiving=_waiting(
            (job, job.archive_time or at) for job in opened if job.storage_state is StorageState.ARCHIVING
        ),
        thawing=_waiting((job, job.restore_time or at) for job in opened if job.storage_state is StorageState.THAWING),
        due=Waiting(
            number=min(len(due_ids), MOST_DUE),
            oldest=[(job.job_id, job.due_since) for job in _jobs(services, due_ids[:SHOWN]) if job.due_since],
        ),
        trouble=[(job.job_id, job.storage_error) for job in opened if job.storage_error][:SHOWN],
        whole=len(open_ids) <= MOST and len(lately_ids) <= MOST and len(due_ids) <= MOST_DUE,
    )


def _jobs(services: Services, job_ids: Iterable[str]) -> Iterator[Job]:
    """The jobs that are still there, deleted ones left out: an index only tells where to look."""
    remaining = iter(job_ids)
    while batch := list(islice(remaining, BATCH)):
        for job in services.jobs.find_many(batch):
            if job.storage_state is not StorageState.DELETING:
                yield job


def _waiting(jobs: Iterable[tuple[Job, int]]) -> Waiting:
    since = sorted(((job.job_id, moment) for job, moment in jobs), key=lambda one: one[1])
    return Waiting(number=len(since), oldest=since[:SHOWN])


def _ended(job: Job) -> int:
    return job.complete_time or job.submit_time
