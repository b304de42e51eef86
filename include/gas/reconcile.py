"""What the records say against what is, and the repair of what differs.

Each actor writes what it will do before it does it. Whatever it leaves, because it died or something did not answer, is
an *open* record, and each kind of open record has one way on. Nothing is taken out of the hands of an actor that may
still be at it, and nothing that a record names is deleted here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from gas import cancellation, deletion, subscription
from gas.airflow_api import AT_WORK
from gas.archive import RetrievalStatus, transfer
from gas.errors import EngineError, NotFound
from gas.findings import Finding, Repair, carried_out
from gas.job import DAG_ID, Job, JobStatus, Output, StorageState
from gas.profiles_table import Profile, Tier

if TYPE_CHECKING:
    from gas.services import Services

BATCH = 100
GRACE_S = 60
"""How long an actor is left alone with what it is doing, where that takes seconds."""
ARCHIVING_S = 3600
"""How long an archive may take before another process goes on with it."""

NEVER_DONE = "the work on this job ended without a result; submit it again"


def reconcile(services: Services, *, dry_run: bool = False) -> Iterator[Finding]:
    """Every open record of any age, and every change of plan that was not worked off. Trouble with one stops no other.

    :param dry_run: only say what would be done.
    """
    for user_id in services.profiles.pending():
        yield from carried_out(f"profile {user_id}", _profile_repairs(services, user_id), dry_run=dry_run)
    for job in _jobs(services, services.jobs.open_ids()):
        yield from carried_out(f"job {job.job_id}", _open_repairs(services, job), dry_run=dry_run)
    yield from _overdue(services)


def check(services: Services, *, after: int, before: int, dry_run: bool = False) -> Iterator[Finding]:
    """Every record of a job submitted in an interval (POSIX seconds, ``before`` excluded), open or not."""
    for job in _jobs(services, services.jobs.submitted_between(after, before)):
        repairs = _open_repairs(services, job) if job.is_open else _settled_repairs(services, job)
        yield from carried_out(f"job {job.job_id}", repairs, dry_run=dry_run)


def _jobs(services: Services, job_ids: Iterable[str]) -> Iterator[Job]:
    """The jobs, each read consistently, a batch at a time: an index only tells where to look."""
    remaining = iter(job_ids)
    while batch := list(islice(remaining, BATCH)):
        yield from services.jobs.find_many(batch)


# Profiles.


def _profile_repairs(services: Services, user_id: str) -> Iterator[Repair]:
    profile = services.profiles.get(user_id)
    if profile.restore_pending:
        yield Repair(
            found="upgraded, and not everything is on its way back",
            repair="submit its restore, unless that runs",
            act=lambda: subscription.submit_restore(services, profile),
        )
    interval_s = services.settings.archive_interval.total_seconds()
    if profile.fanout_pending and profile.free_since and profile.free_since < time.time() - 2 * interval_s - GRACE_S:
        yield Repair(
            found="went back to the free plan, and no archive run has dated its results",
            repair="date them",
            act=lambda: transfer.fan_out(services),
        )


# Open records.


def _open_repairs(services: Services, job: Job) -> Iterator[Repair]:
    match job.storage_state:
        case StorageState.DELETING:
            yield Repair(found="is being deleted", repair="sweep", act=lambda: deletion.sweep(services, job.job_id))
        case StorageState.ARCHIVING:
            yield from _archiving_repairs(services, job)
        case StorageState.ARCHIVED if not job.s3_deleted:
            yield Repair(
                found="is archived, and its hot versions are not known to be gone",
                repair="delete them",
                act=lambda: transfer.archive_one(services, job.job_id),
            )
        case StorageState.THAWING:
            yield from _thawing_repairs(services, job)
        case None if job.job_status is JobStatus.CANCELLED:
            yield from _cancelled_repairs(services, job)
        case None:
            yield from _unfinished_repairs(services, job)
        case _:
            yield from _completed_repairs(services, job)


def _unfinished_repairs(services: Services, job: Job) -> Iterator[Repair]:
    """PENDING or RUNNING: as Airflow says of its run."""
    if job.job_status.ended or time.time() - job.submit_time < GRACE_S:
        return
    state = services.airflow.run_state(DAG_ID, job.job_id)
    if state is None:
        yield Repair(found=f"is {job.job_status} without a run", repair="submit", act=lambda: _submit(services, job))
    elif state in ("success", "failed") and not services.jobs.get(job.job_id).job_status.ended:
        yield Repair(
            found=f"is {job.job_status}, and its run has ended ({state})",
            repair="fail it",
            act=lambda: services.jobs.fail(job.job_id, None, NEVER_DONE, EngineError.kind),
        )


def _cancelled_repairs(services: Services, job: Job) -> Iterator[Repair]:
    """CANCELLED: its run is stopped, and when none of its tasks can be at it any more, what they left is removed."""
    if time.time() - (job.complete_time or 0) < GRACE_S:
        return
    if services.airflow.run_state(DAG_ID, job.job_id) in AT_WORK:
        yield Repair(
            found="is CANCELLED, and its run goes on",
            repair="stop it",
            act=lambda: services.airflow.stop(DAG_ID, job.job_id),
        )
    else:
        yield Repair(
            found="is CANCELLED, and its attempts may have left something",
            repair="sweep",
            act=lambda: cancellation.sweep(services, job),
        )


def _submit(services: Services, job: Job) -> None:
    services.airflow.submit(DAG_ID, run_id=job.job_id, conf={"job_id": job.job_id, "user_id": job.user_id})


def _completed_repairs(services: Services, job: Job) -> Iterator[Repair]:
    """HOT."""
    if not job.notified:
        if time.time() - (job.complete_time or 0) > GRACE_S:
            yield Repair(found="is COMPLETED and nobody was told", repair="tell", act=lambda: _tell(services, job))
    elif job.trash:
        yield Repair(found="has trash", repair="empty it", act=lambda: transfer.empty_trash(services, job.job_id))
    else:
        yield Repair(
            found="is settled and still listed as open", repair="unlist", act=lambda: services.storage.settle(job)
        )


def _tell(services: Services, job: Job) -> None:
    services.events.job_completed(job)
    services.jobs.mark_notified(job.job_id)


def _archiving_repairs(services: Services, job: Job) -> Iterator[Repair]:
    owner = _owner(services, job)
    if owner and owner.tier is Tier.PREMIUM:
        yield Repair(
            found="is half archived, and its owner is premium",
            repair="give the archive up",
            act=lambda: transfer.unarchive(services, job.job_id),
        )
    elif (job.archive_time or 0) < time.time() - ARCHIVING_S:
        yield Repair(
            found="has been ARCHIVING for more than an hour",
            repair="go on with it",
            act=lambda: transfer.archive_one(services, job.job_id),
        )


def _thawing_repairs(services: Services, job: Job) -> Iterator[Repair]:
    """On its way back: whoever waits for it goes on by himself; else one run is made for it."""
    if (job.restore_time or 0) > time.time() - GRACE_S or _is_waited_for(services, job):
        return
    if job.retrieval_job_id is None:
        yield Repair(
            found="is THAWING and was not asked for",
            repair="ask, and submit its restore",
            act=lambda: _restore(services, job),
        )
        return
    retrieval = transfer.ask(services, job.job_id)
    if retrieval is None:
        return
    status = transfer.retrievals_ready(services, [retrieval]).get(job.job_id, RetrievalStatus.WAITING)
    if status is not RetrievalStatus.WAITING:
        yield Repair(
            found=f"has a retrieval that is {status}, and nobody waits for it",
            repair="submit its restore",
            act=lambda: subscription.restore_job(services, job),
        )


def _restore(services: Services, job: Job) -> None:
    transfer.ask(services, job.job_id)
    subscription.restore_job(services, job)


def _is_waited_for(services: Services, job: Job) -> bool:
    """Whether the run of its owner's upgrade is at work; one for this job alone is never made twice anyway."""
    owner = _owner(services, job)
    if owner is None:
        return False
    run_id = f"restore-{owner.user_id}-{owner.tier_version}"
    return services.airflow.run_state(subscription.DAG_ID, run_id) in AT_WORK


