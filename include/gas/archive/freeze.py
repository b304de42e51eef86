"""A result's way to the archive.

Claim, copy, commit, delete the hot versions: in this order, so that at every moment the record names a copy that can
be read. The owner's plan is checked with the claim, and again in the transaction of the commit: whoever upgraded in
time keeps the result.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gas.archive import ColdCopy, Outcome, SourceGone
from gas.archive.trash import empty_trash
from gas.dynamodb import CHANGES_AT_ONCE
from gas.errors import GasError
from gas.job import ARCHIVED_OUTPUTS, ArchiveBackend, Job, JobStatus, Output, StorageState
from gas.job_log import about
from gas.profiles_table import Profile, Tier
from gas.storage_table import new_token

if TYPE_CHECKING:
    from gas.archive import Archive
    from gas.services import Services

log = logging.getLogger(__name__)

#: Results of a chunk on their way at the same time: each is mostly waiting for AWS.
AT_ONCE = 4

DAMAGED = (
    "the stored result differs from the SHA-256 that was recorded when it was made, so it was not archived; it was "
    "left as it is"
)


@dataclass(frozen=True, slots=True)
class _Committed:
    """An ARCHIVED job whose hot versions are still to be deleted."""

    job: Job
    tidy: bool
    """Whether copies may lie about that no record will name."""


#: Where a step has led: to an end, to a commit, or (``None``) to a record that has to be looked at again.
_Step = Outcome | _Committed | None


def archive_all(
    services: Services, job_ids: Sequence[str], *, interval_end: int | None = None, at_once: int = AT_ONCE
) -> Counter[Outcome]:
    """Archive a chunk of results; returns how often each outcome came.

    All records and profiles are read first, a person's results are claimed together, and the hot versions are deleted
    at the end together. Each result is committed by itself, as soon as its copy is made.

    :param interval_end: leave alone what is due since this time or later.
    :param at_once: how many results are on their way at the same time.
    :raises Exception: the first that was met, after all others have been tried.
    """
    jobs = services.jobs.find_many(job_ids)
    profiles = services.profiles.find_many({job.user_id for job in jobs})
    claimed = _claimed_together(services, jobs, profiles, interval_end)

    failures: list[Exception] = []

    def step_of(job: Job) -> Outcome | _Committed:
        with about(job.job_id):
            try:
                ours = claimed.get(job.job_id)
                step = _copied(services, ours, resumed=False) if ours else None
                seen = None if ours else job
                return step or _moved(services, job.job_id, interval_end, profiles.get(job.user_id), seen=seen)
            except Exception as error:
                log.exception("job %s could not be archived", job.job_id)
                failures.append(error)
                return Outcome.NOTHING

    if at_once == 1:
        steps = list(map(step_of, jobs))
    else:
        with ThreadPoolExecutor(at_once) as threads:
            steps = list(threads.map(step_of, jobs))
    _clear(services, [step for step in steps if isinstance(step, _Committed)])
    if failures:
        raise failures[0]
    return Counter(Outcome.ARCHIVED if isinstance(step, _Committed) else step for step in steps)


def archive_one(services: Services, job_id: str, *, interval_end: int | None = None) -> Outcome:
    """Archive one result if it is due and its owner free, or go on where another process stopped.

    :param interval_end: leave alone what is due since this time or later.
    """
    step = _moved(services, job_id, interval_end, None)
    if isinstance(step, _Committed):
        _clear(services, [step])
        return Outcome.ARCHIVED
    return step


def unarchive(services: Services, job_id: str) -> Outcome:
    """Give up a half-done archive, whoever does it: the result is HOT again."""
    job = services.jobs.find(job_id)
    if job is None or job.storage_state is not StorageState.ARCHIVING:
        return Outcome.NOTHING
    return _given_up(services, job, None) or Outcome.NOTHING


def cold_copy_missing(services: Services, job: Job) -> bool:
    """Whether the copy that an ARCHIVED record names is known not to exist; of a vault's never, which lists nothing.

    :raises GasError: when the record names no archive.
    """
    archive, token = _claimed(services, job)
    return archive.is_missing(job_id=job.job_id, token=token, archive_id=job.archive_id or "")


def _claimed_together(
    services: Services, jobs: Sequence[Job], profiles: Mapping[str, Profile], interval_end: int | None
) -> dict[str, Job]:
    """Claim what is plainly due, one person's results in one transaction; the rest is looked at one by one."""
    plainly_due: dict[str, list[Job]] = {}
    for job in jobs:
        hot = job.storage_state is StorageState.HOT and job.notified and not job.trash
        owner = profiles.get(job.user_id)
        if hot and owner and owner.tier is Tier.FREE and _is_due(services, job, owner, interval_end):
            plainly_due.setdefault(job.user_id, []).append(job)
    claimed: dict[str, Job] = {}
    for due in plainly_due.values():
        for first in range(0, len(due), CHANGES_AT_ONCE):
            try:
                claimed |= _claim(services, due[first : first + CHANGES_AT_ONCE])
            except Exception:
                log.warning("results could not be claimed together, and are one by one", exc_info=True)
    return claimed


def _claim(services: Services, jobs: Sequence[Job]) -> dict[str, Job]:
    """Take one person's results: all of them, or none. The jobs that are ours now, by their ids."""
    token = new_token()
    settings = services.settings
    claimed = services.storage.claim(jobs, token=token, backend=settings.archive, delay_s=settings.free_result_ttl_s)
    if claimed is None:  # perhaps applied, and its answer lost
        there = services.jobs.find_many([job.job_id for job in jobs])
        claimed = [job for job in there if job.storage_state is StorageState.ARCHIVING and job.archive_token == token]
    return {job.job_id: job for job in claimed}


