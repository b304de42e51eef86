"""What results cost that wait, for their delay or for their retrieval, on a live stack."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from jobs import Bench, Input, told, until
from livestack import LiveStack, Person, TaskInstance
from standin import delete_items, waiting_items, write_items

from gas.archive import Outcome, transfer
from gas.aws import Aws
from gas.job import ArchiveBackend, Job, StorageState
from gas.local import contents
from gas.provision import provision
from gas.references import SARS_COV_2, demo_vcf
from gas.services import Services, build

PERSONS = 100
#: Results that wait come due so late that nothing takes them while it is measured.
DUE_IN_S = 3600
SHORT_DELAY_S = 10
#: Each look costs the stack about a tenth of a second of a processor.
WATCH_S = 0.5
SAMPLES = 10
#: After the last retrieval was asked for, its task is still about to give its worker slot back.
SETTLED_S = 2.0


def measure_annotation(stack: LiveStack, *, waiting: int, rounds: int) -> None:
    """Annotate jobs with many results waiting for their delay and with none, and count the DAG runs meanwhile."""
    began = time.monotonic()
    bench = Bench(stack.layout)
    small = Input(path=demo_vcf(), reference=SARS_COV_2)
    for _ in range(3):
        bench.one_job(small)
    alone = [bench.one_job(small) for _ in range(rounds)]
    job_ids = fill(stack, waiting)
    try:
        beside = [bench.one_job(small) for _ in range(2 * rounds)]
        expected = stack.services.settings.waiting_runs
        # As many runs as there will ever be wait when the stack has been up for the delay.
        time.sleep(max(0.0, stack.delay_s - (time.monotonic() - began)))
        with suppress(TimeoutError):
            until(lambda: stack.airflow.running()["archive"] >= expected, every_s=1, patience_s=30)
        counts = []
        for _ in range(SAMPLES):
            counts.append(stack.airflow.running())
            time.sleep(1)
    finally:
        empty(stack, job_ids)
    alone += [bench.one_job(small) for _ in range(rounds)]
    beside_s, alone_s = statistics.median(beside), statistics.median(alone)
    told(
        f"annotate, submit to COMPLETED, p50, with {waiting} results waiting, over none",
        beside_s / alone_s,
        "<= 1.2",
        waiting_s=beside_s,
        alone_s=alone_s,
        rounds=2 * rounds,
    )
    most = max(counts, key=lambda count: count.total())
    told(f"DAG runs in state running with {waiting} results waiting", most.total(), "<= 20", **most)


def fill(stack: LiveStack, count: int) -> list[str]:
    """Let so many results of free people wait for their delay; the ids of their jobs."""
    settings = stack.services.settings
    due_since = int(time.time()) + DUE_IN_S
    job_ids = []
    for number in range(PERSONS):
        user_id = str(uuid.uuid4())
        stack.services.profiles.ensure(user_id, name=f"Person {number}", email=f"{number}@gas.invalid")
        each = count // PERSONS + (number < count % PERSONS)
        items = waiting_items(each, user_id=user_id, bucket=settings.results_bucket, due_since=due_since)
        write_items(_aws(stack), settings.annotations_table, items)
        job_ids += [item["job_id"] for item in items]
    return job_ids


def empty(stack: LiveStack, job_ids: list[str]) -> None:
    """Take them away again."""
    delete_items(_aws(stack), stack.services.settings.annotations_table, job_ids)


@dataclass(kw_only=True)
class Waits:
    """What was seen of the tasks that wait while all retrievals went on."""

    held: int = 0
    """Tasks that were running, and so held a worker slot, in two looks one after the other."""
    deferred: int = 0
    occupied: list[int] = field(default_factory=list)


def measure_restore(stack: LiveStack, user_id: str, backend: ArchiveBackend, *, results: int) -> None:
    """Archive a person's results, upgrade, and watch the waits and the way back."""
    person = Person(stack.layout, user_id)
    services = hasty(stack, backend)
    job_ids = archived(stack, services, person, count=results)
    person.upgrade()
    asked = retrievals(services, job_ids)
    waits = watched(stack, until_s=min(asked.values()) + stack.retrieval_s)
    back_s = sorted(seen - asked[job_id] - stack.retrieval_s for job_id, seen in returned(person, job_ids).items())
    told(
        f"worker slots held by waiting: {waits.deferred} waits, {backend}",
        waits.held,
        "0",
        waits_deferred=waits.deferred,
        occupied_slots_p50=statistics.median(waits.occupied),
    )
    told(
        f"from a finished retrieval to available, p50 of {results}, {backend}, seconds",
        statistics.median(back_s),
        "<= 10",
        least_s=back_s[0],
        most_s=back_s[-1],
    )


