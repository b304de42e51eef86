"""How a job comes to be: a link to upload to, then a record, then a DAG run. Each step is safe to repeat."""

from __future__ import annotations

import logging
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gas.errors import Conflict, InputError, NotFound, Unavailable, UploadTooLarge
from gas.job import DAG_ID, JOB_ID, Job, JobStatus, StoredObject, job_to_json, new_job_id
from gas.job_log import about
from gas.profiles_table import Profile, Tier

if TYPE_CHECKING:
    from gas.services import Services
    from gas.settings import Settings

__all__ = [
    "DAG_ID",
    "NotStarted",
    "Upload",
    "begin_upload",
    "check_size",
    "clean_file_name",
    "job_to_json",
    "rename",
    "run_again",
    "submit",
    "upload_limit_bytes",
]

log = logging.getLogger(__name__)

FILE_NAME_CHARACTERS = 200
#: The input of a job before anybody has looked what lies in S3.
NOT_SEEN = StoredObject(bucket="", key="", version_id="", sha256="", size_bytes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Where and how one file may be put: a form for a browser, good for ``expires_in_s`` seconds."""

    job_id: str
    url: str
    fields: dict[str, str]
    max_bytes: int
    expires_in_s: int


class NotStarted(Unavailable):
    """The job is recorded and safe, but Airflow could not be told; ``job`` is the PENDING record."""

    def __init__(self, job: Job) -> None:
        super().__init__(
            "your job is recorded, but the workflow engine does not answer just now, so it waits as PENDING; "
            "it starts as soon as you submit it again, and nothing is done twice"
        )
        self.job = job


def upload_limit_bytes(settings: Settings, profile: Profile) -> int:
    """The largest file, in stored bytes, that the person's plan allows."""
    premium = profile.tier is Tier.PREMIUM
    return settings.premium_upload_limit_bytes if premium else settings.free_upload_limit_bytes


def check_size(services: Services, profile: Profile, size_bytes: int) -> None:
    """Refuse a file that the person's plan does not allow.

    :raises InputError: when it is empty.
    :raises UploadTooLarge: when it is over the limit.
    """
    if size_bytes <= 0:
        raise InputError("the file is empty; choose a VCF with a header and variants")
    if size_bytes > upload_limit_bytes(services.settings, profile):
        raise _too_large(services.settings, profile, size_bytes)


def begin_upload(
    services: Services,
    *,
    profile: Profile,
    file_name: str,
    size_bytes: int,
    reference: str,
    job_id: str | None = None,
) -> Upload:
    """Refuse early what would be refused later, then make a link for one upload. Nothing is recorded yet.

    :param job_id: of the job that is to be; one is made where it is left out.
    :raises InputError: for a file name that is none, or an empty file.
    :raises ReferenceProblem: when the reference is not installed; the sentence says which are.
    :raises UploadTooLarge: when ``size_bytes`` is over the plan's limit.
    """
    clean_file_name(file_name)
    services.references.get(reference)
    check_size(services, profile, size_bytes)
    limit = upload_limit_bytes(services.settings, profile)
    job_id = job_id or new_job_id()
    form = services.objects.presigned_upload(user_id=profile.user_id, job_id=job_id, max_bytes=limit)
    return Upload(
        job_id=job_id,
        url=form["url"],
        fields=form["fields"],
        max_bytes=limit,
        expires_in_s=services.settings.upload_link_s,
    )


def submit(
    services: Services,
    *,
    profile: Profile,
    job_id: str,
    file_name: str,
    reference: str,
    tags: Mapping[str, str] | None = None,
    origin_job_id: str | None = None,
    previous_job_id: str | None = None,
    now: Callable[[], float] = time.time,
) -> Job:
    """Record the job of an uploaded file, then ask for its DAG run. Submitting again is safe and finishes the work.

    What counts is the stored object, whatever the browser said of it.

    :param tags: for a program to remember by.
    :param origin_job_id: of the job that is annotated again, with ``previous_job_id``, that of the result to compare.
    :raises InputError: when nothing was uploaded, or the file name or job id is none.
    :raises ReferenceProblem: when the reference is not installed.
    :raises UploadTooLarge: when the object is over the plan's limit; the object is deleted.
    :raises Conflict: when the job id belongs to somebody else.
    :raises NotStarted: when the job is recorded and Airflow does not answer.
    """
    if not JOB_ID.fullmatch(job_id):
        raise InputError("this is not a job id that GAS gave out; begin a new upload")
    job = _recorded(
        services,
        profile,
        Job(
            job_id=job_id,
            user_id=profile.user_id,
            input_file_name=clean_file_name(file_name),
            reference=reference,
            submit_time=int(now()),
            job_status=JobStatus.PENDING,
            input=NOT_SEEN,
            tags=tags or {},
            origin_job_id=origin_job_id,
            previous_job_id=previous_job_id,
        ),
    )
    if job.job_status is not JobStatus.PENDING:
        return job
    try:
        services.airflow.submit(DAG_ID, run_id=job_id, conf={"job_id": job_id, "user_id": job.user_id})
    except Unavailable as error:
        with about(job_id):
            log.warning("job %s is recorded and could not be started: %s", job_id, error)
        raise NotStarted(job) from error
    return job


def run_again(
    services: Services,
    *,
    profile: Profile,
    source: Job,
    job_id: str,
    reference: str | None = None,
    previous_job_id: str | None = None,
    now: Callable[[], float] = time.time,
) -> Job:
    """Make a new job of a job that has ended: on a copy of its stored input, so that either may be deleted.

    Doing it again under the same new id is safe and finishes the work.

    :param source: the person's own job.
    :param job_id: of the new job.
    :param reference: the one of ``source`` when ``None``.
    :param previous_job_id: of the result that the new one is compared with, where it is a re-annotation.
    :raises Conflict: when ``source`` has not ended, or the new id is taken.
    :raises InputError: when the input is no longer there.
    :raises ReferenceProblem: when the reference is not installed.
    :raises UploadTooLarge: when the input is over what the plan allows now.
    :raises NotStarted: when the job is recorded and Airflow does not answer.
    """
    if not source.job_status.ended:
        raise Conflict(f"the job is {source.job_status}; it can be run again once it has ended")
    wanted = reference or source.reference
    services.references.get(wanted)
    if source.input.size_bytes > upload_limit_bytes(services.settings, profile):
        raise _too_large(services.settings, profile, source.input.size_bytes)
    if not JOB_ID.fullmatch(job_id) or job_id == source.job_id:
        raise InputError("the new job needs an id of its own; open the form anew")
    if services.objects.head_input(user_id=profile.user_id, job_id=job_id) is None:
        services.objects.copy_input(source.input, user_id=profile.user_id, job_id=job_id)
    return submit(
        services,
        profile=profile,
        job_id=job_id,
        file_name=source.input_file_name,
        reference=wanted,
        origin_job_id=source.job_id if previous_job_id else None,
        previous_job_id=previous_job_id,
        now=now,
    )


def rename(services: Services, *, job_id: str, user_id: str, file_name: str) -> Job:
    """Give a person's own job's file another name to show. Repeating it is safe.

    :raises InputError: when it is no name that can be shown.
    :raises NotFound: when the job is not the person's.
    """
    return services.jobs.rename(job_id, user_id, clean_file_name(file_name))


def clean_file_name(file_name: str) -> str:
    """The name to show for an upload: the last part of what the browser sent.

    :raises InputError: when it is blank, longer than 200 characters, or holds control characters.
    """
    name = file_name.replace("\\", "/").rpartition("/")[2].strip()
    if not name:
        raise InputError("the file has no name; give it one that ends in .vcf, .vcf.gz or .bcf")
    if len(name) > FILE_NAME_CHARACTERS:
        raise InputError(f"the file name is longer than {FILE_NAME_CHARACTERS} characters; shorten it")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in name):
        raise InputError("the file name holds characters that cannot be shown; rename the file")
    return name


