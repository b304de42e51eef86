"""Results between S3 and the archive, and back.

Every function may be repeated at any time, by anybody, also after a death at any line: what is to be done is read from
the record, and each step is a conditional write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gas.archive import Outcome, Retrieval, RetrievalStatus

if TYPE_CHECKING:
    from gas.services import Services


def due(services: Services, *, before: int, after: int | None = None) -> Iterator[list[str]]:
    """The ids of jobs whose result waits to be archived, in chunks, one person's side by side.

    :param before: only those due since before this time (POSIX seconds).
    :param after: only those due since this time or later; a backfill keeps to its own interval.
    """
    raise NotImplementedError


def fan_out(services: Services) -> int:
    """Date the results of everybody who went back to the free plan; returns how many were dated."""
    raise NotImplementedError


def archive_all(services: Services, job_ids: Sequence[str], *, interval_end: int | None = None) -> Counter[Outcome]:
    """Archive a chunk that :func:`due` gave, reading each person's profile once.

    :raises Exception: the first that was met, after all others have been tried.
    """
    raise NotImplementedError


def archive_one(services: Services, job_id: str, *, interval_end: int | None = None) -> Outcome:
    """Archive one result if it is due and its owner free, or go on where another process stopped.

    :param interval_end: leave alone what is due since this time or later.
    """
    raise NotImplementedError


def unarchive(services: Services, job_id: str) -> Outcome:
    """Give up a half-done archive: the result is HOT again."""
    raise NotImplementedError


def begin_restore(services: Services, *, user_id: str, tier_version: int) -> list[list[str]]:
    """Start the way back of everything the person has in the archive, and clear the profile's ``restore_pending``.

    :param tier_version: of the upgrade; nothing is done where the tier has changed since.
    :returns: the THAWING jobs, in at most 16 sets.
    """
    raise NotImplementedError


def begin_restore_job(services: Services, job_id: str, *, keep_s: int | None = None) -> bool:
    """Start the way back of one job, whatever its owner's plan; returns whether it is THAWING now.

    :param keep_s: how long to keep it hot before its delay begins.
    """
    raise NotImplementedError


def ask(services: Services, job_id: str) -> Retrieval | None:
    """Ask the archive for a THAWING job, unless it was asked; ``None`` where the job is not THAWING."""
    raise NotImplementedError


def retrievals_ready(
    services: Services, waiting: Sequence[Retrieval], *, turn: int = 0
) -> Mapping[str, RetrievalStatus]:
    """How retrievals stand, by job id, in few calls; see :meth:`gas.archive.Archive.statuses`."""
    raise NotImplementedError


def thaw(services: Services, job_id: str) -> Outcome:
    """Bring a retrieved result back. One whose retrieval is gone is asked for again, and WAITING."""
    raise NotImplementedError


def empty_trash(services: Services, job_id: str) -> None:
    """Delete what a job's record has in its trash."""
    raise NotImplementedError