def _moved(
    services: Services, job_id: str, interval_end: int | None, profile: Profile | None, *, seen: Job | None = None
) -> Outcome | _Committed:
    """From a consistent read as far as the commit. What another process changes meanwhile is read again.

    :param seen: what a consistent read has given a moment ago.
    """
    current = seen or services.jobs.find(job_id)
    while current is not None:
        match current.storage_state:
            case StorageState.HOT if not current.notified and current.job_status is JobStatus.COMPLETED:
                services.events.job_completed(current)
                services.jobs.mark_notified(current.job_id)
            case StorageState.HOT if current.trash:
                if not empty_trash(services, current.job_id):
                    return Outcome.NOTHING
            case StorageState.HOT:
                step = _from_hot(services, current, interval_end, profile)
                return step or Outcome.NOTHING
            case StorageState.ARCHIVING:
                step = _copied(services, current, resumed=True)
                if step is not None:
                    return step
            case StorageState.ARCHIVED if not current.s3_deleted:
                return _Committed(current, tidy=True)
            case _:
                return Outcome.NOTHING
        current = services.jobs.find(job_id)
    return Outcome.NOTHING


def _from_hot(services: Services, job: Job, interval_end: int | None, profile: Profile | None) -> _Step:
    owner = profile or services.profiles.get(job.user_id)
    if owner.tier is Tier.PREMIUM:
        waits = job.due_since is not None and (interval_end is None or job.due_since < interval_end)
        return Outcome.DROPPED if waits and services.storage.drop_due(job, owner) else Outcome.NOTHING
    if not _is_due(services, job, owner, interval_end):
        return Outcome.NOTHING
    claimed = _claim(services, [job]).get(job.job_id)
    return _copied(services, claimed, resumed=False) if claimed else Outcome.NOTHING


def _is_due(services: Services, job: Job, owner: Profile, interval_end: int | None) -> bool:
    """Whether a result's delay and that of its owner, who is on the free plan, are over."""
    latest = services.storage.now() - services.settings.free_result_ttl_s
    if job.due_since is None or (interval_end is not None and job.due_since >= interval_end):
        return False
    return job.due_since <= latest and owner.free_since is not None and owner.free_since <= latest


def _copied(services: Services, job: Job, *, resumed: bool) -> _Step:
    """Make the cold copy of an ARCHIVING result and commit it."""
    archive, token = _claimed(services, job)
    source = job.outputs[Output.VCF]
    try:
        copy = archive.store(source, job_id=job.job_id, token=token)
    except SourceGone as error:
        there = services.jobs.find(job.job_id)
        if there and there.storage_state is StorageState.ARCHIVING and there.archive_token == token:
            services.storage.trouble(there, str(error))
            raise
        return Outcome.NOTHING
    if copy.sha256 != source.sha256:
        log.error("job %s: %s has SHA-256 %s, not %s", job.job_id, source.key, copy.sha256, source.sha256)
        return Outcome.DAMAGED if _given_up(services, job, copy, damage=DAMAGED) else None
    tidy = resumed or copy.twin
    committed = services.storage.commit(job, copy.archive_id, delay_s=services.settings.free_result_ttl_s)
    if committed is not None:
        return _Committed(committed, tidy)
    there = services.jobs.find(job.job_id)
    if there and there.archive_id == copy.archive_id:  # it was applied, and its answer lost
        uncleared = there.storage_state is StorageState.ARCHIVED and not there.s3_deleted
        return _Committed(there, tidy) if uncleared else Outcome.NOTHING
    if there and there.storage_state is StorageState.ARCHIVING and there.archive_token == token:
        return _given_up(services, there, copy)
    archive.delete_copy(job_id=job.job_id, token=token, archive_id=copy.archive_id)
    if tidy:
        _delete_others(services, job, archive)
    return Outcome.NOTHING


def _given_up(services: Services, job: Job, copy: ColdCopy | None, *, damage: str | None = None) -> Outcome | None:
    """The hot versions were never touched, so this loses nothing; ``None`` where another process was faster."""
    archive, token = _claimed(services, job)
    archive_id = copy.archive_id if copy else None
    hot = services.storage.unarchive(job, archive_id=archive_id, listed=archive.lists_copies, damage=damage)
    if hot is None:
        hot = services.jobs.find(job.job_id)
        trash = hot.trash if hot and hot.trash and hot.trash.token == token else None
        if archive_id and not (trash and trash.archive_id == archive_id):
            archive.delete_copy(job_id=job.job_id, token=token, archive_id=archive_id)
        if hot is None or trash is None:
            return None
    if hot.trash:
        empty_trash(services, job.job_id)
    return Outcome.RETURNED


def _clear(services: Services, committed: Sequence[_Committed]) -> None:
    """Delete the hot versions of ARCHIVED results, by their VersionIds."""
    services.objects.delete_versions(
        one.job.outputs[output] for one in committed for output in ARCHIVED_OUTPUTS if output in one.job.outputs
    )
    services.storage.hot_deleted([one.job for one in committed])
    for one in committed:
        if one.tidy:
            _delete_others(services, one.job, _claimed(services, one.job)[0])


def _delete_others(services: Services, job: Job, archive: Archive) -> None:
    """A process that did not begin the work, or had to repeat a request, looks for copies that no record will name."""

    def named() -> str | None:
        there = services.jobs.find(job.job_id)
        return there.archive_id if there and there.storage_state is StorageState.ARCHIVED else None

    archive.delete_others(job_id=job.job_id, confirm=named)


def _claimed(services: Services, job: Job) -> tuple[Archive, str]:
    if job.archive_backend is None or job.archive_token is None:
        raise GasError(f"the record of job {job.job_id} is {job.storage_state} and names no archive")
    return services.archives[ArchiveBackend(job.archive_backend)], job.archive_token
