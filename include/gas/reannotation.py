"""Jobs of the past annotated again, on the reference in force now, and what that changed.

A job that a person submitted is an *origin*. Its re-annotation is a new job on a copy of its input, whose id follows
from the origin's id and the checksums of the reference: however often and in whatever order it is asked for, there is
one for each state of the reference. The old result stays as it is. When the new one is done, the digests of both are
compared (see :mod:`gas.comparison`), so that nothing has to come back from the archive.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gas import comparison, submission
from gas.comparison import Comparison
from gas.errors import Conflict, GasError, InputError, NotFound, ReferenceProblem, UploadTooLarge
from gas.job import Job, JobStatus, Output, StorageState
from gas.job_log import about
from gas.references import checksum_of

if TYPE_CHECKING:
    from gas.references import Reference
    from gas.services import Services

log = logging.getLogger(__name__)

#: Records read at a time.
BATCH = 100
#: Bytes of a summary that are read at most.
SUMMARY_BYTES = 4 << 20

_NEW_JOBS = uuid.UUID("5b8d0a60-6f0e-4b53-8d1c-7c1f8a1f3f57")


class Incomparable(Conflict):
    """Two results cannot be compared; the sentence says why."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one look at an interval came to: job ids, those of new jobs unless said otherwise."""

    begun: list[str] = field(default_factory=list)
    """Submitted now, or to be, where it is a dry run."""
    at_work: list[str] = field(default_factory=list)
    """New jobs that have not ended, those begun now among them."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Origins that cannot be annotated again, and why."""
    more: bool = False
    """Whether some are left for when there is room."""


def new_job_id(origin_job_id: str, checksum: str) -> str:
    """The id of the job that annotates ``origin_job_id`` again on the reference of this checksum."""
    return str(uuid.uuid5(_NEW_JOBS, f"{origin_job_id}/{checksum}"))


def reannotate(services: Services, *, after: int, before: int, at_once: int, dry_run: bool = False) -> Turn:
    """Begin to annotate again what was submitted in an interval, as far as there is room. Repeating it goes on.

    :param after: POSIX seconds; ``before`` is excluded.
    :param at_once: so many new jobs of this interval are at work at most.
    :param dry_run: only tell all that would be begun.
    """
    turn = Turn()
    for origin, reference, there in _candidates(services, after=after, before=before, left_out=turn.left_out):
        new_id = new_job_id(origin.job_id, reference.checksum)
        if there is not None:
            if not there.job_status.ended:
                turn.at_work.append(new_id)
            continue
        if origin.latest_job_id == new_id:  # it was there, and its owner has deleted it
            continue
        if not dry_run and len(turn.at_work) >= at_once:
            turn.more = True
            break
        previous = _previous(services, origin)
        if _made_on(services, previous) == reference.checksum:
            continue
        if dry_run:
            turn.begun.append(new_id)
            with about(origin.job_id):
                log.info("job %s (%s) would be annotated again", origin.job_id, origin.input_file_name)
            continue
        try:
            _begin(services, origin, previous, new_id)
        except (InputError, NotFound, UploadTooLarge, ReferenceProblem) as error:
            turn.left_out[origin.job_id] = str(error)
            continue
        turn.begun.append(new_id)
        turn.at_work.append(new_id)
        with about(origin.job_id):
            log.info("job %s (%s) is annotated again as job %s", origin.job_id, origin.input_file_name, new_id)
    for job_id, why in turn.left_out.items():
        with about(job_id):
            log.warning("job %s cannot be annotated again: %s", job_id, why)
    return turn


def changes(services: Services, job: Job, *, digest: Path | None = None, named: int = comparison.NAMED) -> Comparison:
    """What a re-annotation changed, from the digests of both results.

    :param job: the new one.
    :param digest: its digest, where that is at hand.
    :param named: how many variants are named at most.
    :raises NotFound: when it is no re-annotation, or not done.
    :raises Incomparable: when one of the results has no digest any more.
    """
    if job.previous_job_id is None:
        raise NotFound("this job is no re-annotation of an earlier one, so there is nothing to compare it with")
    previous = services.jobs.find(job.previous_job_id)
    if previous is None or previous.storage_state is StorageState.DELETING or previous.user_id != job.user_id:
        raise Incomparable("the earlier result was deleted, so nothing can be compared with it")
    with TemporaryDirectory(prefix="gas-changes-") as made:
        folder = Path(made)
        after = digest or _digest(services, job, folder / "after")
        return comparison.compare(_digest(services, previous, folder / "before"), after, named=named)