def _recorded(services: Services, profile: Profile, job: Job) -> Job:
    """The job's record, written now unless it is there already; the input is what lies in S3."""
    services.references.get(job.reference)
    stored = services.objects.head_input(user_id=profile.user_id, job_id=job.job_id)
    limit = upload_limit_bytes(services.settings, profile)
    if stored is None or stored.size_bytes > limit:
        with suppress(NotFound):  # recorded long ago: its input may be gone, or the plan smaller, since
            return services.jobs.owned(job.job_id, profile.user_id)
    if stored is None:
        raise InputError("the file has not arrived; upload it, then submit again")
    if stored.size_bytes > limit:
        services.objects.delete_version(stored)
        raise _too_large(services.settings, profile, stored.size_bytes)
    return services.jobs.create(replace(job, input=stored))


def _too_large(settings: Settings, profile: Profile, size_bytes: int) -> UploadTooLarge:
    limit = upload_limit_bytes(settings, profile)
    said = f"the file has {_size(size_bytes)} and the {profile.tier} plan takes at most {_size(limit)}"
    if profile.tier is Tier.FREE and size_bytes <= settings.premium_upload_limit_bytes:
        return UploadTooLarge(f"{said}; upgrade to premium for up to {_size(settings.premium_upload_limit_bytes)}")
    return UploadTooLarge(f"{said}; compress it with bgzip, or split it")


def _size(size_bytes: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.4g} {unit}"
    return f"{size_bytes} bytes"
