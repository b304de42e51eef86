"""Emptying the trash of a job: what nobody may read any more.

The order is the whole safety: list first, read the record second, delete the difference third, and only while it is
HOT. A version that was listed and that a HOT record read later does not name belongs to a thaw whose copy is gone, so
its commit is refused for ever. Read first and listed second, it might be the version of the next thaw.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gas.job import Output, StorageState

if TYPE_CHECKING:
    from gas.services import Services

log = logging.getLogger(__name__)

MISSING = (
    "the result's file is missing from S3, so its copies in the trash were not deleted: one of them may be the last"
)


def empty_trash(services: Services, job_id: str, *, sweep: bool = False) -> bool:
    """Delete what a HOT job's record has in its trash. Anybody may, at any time.

    :param sweep: also delete versions that a thaw which died has left, where there is no trash to tell of them.
    :returns: whether the trash is known to be empty.
    """
    job = services.jobs.find(job_id)
    if job is None or job.storage_state is not StorageState.HOT or not (job.trash or sweep):
        return True
    listed = []
    if sweep or (job.trash and job.trash.versions):
        listed = services.objects.result_versions(user_id=job.user_id, job_id=job_id)
        job = services.jobs.find(job_id)  # after the list
        if job is None or job.storage_state is not StorageState.HOT or not (job.trash or sweep):
            return True
    named = {(stored.key, stored.version_id) for stored in job.outputs.values()}
    trashed = job.trash.versions if job.trash else ()
    doomed = [stored for stored in {*listed, *trashed} if (stored.key, stored.version_id) not in named]
    if doomed and not services.objects.exists(job.outputs[Output.VCF]):
        log.error("job %s: %s", job_id, MISSING)
        services.storage.trouble(job, MISSING)
        return False
    services.objects.delete_versions(doomed)
    if job.trash:
        services.archives[job.trash.backend].delete_claim(
            job_id=job_id, token=job.trash.token, archive_id=job.trash.archive_id
        )
        services.storage.trash_emptied(job)
    return True
