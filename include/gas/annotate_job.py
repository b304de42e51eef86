"""One job from its record to its result: what the worker task of the ``annotate`` DAG does.

The order makes every crash harmless. The attempt takes the job; what it puts lies under keys of its own; one
conditional write then makes the job COMPLETED and names those versions; only after it the topic is told. An attempt
that learns that it was overtaken deletes what it put. One that died, or whose commit went unanswered, deletes
nothing: whoever takes or ends the job next has fenced it for good, and so may delete everything it left.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from gas import annotation
from gas.annotation.limits import Limits
from gas.errors import Fenced, GasError, InputError, NotFound, ReferenceProblem
from gas.job import Job, JobStatus, Output, Progress, StorageState, StoredObject
from gas.jobs_table import Ended, JobsTable
from gas.notice import Kind
from gas.objects import OUTPUT_KEYS

if TYPE_CHECKING:
    from gas.services import Services
    from gas.settings import Settings

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
TROUBLE = (
    "GAS could not finish this job, and the trouble is on our side, not in your file. Submit the file again; "
    "if it happens again, give the operators the job's id"
)


def run(
    services: Services,
    *,
    job_id: str,
    attempt: str,
    user_id: str | None = None,
    processors: int | None = None,
    tick: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Annotate one job as this attempt. Safe to repeat, also after a death at any line.

    A job that has ended already is left as it is; one that completed is announced, if nobody did so yet. Of one that
    was deleted, whatever this attempt put is deleted too.

    :param attempt: a token that sorts after those of earlier attempts; see :mod:`gas.jobs_table`.
    :param user_id: the owner, for a job whose record may be gone by now.
    :param processors: how many the engine may use; the setting when ``None``.
    :param tick: a clock in seconds, for the pace of the progress reports.
    :returns: ``job_id``, ``job_status`` (COMPLETED, FAILED for bad input, or CANCELLED) and ``error``.
    :raises Fenced: when a later attempt has the job; what this one put is gone.
    :raises EngineError: when the engine failed on input that passed its check.
    :raises NotFound: when there is no such job, and no owner is given.
    """
    try:
        job = services.jobs.start(job_id, attempt)
    except Ended as ended:
        if ended.job.storage_state is StorageState.DELETING:
            _delete_attempts(services, ended.job.user_id, job_id, [*ended.job.attempts, attempt])
        return _outcome(_announced(services, ended.job))
    except NotFound:
        if user_id is None:
            raise
        return _deleted(services, user_id, job_id, attempt)
    _delete_attempts(services, job.user_id, job_id, [token for token in job.attempts if token != attempt])
    try:
        return _outcome(_announced(services, _worked(services, job, attempt, processors, tick)))
    except Exception as error:
        # Whatever went wrong: an attempt that was overtaken often stumbles over something else first.
        there = services.jobs.find(job_id)
        if there is None:
            return _deleted(services, job.user_id, job_id, attempt)
        at_work = there.job_status in (JobStatus.RUNNING, JobStatus.COMPLETED)
        if there.attempt == attempt and at_work and there.storage_state is not StorageState.DELETING:
            raise
        _delete_attempts(services, job.user_id, job_id, [attempt])
        if there.job_status.ended:
            log.info("job %s is %s already; nothing more to do", job_id, there.job_status)
            return _outcome(there)
        raise Fenced(f"attempt {attempt} of job {job_id} was overtaken by attempt {there.attempt}") from error


def give_up(services: Services, *, job_id: str, attempt: str, error: BaseException | None) -> Job | None:
    """After the last attempt: end the job as FAILED with a sentence, and clear away what its attempts left.

    :param error: what ended the attempt; ``None`` where the worker just died.
    :returns: the FAILED job; ``None`` where it had ended already, or a later attempt has it.
    """
    sentence, kind = (str(error), error.kind) if isinstance(error, GasError) else (TROUBLE, "internal")
    try:
        job = services.jobs.fail(job_id, attempt, sentence, kind)
    except (Ended, Fenced, NotFound) as refusal:
        log.info("nothing to give up: %s", refusal)
        return None
    _delete_attempts(services, job.user_id, job_id, job.attempts)
    shutil.rmtree(_job_folder(services.settings, job_id), ignore_errors=True)
    return job


class _Reporter:
    """Writes the engine's progress into the record, and stops the engine where the attempt no longer owns the job."""

    def __init__(self, jobs: JobsTable, job_id: str, attempt: str, tick: Callable[[], float]) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._attempt = attempt
        self._tick = tick
        self._next = tick() + REPORT_EVERY_S

    def __call__(self, progress: Progress) -> None:
        now = self._tick()
        if now < self._next:
            return
        self._next = now + REPORT_EVERY_S
        try:
            self._jobs.report(self._job_id, self._attempt, progress)
        except (BotoCoreError, ClientError):
            # Hours of work are not thrown away because one line of progress could not be written.
            log.warning("the progress of job %s could not be written", self._job_id, exc_info=True)


