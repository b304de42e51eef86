"""Deleting a job: the record says so first, its bytes go, and a tombstone stays for a while.

The tombstone is for whoever comes late: a process that was paused with a copy half made finds that the job is being
deleted, and deletes what it made; what one left that died then is swept when the tombstone goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gas.errors import NotFound
from gas.job import Job, StorageState

if TYPE_CHECKING:
    from gas.services import Services

#: How long a tombstone stays, in seconds.
TOMBSTONE_S = 7 * 24 * 3600


def delete(services: Services, *, job_id: str, user_id: str) -> None:
    """Delete a person's own job, in whatever state: hidden at once, then everything it had is removed.

    Repeating it is safe, and finishes what a death left.

    :raises NotFound: when it is not the person's.
    """
    while True:
        job = services.jobs.get(job_id)
        if job.user_id != user_id:
            raise NotFound(f"There is no job {job_id}")
        marked = job if job.storage_state is StorageState.DELETING else services.storage.mark_deleting(job)
        if marked is not None:
            _swept(services, marked)
            services.storage.bury(job_id)
            return


def sweep(services: Services, job_id: str) -> bool:
    """Remove what a DELETING job has left; its tombstone goes a week later. Returns whether the record is gone."""
    job = services.jobs.find(job_id)
    if job is None:
        return True
    if job.storage_state is not StorageState.DELETING:
        return False
    _swept(services, job)
    if job.deleted_time is None:
        services.storage.bury(job_id)
        return False
    if job.deleted_time > services.storage.now() - TOMBSTONE_S:
        return False
    return services.storage.remove(job)


def _swept(services: Services, job: Job) -> None:
    services.objects.delete_job(user_id=job.user_id, job_id=job.job_id)
    for backend, archive in services.archives.items():
        ids = {job.archive_id} if job.archive_backend is backend else set()
        ids |= {job.trash.archive_id} if job.trash and job.trash.backend is backend else set()
        archive.delete_all(job_id=job.job_id, archive_ids={archive_id for archive_id in ids if archive_id})