def _digest(services: Services, job: Job, path: Path) -> Path:
    """The job's digest; of a result without one it is made, where its table can be read."""
    kept = job.outputs.get(Output.DIGEST)
    table = job.outputs.get(Output.TABLE)
    try:
        if kept is not None:
            services.objects.download(kept, path)
            return path
        if table is not None and job.readable(Output.TABLE):
            table_path = path.with_suffix(".table")
            services.objects.download(table, table_path)
            comparison.write_digest(table_path, path)
            return path
    except InputError as error:  # it moved to the archive, or was deleted, meanwhile
        raise Incomparable(f"the result of job {job.job_id} is no longer there to be compared") from error
    if not job.outputs:
        raise NotFound("there is nothing to compare yet: the job is not done")
    raise Incomparable(
        "the earlier result is in the archive, from a time when no digest was kept: it can be compared once it is back"
    )


def _candidates(
    services: Services, *, after: int, before: int, left_out: dict[str, str]
) -> Iterator[tuple[Job, Reference, Job | None]]:
    """Each origin of the interval with the reference in force, and its re-annotation on that, where there is one."""
    references: dict[str, Reference | None] = {}
    job_ids = services.jobs.submitted_between(after, before)
    while batch := list(islice(job_ids, BATCH)):
        jobs = [job for job in services.jobs.find_many(batch) if _repeatable(job)]
        parents = {job.origin_job_id for job in jobs if job.origin_job_id}
        live = {job.job_id for job in services.jobs.find_many(sorted(parents)) if _repeatable(job)} if parents else ()
        origins = []
        for job in jobs:
            if job.origin_job_id in live:
                continue
            reference = _in_force(services, job.reference, references)
            if reference is None:
                left_out[job.job_id] = f"the reference {job.reference} is not installed"
            else:
                origins.append((job, reference))
        ids = [new_job_id(job.job_id, reference.checksum) for job, reference in origins]
        there = {job.job_id: job for job in services.jobs.find_many(ids)} if ids else {}
        for (job, reference), new_id in zip(origins, ids, strict=True):
            yield job, reference, there.get(new_id)


def _repeatable(job: Job) -> bool:
    return job.job_status is JobStatus.COMPLETED and job.storage_state is not StorageState.DELETING


def _in_force(services: Services, name: str, known: dict[str, Reference | None]) -> Reference | None:
    if name not in known:
        try:
            known[name] = services.references.get(name)
        except ReferenceProblem:
            known[name] = None
    return known[name]


def _previous(services: Services, origin: Job) -> Job:
    """The newest result of the origin's input that is there: what a person knows so far."""
    if origin.latest_job_id:
        latest = services.jobs.find(origin.latest_job_id)
        if latest is not None and _repeatable(latest):
            return latest
    return origin


def _begin(services: Services, origin: Job, previous: Job, new_id: str) -> None:
    try:
        submission.run_again(
            services,
            profile=services.profiles.get(origin.user_id),
            source=origin,
            job_id=new_id,
            previous_job_id=previous.job_id,
        )
    except submission.NotStarted as error:
        with about(new_id):
            log.warning("job %s: %s", new_id, error)  # it is recorded: reconcile starts it
    services.jobs.remember_latest(origin.job_id, new_id)


def _made_on(services: Services, job: Job) -> str | None:
    """The checksum of the reference that a result was made on; ``None`` where nothing tells."""
    if job.made_on is not None:
        return job.made_on
    try:  # its record is from before checksums were kept: its summary tells
        text = services.objects.read_text(job.outputs[Output.SUMMARY], SUMMARY_BYTES)
        said: Mapping[str, Any] = json.loads(text)["provenance"]
        sources = [(s["name"], s["sha256"], s["info_fields"]) for s in said["sources"]]
        return checksum_of(said["reference"]["fasta_sha256"], said["reference"]["gff_sha256"], sources)
    except (GasError, ValueError, KeyError, TypeError):
        with about(job.job_id):
            log.info("job %s does not tell what it was made on", job.job_id)
        return None
