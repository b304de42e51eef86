"""Changing plans, and bringing results back from the archive: what is recorded first, and the DAG runs that follow.

The record alone decides. A run that could not be submitted is made up for by ``reconcile``, which finds the profile by
its ``restore_pending``.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

from gas.airflow_api import AT_WORK
from gas.archive import transfer
from gas.errors import Archived, Conflict, GasError, InputError
from gas.job import JOB_ID, Job, JobStatus, StorageState
from gas.profiles_table import Profile, Tier

if TYPE_CHECKING:
    from gas.services import Services

log = logging.getLogger(__name__)

DAG_ID = "restore"


def subscribe(services: Services, user_id: str) -> Profile:
    """Put the person on the premium plan, and have everything that is archived brought back. Repeating it is safe.

    :raises NotFound: when the person never signed in.
    :raises Conflict: when the plan was changed in the other direction at the same moment.
    """
    profile = services.profiles.set_tier(user_id, Tier.PREMIUM)
    if profile.restore_pending:
        try:
            submit_restore(services, profile)
        except GasError as error:
            log.warning("the restore of %s waits for reconcile: %s", user_id, error)
    return profile


def unsubscribe(services: Services, user_id: str) -> Profile:
    """Put the person on the free plan: their results become due a full delay from now. Repeating it is safe.

    :raises NotFound: when the person never signed in.
    :raises Conflict: when the plan was changed in the other direction at the same moment.
    """
    return services.profiles.set_tier(user_id, Tier.FREE)


def not_before(job: Job, profile: Profile, *, delay_s: int) -> int | None:
    """When the owner's result moves to the archive at the earliest, in POSIX seconds; ``None`` where it does not."""
    if job.storage_state is not StorageState.HOT or profile.tier is not Tier.FREE or profile.free_since is None:
        return None
    if job.due_since is None and not profile.fanout_pending:
        return None
    return max(job.due_since or 0, profile.free_since) + delay_s


def why_unavailable(job: Job, profile: Profile) -> Archived:
    """What to tell the owner who asks for a file that is in the archive just now."""
    if job.storage_state is StorageState.THAWING:
        return Archived("this file is on its way back from the archive; the job's page shows when to expect it")
    if profile.tier is Tier.PREMIUM:
        return Archived("this file is in the archive, and about to be brought back; look again in some minutes")
    return Archived(
        "this file has moved to the archive, where the free plan's results go after a while; nothing is lost: upgrade "
        "to premium (on the page of your plan, or by `gas subscribe`) and it is brought back"
    )


def submit_restore(services: Services, profile: Profile) -> None:
    """Have the archived results of an upgrade brought back; its run is made once, and run again where it failed.

    :raises Unavailable: when Airflow does not answer.
    """
    run_id = f"restore-{profile.user_id}-{profile.tier_version}"
    conf = {"user_id": profile.user_id, "tier_version": profile.tier_version}
    new = services.airflow.submit(DAG_ID, run_id=run_id, conf=conf)
    if not new and services.airflow.run_state(DAG_ID, run_id) == "failed":
        services.airflow.run_again(DAG_ID, run_id)


def restore_job(services: Services, job: Job, *, keep_s: int | None = None) -> str:
    """Have one job brought back, whatever its owner's plan; returns the id of the run that does it.

    :param keep_s: how long the result is kept at least before its owner's delay begins.
    :raises Conflict: when the job has no result that could come back.
    :raises Unavailable: when Airflow does not answer.
    """
    if job.job_status is not JobStatus.COMPLETED or job.storage_state is StorageState.DELETING:
        raise Conflict(f"job {job.job_id} is {job.job_status} and has no result to bring back")
    conf = {"job_id": job.job_id} | ({} if keep_s is None else {"keep": keep_s})
    for number in itertools.count(1):
        run_id = f"restore-job-{job.job_id}-{number}"
        if services.airflow.submit(DAG_ID, run_id=run_id, conf=conf):
            return run_id
        if services.airflow.run_state(DAG_ID, run_id) in AT_WORK:
            return run_id
    raise AssertionError("some number is free")


def begin(
    services: Services, *, job_id: str | None, keep_s: int | None, user_id: str | None, tier_version: int | None
) -> list[list[str]]:
    """What the first task of a ``restore`` run does: the jobs that are on their way back now, in sets.

    :raises InputError: when the run names neither one job nor a person's upgrade, or both.
    """
    if job_id and not (user_id or tier_version):
        if not JOB_ID.fullmatch(job_id):
            raise InputError(f"{job_id!r} is not a job's id")
        return [[job_id]] if transfer.begin_restore_job(services, job_id, keep_s=keep_s) else []
    if user_id and tier_version and not (job_id or keep_s):
        return transfer.begin_restore(services, user_id=user_id, tier_version=tier_version)
    raise InputError("a restore is of one job (job_id, keep) or of one upgrade (user_id and tier_version)")
