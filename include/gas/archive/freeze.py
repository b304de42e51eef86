"""A result's way to the archive.

Claim, copy, commit, delete the hot versions: in this order, so that at every moment the record names a copy that can
be read. The owner's plan is checked with the claim, and again in the transaction of the commit: whoever upgraded in
time keeps the result.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from gas.archive import ColdCopy, Outcome, SourceGone
from gas.archive.trash import empty_trash
from gas.errors import GasError
from gas.job import ARCHIVED_OUTPUTS, ArchiveBackend, Job, JobStatus, Output, StorageState
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


def archive_all(
    services: Services, job_ids: Sequence[str], *, interval_end: int | None = None, at_once: int = AT_ONCE
) -> Counter[Outcome]:
    """Archive a chunk of results, reading all records and profiles first; returns how often each outcome came.

    :param interval_end: leave alone what is due since this time or later.
    :param at_once: how many results are on their way at the same time.
    :raises Exception: the first that was met, after all others have been tried.
    """
    jobs = services.jobs.find_many(job_ids)
    profiles = services.profiles.find_many({job.user_id for job in jobs})

    def outcome_of(job: Job) -> Outcome | Exception:
        try:
            return _archived(services, job, interval_end, profiles.get(job.user_id))
        except Exception as error:
            log.exception("job %s could not be archived", job.job_id)
            return error

    if at_once == 1:
        outcomes = list(map(outcome_of, jobs))
    else:
        with ThreadPoolExecutor(at_once) as threads:
            outcomes = list(threads.map(outcome_of, jobs))
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return Counter(outcome for outcome in outcomes if isinstance(outcome, Outcome))


def archive_one(services: Services, job_id: str, *, interval_end: int | None = None) -> Outcome:
    """Archive one result if it is due and its owner free, or go on where another process stopped.

    :param interval_end: leave alone what is due since this time or later.
    """
    job = services.jobs.find(job_id)
    return Outcome.NOTHING if job is None else _archived(services, job, interval_end, None)


def unarchive(services: Services, job_id: str) -> Outcome:
    """Give up a half-done archive, whoever does it: the result is HOT again."""
    job = services.jobs.find(job_id)
    if job is None or job.storage_state is not StorageState.ARCHIVING:
        return Outcome.NOTHING
    return _given_up(services, job, None) or Outcome.NOTHING


def _archived(services: Services, job: Job, interval_end: int | None, profile: Profile | None) -> Outcome:
    """From a consistent read to the end. What another process changes meanwhile is read again."""
    current: Job | None = job
    while current is not None:
        match current.storage_state:
            case StorageState.HOT if not current.notified and current.job_status is JobStatus.COMPLETED:
                services.events.job_completed(current)
                services.jobs.mark_notified(current.job_id)
            case StorageState.HOT if current.trash:
                if not empty_trash(services, current.job_id):
                    return Outcome.NOTHING
            case StorageState.HOT:
                return _from_hot(services, current, interval_end, profile)
            case StorageState.ARCHIVING:
                outcome = _copied(services, current, resumed=True)
                if outcome is not None:
                    return outcome
            case StorageState.ARCHIVED if not current.s3_deleted:
                return _cleared(services, current, tidy=True)
            case _:
                return Outcome.NOTHING
        current = services.jobs.find(job.job_id)
    return Outcome.NOTHING


def _from_hot(services: Services, job: Job, interval_end: int | None, profile: Profile | None) -> Outcome:
    delay_s = services.settings.free_result_ttl_s
    latest = services.storage.now() - delay_s
    if job.due_since is None or (interval_end is not None and job.due_since >= interval_end):
        return Outcome.NOTHING
    owner = profile or services.profiles.get(job.user_id)
    if owner.tier is Tier.PREMIUM:
        return Outcome.DROPPED if services.storage.drop_due(job, owner) else Outcome.NOTHING
    if job.due_since > latest or owner.free_since is None or owner.free_since > latest:
        return Outcome.NOTHING
    token = new_token()
    claimed = services.storage.claim(job, token=token, backend=services.settings.archive, delay_s=delay_s)
    if claimed is None:
        claimed = services.jobs.find(job.job_id)
        if claimed is None or claimed.storage_state is not StorageState.ARCHIVING or claimed.archive_token != token:
            return Outcome.NOTHING
    return _copied(services, claimed, resumed=False) or Outcome.NOTHING


def _copied(services: Services, job: Job, *, resumed: bool) -> Outcome | None:
    """Make the cold copy of an ARCHIVING result and commit it; ``None`` where the record has to be looked at again."""
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
        return _cleared(services, committed, tidy=tidy)
    there = services.jobs.find(job.job_id)
    if there and there.archive_id == copy.archive_id:  # it was applied, and its answer lost
        if there.storage_state is StorageState.ARCHIVED and not there.s3_deleted:
            return _cleared(services, there, tidy=tidy)
        return Outcome.NOTHING
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


def _cleared(services: Services, job: Job, *, tidy: bool) -> Outcome:
    """Delete the hot versions of an ARCHIVED result, by their VersionIds."""
    services.objects.delete_versions(job.outputs[output] for output in ARCHIVED_OUTPUTS if output in job.outputs)
    services.storage.hot_deleted(job)
    if tidy:
        _delete_others(services, job, _claimed(services, job)[0])
    return Outcome.ARCHIVED


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
