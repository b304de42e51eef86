"""A result's way back from the archive: asked for, retrieved, verified, and only then is the cold copy let go."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gas.archive import (
    ArchiveGone,
    Earlier,
    Outcome,
    Retrieval,
    RetrievalGone,
    RetrievalStatus,
    RetrievalTier,
)
from gas.archive.due import jobs_of
from gas.archive.freeze import unarchive
from gas.archive.rebuild import rebuild
from gas.archive.trash import empty_trash
from gas.job import ArchiveBackend, Job, Output, StorageState, StoredObject
from gas.job_log import about
from gas.objects import OUTPUT_KEYS

if TYPE_CHECKING:
    from gas.services import Services

log = logging.getLogger(__name__)

#: How many sets of jobs a restore is cut into.
SETS = 16
#: Files of a thaw that a killed worker left are removed by the next one of the same job after this long, in seconds.
ABANDONED_S = 24 * 3600

DAMAGED = (
    "what came back from the archive differs from the SHA-256 that was recorded when the result was made; the copy in "
    "the archive was kept"
)


def begin_restore(services: Services, *, user_id: str, tier_version: int) -> list[list[str]]:
    """Start the way back of everything the person has in the archive, then clear the profile's ``restore_pending``.

    :param tier_version: of the upgrade; nothing is done where the tier has changed since.
    :returns: the THAWING jobs, in at most 16 sets.
    """
    profile = services.profiles.get(user_id)
    if profile.tier_version != tier_version:
        return []
    thawing = [job.job_id for job in jobs_of(services, user_id) if _begun(services, job, keep_s=None)]
    services.profiles.worked_off(profile)
    return [thawing[number::SETS] for number in range(min(SETS, len(thawing)))]


def begin_restore_job(services: Services, job_id: str, *, keep_s: int | None = None) -> bool:
    """Start the way back of one job, whatever its owner's plan; returns whether it is THAWING now.

    :param keep_s: how long to keep it hot before its delay begins; for a result that is hot, from now on.
    """
    job = services.jobs.find(job_id)
    if job is None:
        return False
    thawing = _begun(services, job, keep_s=keep_s)
    if not thawing and keep_s is not None:
        services.storage.date(job_id, due_since=services.storage.now() + keep_s)
    return thawing


def ask(services: Services, job_id: str) -> Retrieval | None:
    """Ask the archive for a THAWING job, unless it was asked; ``None`` where the job is not THAWING.

    :raises ArchiveGone: when the cold copy does not exist; the record says so.
    """
    retrievals = ask_all(services, [job_id])
    return retrievals[0] if retrievals else None


def ask_all(services: Services, job_ids: Sequence[str]) -> list[Retrieval]:
    """Ask the archive for each of these that is THAWING and was not asked for; returns all that are waited for.

    :raises ArchiveGone: the first that was met, after all others have been asked for.
    """
    earlier: dict[ArchiveBackend, Earlier] = {}
    asked: list[Retrieval] = []
    gone: list[ArchiveGone] = []
    for job in services.jobs.find_many(job_ids):
        try:
            retrieval = _asked(services, job, earlier)
        except ArchiveGone as error:
            if services.storage.trouble(job, str(error)):  # else it was deleted meanwhile, or is back
                with about(job.job_id):
                    log.exception("job %s cannot be brought back", job.job_id)
                gone.append(error)
            continue
        if retrieval is not None:
            asked.append(retrieval)
    if gone:
        raise gone[0]
    return asked


def retrievals_ready(services: Services, waiting: Sequence[Retrieval], *, turn: int = 0) -> dict[str, RetrievalStatus]:
    """How retrievals stand, by job id, in few calls.

    :param turn: the number of the poll. The storage class takes a call for each retrieval, so it looks at a few in
        each turn, at all in rotation, and those it did not look at are missing in the answer.
    """
    said: dict[str, RetrievalStatus] = {}
    for backend, archive in services.archives.items():
        mine = [retrieval for retrieval in waiting if retrieval.backend is backend]
        if mine:
            said |= archive.statuses(mine, turn=turn)
    return said


def thaw(services: Services, job_id: str) -> Outcome:
    """Bring a retrieved result back, as far as it goes without waiting.

    A job that nobody asked the archive for is asked for; one whose retrieval is gone, again. Either is WAITING then.
    One that is HOT already is rid of what a thaw that died may have left.

    :raises ArchiveGone: when the cold copy does not exist; the record says so.
    """
    job = services.jobs.find(job_id)
    if job is not None and job.storage_state is StorageState.HOT:
        empty_trash(services, job_id, sweep=True)
        return Outcome.NOTHING
    while job is not None and job.storage_state is StorageState.THAWING:
        retrieval = _retrieval(job)
        if retrieval is None:
            return Outcome.WAITING if ask(services, job_id) else Outcome.NOTHING
        match services.archives[retrieval.backend].status(retrieval):
            case RetrievalStatus.WAITING:
                return Outcome.WAITING
            case RetrievalStatus.GONE:
                services.storage.forget_retrieval(job)
            case RetrievalStatus.READY:
                outcome = _brought_back(services, job, retrieval)
                if outcome is not None:
                    return outcome
        job = services.jobs.find(job_id)
    return Outcome.NOTHING


def _begun(services: Services, job: Job, *, keep_s: int | None) -> bool:
    """Start from a consistent read, and again until the job is neither ARCHIVING nor ARCHIVED: is it THAWING now?"""
    current: Job | None = job
    while current is not None:
        match current.storage_state:
            case StorageState.ARCHIVING:
                unarchive(services, job.job_id)
                current = services.jobs.find(job.job_id)
            case StorageState.ARCHIVED:
                started = services.storage.thaw_start(job.job_id, keep_s=keep_s)
                if started:  # told by whose write it was: once at most
                    services.events.restore_begun(started)
                current = started or services.jobs.find(job.job_id)
            case StorageState.THAWING:
                return True
            case StorageState.HOT if current.trash:
                empty_trash(services, job.job_id)
                return False
            case _:
                return False
    return False


def _asked(services: Services, job: Job, earlier: dict[ArchiveBackend, Earlier]) -> Retrieval | None:
    """Wait for what is recorded; else ask, and record it. ``earlier`` is looked up once for many jobs."""
    current: Job | None = job
    while current is not None and current.storage_state is StorageState.THAWING and current.archive_backend:
        retrieval = _retrieval(current)
        if retrieval is not None:
            return retrieval
        backend = current.archive_backend
        archive = services.archives[backend]
        if backend not in earlier:
            earlier[backend] = archive.earlier()
        retrieval_job_id, tier = archive.ask(current, earlier=earlier[backend])
        recorded = services.storage.retrieval(current, retrieval_job_id=retrieval_job_id, tier=tier)
        current = recorded or services.jobs.find(job.job_id)
    return None


def _retrieval(job: Job) -> Retrieval | None:
    """What the record says was asked for."""
    if not (job.retrieval_job_id and job.archive_backend and job.archive_token and job.archive_id):
        return None
    return Retrieval(
        job_id=job.job_id,
        backend=job.archive_backend,
        token=job.archive_token,
        archive_id=job.archive_id,
        retrieval_job_id=job.retrieval_job_id,
        tier=RetrievalTier(job.retrieval_tier or RetrievalTier.STANDARD),
        asked_at=job.retrieval_time or 0,
        size_bytes=job.outputs[Output.VCF].size_bytes,
    )


def _brought_back(services: Services, job: Job, retrieval: Retrieval) -> Outcome | None:
    """Fetch, verify, put and commit; ``None`` where the record has to be looked at again."""
    with _scratch(services, job.job_id) as folder:
        vcf = folder / OUTPUT_KEYS[Output.VCF][0]
        try:
            sha256 = services.archives[retrieval.backend].fetch(retrieval, vcf)
        except RetrievalGone as error:
            log.warning("%s; it is asked for again", error)
            services.storage.forget_retrieval(job)
            return None
        if sha256 != job.outputs[Output.VCF].sha256:
            log.error("job %s came back with SHA-256 %s, not %s", job.job_id, sha256, job.outputs[Output.VCF].sha256)
            if job.storage_error != DAMAGED:  # once more: it may have been the way, not the copy
                services.storage.forget_retrieval(job, damage=DAMAGED)
                return None
            return Outcome.DAMAGED
        files, trouble = rebuild(services, job, vcf)
        outputs = {output: _put(services, job, output, path) for output, path in files.items()}
    done = services.storage.thaw_commit(job, outputs, trouble=trouble)
    if done is None:
        there = services.jobs.find(job.job_id)
        if there is None or there.outputs.get(Output.VCF) != outputs[Output.VCF]:
            services.objects.delete_versions(outputs.values())
            return None
    if done is not None and job.restore_time is not None:
        services.metrics.timing("restore", services.storage.now() - job.restore_time)
    empty_trash(services, job.job_id)
    return Outcome.THAWED


def _put(services: Services, job: Job, output: Output, path: Path) -> StoredObject:
    """Back to its old key, or where its attempt would have put it. Other thaws put there too, so nothing is deleted."""
    old = job.outputs.get(output)
    key = old.key if old else f"{job.outputs[Output.VCF].key.rpartition('/')[0]}/{OUTPUT_KEYS[output][0]}"
    return services.objects.upload(path, key, content_type=OUTPUT_KEYS[output][1], alone=False)


@contextmanager
def _scratch(services: Services, job_id: str) -> Iterator[Path]:
    """A private folder, removed at the end; what killed thaws of this job left beside it long ago goes too."""
    base = services.settings.scratch_folder
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in base.glob(f"thaw-{job_id}-*"):
        if time.time() - left.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=base, prefix=f"thaw-{job_id}-") as folder:
        yield Path(folder)