def _owner(services: Services, job: Job) -> Profile | None:
    try:
        return services.profiles.get(job.user_id)
    except NotFound:
        return None


def _overdue(services: Services) -> Iterator[Finding]:
    """What no archive run has taken although its delay is long over: to tell; the next run takes it."""
    settings = services.settings
    late = int(time.time()) - settings.free_result_ttl_s - 2 * int(settings.archive_interval.total_seconds()) - GRACE_S
    owners: dict[str, Profile | None] = {}
    for job in _jobs(services, (job_id for _, job_id in services.jobs.due(before=max(1, late)))):
        if job.user_id not in owners:
            owners[job.user_id] = _owner(services, job)
        owner = owners[job.user_id]
        if owner and owner.tier is Tier.FREE and owner.free_since is not None and owner.free_since < late:
            yield Finding(
                subject=f"job {job.job_id}", found="is overdue for the archive; the next run of archive takes it"
            )


# Records that nobody has anything to do for: only a backfill looks at them.


def _settled_repairs(services: Services, job: Job) -> Iterator[Repair]:
    if job.job_status is not JobStatus.COMPLETED:
        return
    owner = _owner(services, job)
    if owner is None:
        return
    if job.storage_state is StorageState.HOT:
        since = owner.free_since
        undated = job.due_since is None and not owner.fanout_pending and not job.storage_error
        if since is not None and owner.tier is Tier.FREE and undated:
            yield Repair(
                found="waits for no archive although its owner is free",
                repair="date it",
                act=lambda: services.storage.date(job.job_id, due_since=since),
            )
        if not services.objects.exists(job.outputs[Output.VCF]):
            sentence = "the result is not in S3 although the record says so; look for another version of its key"
            yield Repair(found=sentence, act=lambda: services.storage.trouble(job, sentence))
    elif job.storage_state is StorageState.ARCHIVED:
        if owner.tier is Tier.PREMIUM and not owner.restore_pending:
            yield Repair(
                found="is archived although its owner is premium",
                repair="submit its restore",
                act=lambda: subscription.restore_job(services, job),
            )
        if transfer.cold_copy_missing(services, job):
            gone = "the cold copy is not in the archive although the record says so; look for another version of it"
            yield Repair(found=gone, act=lambda: services.storage.trouble(job, gone))
