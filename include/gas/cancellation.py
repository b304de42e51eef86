"""Cancelling a job: the record says so first, which fences every attempt; then its run is stopped.

An attempt that is still at it learns of the cancellation at its next report or at its commit, and deletes what it put.
One that is killed on the way deletes nothing, so the record stays open until what is left was swept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gas.errors import Conflict, GasError
from gas.job import DAG_ID, Job
from gas.jobs_table import Ended

if TYPE_CHECKING:
    from gas.services import Services

log = logging.getLogger(__name__)


def cancel(services: Services, *, job_id: str, user_id: str) -> Job:
    """End a person's own job before it is done. Repeating it is safe.

    An Airflow that does not answer is no error: nothing can come of the run any more, and reconcile stops it.

    :raises Conflict: when the job has completed or failed meanwhile.
    :raises NotFound: when it is not the person's.
    """
    try:
        job = services.jobs.cancel(job_id, user_id)
    except Ended as ended:
        raise Conflict(
            f"the job has ended meanwhile: it is {ended.job.job_status}, so there is nothing left to cancel"
        ) from None
    try:
        services.airflow.stop(DAG_ID, job_id)
    except GasError as error:
        log.warning("job %s is cancelled and its run could not be stopped yet: %s", job_id, error)
    return job


def sweep(services: Services, job: Job) -> None:
    """Remove what the attempts of a CANCELLED job have left; only once its run has ended. The upload stays."""
    services.objects.delete_results(user_id=job.user_id, job_id=job.job_id)
    services.jobs.settle_cancelled(job.job_id)