def _worked(services: Services, job: Job, attempt: str, processors: int | None, tick: Callable[[], float]) -> Job:
    """Do the work; the job is COMPLETED afterwards, or FAILED where the person's input is at fault."""
    try:
        with _scratch(services.settings, job.job_id, attempt) as folder:
            return _annotated(services, job, folder, attempt=attempt, processors=processors, tick=tick)
    except (InputError, ReferenceProblem) as error:
        log.warning("job %s ends as FAILED: %s", job.job_id, error)
        return services.jobs.fail(job.job_id, attempt, str(error), error.kind)


def _annotated(
    services: Services,
    job: Job,
    folder: Path,
    *,
    attempt: str,
    processors: int | None,
    tick: Callable[[], float],
) -> Job:
    settings = services.settings
    reference = services.references.get(job.reference)
    source = folder / "input"
    began = time.monotonic()
    input_sha256 = services.objects.download(job.input, source)
    downloaded = time.monotonic()
    result = annotation.annotate(
        source,
        folder / OUTPUT_KEYS[Output.VCF][0],
        reference=reference,
        file_name=job.input_file_name,
        processors=processors or settings.processors,
        limits=Limits(
            memory_bytes=settings.engine_memory_bytes,
            timeout_s=settings.engine_timeout_s,
            max_inflated_bytes=settings.max_inflated_bytes,
            max_inflation_ratio=settings.max_inflation_ratio,
        ),
        progress=_Reporter(services.jobs, job.job_id, attempt, tick),
        work_dir=folder,
        digest=True,
    )
    annotated = time.monotonic()
    files = {
        Output.VCF: result.vcf,
        Output.INDEX: result.index,
        Output.LOG: result.log,
        Output.SUMMARY: result.summary,
        Output.TABLE: result.table,
    }
    if result.digest is not None:
        files[Output.DIGEST] = result.digest
    changes, tell_of = _compared(services, job, result.digest)
    outputs = _uploaded(services, job, attempt, files)
    done = services.jobs.complete(
        job.job_id,
        attempt,
        outputs,
        result.counts,
        result.notes,
        input_sha256=input_sha256,
        made_on=reference.checksum,
        changes=changes,
        tell_of=tell_of,
    )
    log.info(
        "job %s: %.3f s to download, %.3f s to annotate (%s), %.3f s to upload and commit",
        job.job_id,
        downloaded - began,
        annotated - downloaded,
        ", ".join(f"{step} {seconds:.3f}" for step, seconds in result.timings.items()),
        time.monotonic() - annotated,
    )
    return done


def _compared(services: Services, job: Job, digest: Path | None) -> tuple[Mapping[str, Any] | None, Kind | None]:
    """What a re-annotation changed, for the record; and what its owner is told of: of no change, nothing."""
    if job.previous_job_id is None:
        return None, Kind.ENDED
    from gas import reannotation  # what compares results takes time to load, and few jobs need it

    try:
        counts = reannotation.changes(services, job, digest=digest, named=0).counts
    except reannotation.Incomparable as error:
        log.warning("job %s is not compared with job %s: %s", job.job_id, job.previous_job_id, error)
        return {"why_not": str(error)}, Kind.ENDED
    return counts.form(), Kind.CHANGED if counts.any else None


def _uploaded(services: Services, job: Job, attempt: str, files: Mapping[Output, Path]) -> dict[Output, StoredObject]:
    def put(output: Output) -> StoredObject:
        key = services.objects.output_key(output, user_id=job.user_id, job_id=job.job_id, attempt=attempt)
        return services.objects.upload(files[output], key, content_type=OUTPUT_KEYS[output][1])

    with ThreadPoolExecutor(len(files)) as threads:
        return dict(zip(files, threads.map(put, files), strict=True))


def _announced(services: Services, job: Job) -> Job:
    if job.storage_state is StorageState.HOT and not job.notified:
        services.events.job_completed(job)
        services.jobs.mark_notified(job.job_id)
    return job


def _deleted(services: Services, user_id: str, job_id: str, attempt: str) -> dict[str, Any]:
    """The record is gone: so is the job, and what this attempt put."""
    _delete_attempts(services, user_id, job_id, [attempt])
    return {"job_id": job_id, "job_status": JobStatus.CANCELLED.value, "error": None}


def _delete_attempts(services: Services, user_id: str, job_id: str, attempts: list[str] | tuple[str, ...]) -> None:
    """Delete every version these attempts put. Only for attempts that can no longer complete the job."""
    for attempt in attempts:
        for version in services.objects.attempt_versions(user_id=user_id, job_id=job_id, attempt=attempt):
            log.info("deleting %s, version %s, left by an attempt that lost", version.key, version.version_id)
            services.objects.delete_version(version)


@contextmanager
def _scratch(settings: Settings, job_id: str, attempt: str) -> Iterator[Path]:
    """A private folder for this attempt's files, removed at the end, as is what killed attempts left beside it here.

    Each attempt has its own: one that was overtaken may still be writing.
    """
    jobs_folder = _job_folder(settings, job_id)
    shutil.rmtree(jobs_folder, ignore_errors=True)
    folder = jobs_folder / attempt
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # a later attempt's folder may lie there by now
            jobs_folder.rmdir()


def _job_folder(settings: Settings, job_id: str) -> Path:
    return settings.scratch_folder / job_id


def _outcome(job: Job) -> dict[str, Any]:
    return {"job_id": job.job_id, "job_status": job.job_status.value, "error": job.error}