def hasty(stack: LiveStack, backend: ArchiveBackend) -> Services:
    """The stack's services with the shortest delay: its own archive would be waited for in vain."""
    settings = stack.services.settings.model_copy(update={"archive": backend, "free_result_ttl_s": SHORT_DELAY_S})
    session = contents.session(stack.layout)
    for _ in provision(settings, session=session, endpoint_url=stack.layout.aws_url):
        pass  # the generator works as it is read
    return build(settings, session=session, endpoint_url=stack.layout.aws_url)


def archived(stack: LiveStack, services: Services, person: Person, *, count: int) -> list[str]:
    """Annotate and archive so many of the person's jobs; their ids."""
    bench = Bench(stack.layout)
    bench.profile = services.profiles.get(person.user_id)
    small = Input(path=demo_vcf(), reference=SARS_COV_2)
    job_ids = [bench.uploaded(small) for _ in range(count)]
    for job_id in job_ids:
        bench.submitted(small, job_id)
    for job_id in job_ids:
        until(lambda job_id=job_id: bench.completed(job_id), every_s=WATCH_S)
    time.sleep(SHORT_DELAY_S + 1)
    outcomes = transfer.archive_all(services, job_ids)
    if outcomes[Outcome.ARCHIVED] != count:
        raise RuntimeError(f"not all results were archived: {outcomes}")
    return job_ids


def retrievals(services: Services, job_ids: list[str]) -> dict[str, int]:
    """When each job's retrieval was asked for, in POSIX seconds: when all have been.

    The record has whole seconds, so that what is measured from here is up to a second too long.
    """
    asked: dict[str, int] = {}

    def complete() -> bool:
        asked.update({job.job_id: job.retrieval_time for job in _thawing(services, job_ids) if job.retrieval_time})
        return len(asked) == len(job_ids)

    until(complete, every_s=WATCH_S)
    return asked


def _thawing(services: Services, job_ids: list[str]) -> Iterable[Job]:
    return (job for job in services.jobs.find_many(job_ids) if job.storage_state is StorageState.THAWING)


def watched(stack: LiveStack, *, until_s: float) -> Waits:
    """Look at the tasks that wait, until the first retrieval ends at this time (POSIX seconds)."""
    time.sleep(SETTLED_S)
    seen = Waits()
    before: set[TaskInstance] = set()
    while time.time() < until_s - 1:
        running = stack.airflow.waits("running")
        seen.held = max(seen.held, len(running & before))
        before = running
        seen.deferred = max(seen.deferred, len(stack.airflow.waits("deferred")))
        seen.occupied.append(stack.airflow.occupied_slots())
        time.sleep(1)
    return seen


def returned(person: Person, job_ids: list[str]) -> dict[str, float]:
    """When each job's result was first told to be there, in POSIX seconds."""
    seen: dict[str, float] = {}

    def all_there() -> bool:
        states = person.storage_states()
        now = time.time()
        for job_id in job_ids:
            if states[job_id] == StorageState.HOT:
                seen.setdefault(job_id, now)
        return len(seen) == len(job_ids)

    until(all_there, every_s=WATCH_S)
    return seen


def _aws(stack: LiveStack) -> Aws:
    return Aws(
        region=stack.services.settings.region, session=contents.session(stack.layout), endpoint_url=stack.layout.aws_url
    )
