"""What a person has used in the month that is: their jobs, the variants in them, the bytes they uploaded.

It is worked out when it is asked for, from a bounded number of reads, so that it takes no longer in an account of
100,000 jobs. Where a bound is reached, the figures say that there is at least so much. A deleted job counts no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gas.job import JobStatus, StorageState
from gas.jobs_table import JobsTable

#: Jobs counted at most. Of their index rows DynamoDB reads about 4,000 at a time (1 MB).
COUNTED = 16_000
#: Jobs looked at one by one for what is in them, 100 a read.
SUMMED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A person's use of a month."""

    month: str
    """Such as ``2026-11``, in UTC."""
    jobs: int
    completed: int
    jobs_at_least: bool
    """There are more than ``jobs``."""
    variants: int
    """In the jobs that completed."""
    uploaded_bytes: int
    """As stored: compressed, where the upload was."""
    sums_at_least: bool
    """Variants and bytes are those of the newest ``SUMMED`` jobs alone."""


def usage(jobs: JobsTable, user_id: str, *, now: float) -> Usage:
    """The person's use of the month of ``now`` (POSIX seconds)."""
    month = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows, more = jobs.rows_since(user_id, int(month.timestamp()), most=COUNTED)
    rows = [row for row in rows if row.get("storage_state") != StorageState.DELETING]
    looked_at = jobs.find_many([row["job_id"] for row in rows[:SUMMED]])
    return Usage(
        month=f"{month:%Y-%m}",
        jobs=len(rows),
        completed=sum(row["job_status"] == JobStatus.COMPLETED for row in rows),
        jobs_at_least=more,
        variants=sum(int(job.counts.get("variants", 0)) for job in looked_at if job.job_status is JobStatus.COMPLETED),
        uploaded_bytes=sum(job.input.size_bytes for job in looked_at),
        sums_at_least=len(rows) > SUMMED or more,
    )
