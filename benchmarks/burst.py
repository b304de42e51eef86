"""Thousands of jobs at once, and people who upgrade in the middle of them, on a live stack."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from jobs import SUBMITTERS, Bench, Input, told, until
from livestack import LiveStack, Person
from people import signed_in
from waiting import SHORT_DELAY_S, hasty

from gas.archive import Outcome, transfer
from gas.job import ArchiveBackend, Job, JobStatus
from gas.references import SARS_COV_2, demo_vcf

READ_AT_ONCE = 100
WATCH_S = 5.0
#: A burst of 5,000 small jobs takes about an hour on two processors.
PATIENCE_S = 3 * 3600.0
#: People who upgrade before the burst, and in its middle.
UPGRADES = 5


def measure(stack: LiveStack, *, jobs: int) -> None:
    """Submit so many jobs at once; watch their ends, and how soon restores start meanwhile."""
    bench, small = Bench(stack.layout), Input(path=demo_vcf(), reference=SARS_COV_2)
    for _ in range(3):
        bench.one_job(small)
    persons = with_archived_results(stack, 2 * UPGRADES)
    idle_s = [upgraded(stack, person) for person in persons[:UPGRADES]]
    job_ids = [bench.uploaded(small) for _ in range(jobs)]
    with ThreadPoolExecutor(SUBMITTERS) as threads:
        submitted = [threads.submit(bench.submitted, small, job_id) for job_id in job_ids]
        beside_s = [
            in_middle(stack, person, submitted, part=(number + 2) / (UPGRADES + 3))
            for number, person in enumerate(persons[UPGRADES:])
        ]
    until(lambda: bench.airflow.unfinished("annotate") == 0, every_s=WATCH_S, patience_s=PATIENCE_S)
    report(stack, job_ids)
    told(
        f"an upgrade amid {jobs} jobs: seconds until its restore works, over an idle stack",
        statistics.median(beside_s) / statistics.median(idle_s),
        "<= 3",
        burst_s=statistics.median(beside_s),
        idle_s=statistics.median(idle_s),
        upgrades=UPGRADES,
    )


def with_archived_results(stack: LiveStack, count: int) -> list[Person]:
    """So many people with one result each, which is in the archive."""
    services, small = hasty(stack, ArchiveBackend.STORAGE_CLASS), Input(path=demo_vcf(), reference=SARS_COV_2)
    persons, job_ids = signed_in(stack, count), []
    for person in persons:
        bench = Bench(stack.layout)
        bench.profile = services.profiles.get(person.user_id)
        bench.one_job(small)
        job_ids += services.jobs.ids_of_user(person.user_id)
    time.sleep(SHORT_DELAY_S + 1)
    outcomes = transfer.archive_all(services, job_ids)
    if outcomes[Outcome.ARCHIVED] != count:
        raise RuntimeError(f"not all results were archived: {outcomes}")
    return persons


def in_middle(stack: LiveStack, person: Person, submitted: Sequence[Future[Job]], *, part: float) -> float:
    """:func:`upgraded`, when this part of the jobs has ended."""
    for future in submitted:
        future.result()
    left = (1 - part) * len(submitted)
    until(lambda: stack.airflow.unfinished("annotate") <= left, every_s=WATCH_S, patience_s=PATIENCE_S)
    return upgraded(stack, person)


def upgraded(stack: LiveStack, person: Person) -> float:
    """Let the person upgrade; seconds until the first task of the restore that this submits has started."""
    before = {run["dag_run_id"] for run in stack.airflow.runs("restore")}
    began = time.time()
    person.upgrade()
    started: list[float] = []

    def has_started() -> bool:
        for run in stack.airflow.runs("restore"):
            if run["dag_run_id"] not in before:
                tasks = stack.airflow.tasks("restore", run["dag_run_id"])
                started.extend(datetime.fromisoformat(at).timestamp() for task in tasks if (at := task["start_date"]))
        return bool(started)

    until(has_started, every_s=0.5)
    until(lambda: "THAWING" not in person.storage_states().values(), every_s=1)
    return min(started) - began


def found(stack: LiveStack, job_ids: Sequence[str]) -> list[Job]:
    """The jobs as they are."""
    some = (job_ids[first : first + READ_AT_ONCE] for first in range(0, len(job_ids), READ_AT_ONCE))
    return [job for ids in some for job in stack.services.jobs.find_many(ids)]


def report(stack: LiveStack, job_ids: Sequence[str]) -> None:
    """All ended well, none was done twice, and how many a minute ended early and late."""
    jobs = found(stack, job_ids)
    wrong = [job for job in jobs if job.job_status is not JobStatus.COMPLETED]
    twice = [job for job in jobs if len(job.attempts) != 1]
    if len(jobs) != len(job_ids) or wrong or twice:
        raise RuntimeError(f"{len(jobs)} jobs, {len(wrong)} of them not completed, {len(twice)} begun more than once")
    runs = [run["dag_run_id"] for run in stack.airflow.runs("annotate") if run["dag_run_id"] in set(job_ids)]
    if len(runs) != len(job_ids):
        raise RuntimeError(f"{len(runs)} runs of annotate for {len(job_ids)} jobs")
    ends = sorted(job.complete_time for job in jobs if job.complete_time)
    early_s, late_s = (ends[int(b * len(ends))] - ends[int(a * len(ends))] for a, b in ((0.1, 0.3), (0.7, 0.9)))
    some = 0.2 * len(ends)
    told(
        f"{len(ends)} jobs at once: jobs a minute late in the burst, over early",
        early_s / late_s,
        ">= 0.8",
        early_a_minute=60 * some / early_s,
        late_a_minute=60 * some / late_s,
        seconds=ends[-1] - min(job.submit_time for job in jobs),
    )
