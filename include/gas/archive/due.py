"""Which results wait to be archived, and since when they do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from gas.errors import NotFound
from gas.job import Job, StorageState

if TYPE_CHECKING:
    from gas.profiles_table import Profile
    from gas.services import Services

log = logging.getLogger(__name__)

#: Records read at a time.
READ_AT_ONCE = 100


def due(services: Services, *, before: int, after: int | None = None, chunk: int = 50) -> Iterator[list[str]]:
    """The ids of jobs whose result waits to be archived, in chunks, one person's side by side.

    :param before: only those due since before this time (POSIX seconds).
    :param after: only those due since this time or later; a backfill keeps to its own interval.
    :param chunk: the most ids in one chunk.
    """
    of_person: dict[str, list[str]] = {}
    for user_id, job_id in services.jobs.due(before=before, after=after):
        of_person.setdefault(user_id, []).append(job_id)
    ids = (job_id for job_ids in of_person.values() for job_id in job_ids)
    return _batched(ids, chunk)


def fan_out(services: Services) -> int:
    """Date the results of everybody who went back to the free plan; returns how many were dated.

    A result that has no date, or one from before the downgrade, becomes due a full delay after it.
    """
    dated = 0
    for user_id in list(services.profiles.pending()):
        try:
            profile = services.profiles.get(user_id)
        except NotFound:  # the index is behind
            continue
        if profile.fanout_pending and profile.free_since is not None:
            dated += _date_all(services, profile, profile.free_since)
            services.profiles.worked_off(profile)
    return dated


def jobs_of(services: Services, user_id: str) -> Iterator[Job]:
    """All the person's jobs: which is read from an index, each job itself consistently."""
    for ids in _batched(services.jobs.ids_of_user(user_id), READ_AT_ONCE):
        yield from services.jobs.find_many(ids)


def _date_all(services: Services, profile: Profile, since: int) -> int:
    dated = 0
    for job in jobs_of(services, profile.user_id):
        behind = job.due_since is None or job.due_since < since
        if job.storage_state is StorageState.HOT and behind and services.storage.date(job.job_id, due_since=since):
            dated += 1
    log.info("dated %d results of %s", dated, profile.user_id)
    return dated


def _batched(ids: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(islice(ids, size)):
        yield batch
