"""The record of jobs: conditional transitions, fencing, and pages."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from gas import jobs_table
from gas.errors import Conflict, Fenced, InputError, NotFound
from gas.job import TRANSITIONS, Job, JobStatus, Output, Progress, StorageState, StoredObject, new_job_id
from gas.jobs_table import Ended, JobsTable, Wanted
from gas.services import Services
from tests.fakes import ALICE, BOB, pending_job

FIRST, SECOND = "0001-a", "0002-b"
OUTPUTS = {
    output: StoredObject(bucket="gas-results", key=f"k/{output}", version_id=f"v-{output}", sha256="ab", size_bytes=3)
    for output in Output
}


@pytest.fixture
def jobs(services: Services) -> JobsTable:
    """An empty table."""
    return services.jobs


@pytest.fixture
def job(jobs: JobsTable) -> Job:
    """One PENDING job of Alice's."""
    return jobs.create(pending_job(job_id=new_job_id()))


def complete(jobs: JobsTable, job_id: str, attempt: str) -> Job:
    return jobs.complete(
        job_id, attempt, OUTPUTS, {"records": 2, "ts_tv": 2.5, "by_impact": {"HIGH": 1}}, ["note"], input_sha256="cd"
    )


def in_state(jobs: JobsTable, job_id: str, status: JobStatus) -> None:
    """Bring a PENDING job of Alice's into a state."""
    if status in (JobStatus.RUNNING, JobStatus.COMPLETED):
        jobs.start(job_id, FIRST)
    if status is JobStatus.COMPLETED:
        complete(jobs, job_id, FIRST)
    if status is JobStatus.FAILED:
        jobs.fail(job_id, None, "sorry", "internal")
    if status is JobStatus.CANCELLED:
        jobs.cancel(job_id, ALICE.user_id)


def test_record_holds_what_was_put(jobs: JobsTable, job: Job) -> None:
    """A job is read back as it was created."""
    assert jobs.get(job.job_id) == job


def test_life_of_a_job(jobs: JobsTable, job: Job) -> None:
    """From PENDING over progress to COMPLETED: the commit names outputs and starts the archival delay."""
    running = jobs.start(job.job_id, FIRST)
    assert (running.job_status, running.attempt, running.attempts) == (JobStatus.RUNNING, FIRST, (FIRST,))
    jobs.report(job.job_id, FIRST, Progress(stage="consequences", done=1, total=2))
    assert jobs.get(job.job_id).progress == Progress(stage="consequences", done=1, total=2)
    done = complete(jobs, job.job_id, FIRST)
    assert done == jobs.get(job.job_id)
    assert done.job_status is JobStatus.COMPLETED
    assert done.outputs == OUTPUTS
    assert done.counts == {"records": 2, "ts_tv": 2.5, "by_impact": {"HIGH": 1}}
    assert done.notes == ("note",)
    assert done.input.sha256 == "cd"
    assert done.storage_state is StorageState.HOT
    assert done.due_since == done.complete_time
    assert done.progress is None
    assert not done.notified
    assert done.is_open
    jobs.mark_notified(job.job_id)
    told = jobs.get(job.job_id)
    assert (told.notified, told.is_open) == (True, False)


def test_lists_of_what_is_to_do(jobs: JobsTable, job: Job) -> None:
    """A job is listed as open until somebody was told, and as due from its completion on."""
    assert list(jobs.open_ids()) == [job.job_id]
    assert list(jobs.due(before=1 << 33)) == []
    jobs.start(job.job_id, FIRST)
    done = complete(jobs, job.job_id, FIRST)
    assert done.due_since is not None
    assert list(jobs.open_ids()) == [job.job_id]
    jobs.mark_notified(job.job_id)
    assert list(jobs.open_ids()) == []
    assert list(jobs.due(before=done.due_since)) == []
    assert list(jobs.due(before=done.due_since + 1, after=done.due_since)) == [(ALICE.user_id, job.job_id)]
    assert list(jobs.due(before=done.due_since + 1, after=done.due_since + 1)) == []
    assert list(jobs.ids_of_user(ALICE.user_id)) == [job.job_id]


MOVES: dict[JobStatus, Callable[[JobsTable, str], object]] = {
    JobStatus.RUNNING: lambda jobs, job_id: jobs.start(job_id, SECOND),
    JobStatus.COMPLETED: lambda jobs, job_id: complete(jobs, job_id, FIRST),
    JobStatus.FAILED: lambda jobs, job_id: jobs.fail(job_id, SECOND, "sorry", "internal"),
    JobStatus.CANCELLED: lambda jobs, job_id: jobs.cancel(job_id, ALICE.user_id),
}


@pytest.mark.parametrize("before", JobStatus)
def test_only_legal_transitions_happen(jobs: JobsTable, before: JobStatus) -> None:
    """Of all moves from a state exactly those that TRANSITIONS names succeed; the others change nothing."""
    for after, move in MOVES.items():
        job = jobs.create(pending_job(job_id=new_job_id()))
        in_state(jobs, job.job_id, before)
        there = jobs.get(job.job_id)
        if after in TRANSITIONS[before]:
            move(jobs, job.job_id)
            assert jobs.get(job.job_id).job_status is after
        elif (before, after) == (JobStatus.COMPLETED, JobStatus.COMPLETED):
            assert move(jobs, job.job_id) == there  # the same attempt's commit, sent again
        elif (before, after) == (JobStatus.CANCELLED, JobStatus.CANCELLED):
            assert move(jobs, job.job_id) == there
        else:
            with pytest.raises(Conflict):
                move(jobs, job.job_id)
            assert jobs.get(job.job_id) == there


def test_create_twice_keeps_the_first(jobs: JobsTable, job: Job) -> None:
    """Creating a job again returns the record as it stands; with another's id it is refused."""
    jobs.start(job.job_id, FIRST)
    assert jobs.create(job).job_status is JobStatus.RUNNING
    with pytest.raises(Conflict):
        jobs.create(replace(job, user_id=BOB.user_id))


def test_absent_and_foreign_job_are_not_told_apart(jobs: JobsTable, job: Job) -> None:
    """Bob reads of Alice's job what he reads of one that never was."""
    absent = new_job_id()
    said = []
    for job_id in (job.job_id, absent):
        with pytest.raises(NotFound) as caught:
            jobs.owned(job_id, BOB.user_id)
        said.append(str(caught.value).replace(job_id, "ID"))
    assert said[0] == said[1]
    assert jobs.owned(job.job_id, ALICE.user_id) == job


@pytest.mark.parametrize("write", ["start", "report", "complete", "fail"])
def test_overtaken_attempt_is_fenced(jobs: JobsTable, job: Job, write: str) -> None:
    """Once a later attempt has the job, an earlier one can write nothing at all."""
    jobs.start(job.job_id, FIRST)
    jobs.start(job.job_id, SECOND)
    there = jobs.get(job.job_id)
    writes: dict[str, Callable[[], object]] = {
        "start": partial(jobs.start, job.job_id, FIRST),
        "report": partial(jobs.report, job.job_id, FIRST, Progress(stage="late")),
        "complete": partial(complete, jobs, job.job_id, FIRST),
        "fail": partial(jobs.fail, job.job_id, FIRST, "late", "internal"),
    }
    with pytest.raises(Fenced):
        writes[write]()
    assert jobs.get(job.job_id) == there
    assert there.attempts == (FIRST, SECOND)


def test_later_attempt_may_fail_what_an_earlier_left(jobs: JobsTable, job: Job) -> None:
    """A job left RUNNING by a dead worker is failed by the try that never got to start it."""
    jobs.start(job.job_id, FIRST)
    failed = jobs.fail(job.job_id, SECOND, "sorry", "internal")
    assert (failed.job_status, failed.error, failed.error_kind) == (JobStatus.FAILED, "sorry", "internal")
    assert jobs.fail(job.job_id, SECOND, "sorry", "internal") == failed
    with pytest.raises(Ended):
        complete(jobs, job.job_id, FIRST)


def test_each_write_may_be_sent_twice(jobs: JobsTable, job: Job) -> None:
    """A write whose answer was lost is recognised: start and complete give the same record the second time."""
    assert jobs.start(job.job_id, FIRST) == jobs.start(job.job_id, FIRST)
    assert complete(jobs, job.job_id, FIRST) == complete(jobs, job.job_id, FIRST)


def test_one_of_many_attempts_wins(jobs: JobsTable, job: Job) -> None:
    """Of attempts that complete at the same moment only the one that owns the job commits."""
    tokens = [f"{n:04d}-x" for n in range(8)]
    for token in tokens:
        jobs.start(job.job_id, token)

    def commit(token: str) -> str | None:
        try:
            return complete(jobs, job.job_id, token).attempt
        except Conflict:
            return None

    with ThreadPoolExecutor(len(tokens)) as threads:
        won = [token for token in threads.map(commit, tokens) if token]
    assert won == [tokens[-1]]


def test_pages_hold_each_job_once_newest_first(jobs: JobsTable) -> None:
    """Walking the cursor gives every job of the person once, also those submitted in the same second."""
    made = [jobs.create(pending_job(job_id=new_job_id(), submit_time=1_700_000_000 + n // 4)) for n in range(11)]
    jobs.create(pending_job(job_id=new_job_id(), user_id=BOB.user_id))
    seen: list[Job] = []
    cursor = None
    while True:
        page = jobs.of_user(ALICE.user_id, limit=3, cursor=cursor)
        seen += page.items
        cursor = page.cursor
        if cursor is None:
            break
        assert len(page.items) == 3
    assert {job.job_id for job in seen} == {job.job_id for job in made}
    assert len(seen) == len(made)
    times = [job.submit_time for job in seen]
    assert times == sorted(times, reverse=True)


def test_last_full_page_has_no_cursor(jobs: JobsTable) -> None:
    """A person whose jobs fill exactly one page is not offered an empty second one."""
    for _ in range(2):
        jobs.create(pending_job(job_id=new_job_id()))
    assert jobs.of_user(ALICE.user_id, limit=2).cursor is None


def test_status_filter_loses_no_row(jobs: JobsTable) -> None:
    """With a filter every matching job is found over the pages, however they are spread."""
    wanted = set()
    for n in range(10):
        job = jobs.create(pending_job(job_id=new_job_id(), submit_time=1_700_000_000 + n))
        if n % 3 == 0:
            in_state(jobs, job.job_id, JobStatus.FAILED)
            wanted.add(job.job_id)
    found: list[str] = []
    cursor = None
    while True:
        page = jobs.of_user(ALICE.user_id, limit=2, cursor=cursor, wanted=Wanted(status=JobStatus.FAILED))
        found += [job.job_id for job in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(wanted)


def found_by(jobs: JobsTable, wanted: Wanted, *, limit: int = 2) -> tuple[list[str], int]:
    """The names of the jobs that a search finds over all its pages, and how many pages that took."""
    names: list[str] = []
    cursor, pages = None, 0
    while cursor is not None or not pages:
        page = jobs.of_user(ALICE.user_id, limit=limit, cursor=cursor, wanted=wanted)
        names += [job.input_file_name for job in page.items]
        cursor, pages = page.cursor, pages + 1
        assert (page.reached is None) == (cursor is None)
    return names, pages


NOON = 1_700_000_000


@pytest.fixture
def several(jobs: JobsTable) -> list[str]:
    """Jobs of different names, references, states and hours, newest first; and one of Bob's."""
    names = ["Trio 1.VCF", "trio 2.vcf.gz", "STRASSE.vcf", "100%_done.vcf", "cohort.vcf"]
    for hour, name in enumerate(names):
        made = replace(pending_job(job_id=new_job_id(), submit_time=NOON - hour * 3600), input_file_name=name)
        jobs.create(replace(made, reference="grch38") if hour == 1 else made)
        if hour == 2:
            in_state(jobs, made.job_id, JobStatus.COMPLETED)
        if hour == 3:
            in_state(jobs, made.job_id, JobStatus.FAILED)
    jobs.create(replace(pending_job(job_id=new_job_id(), user_id=BOB.user_id), input_file_name="trio 3.vcf"))
    return names


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["Trio 1.VCF", "trio 2.vcf.gz", "STRASSE.vcf", "100%_done.vcf", "cohort.vcf"]),
        (Wanted(name="tRiO"), ["Trio 1.VCF", "trio 2.vcf.gz"]),
        (Wanted(name="straße"), ["STRASSE.vcf"]),
        (Wanted(name="%_"), ["100%_done.vcf"]),
        (Wanted(name="nobody"), []),
        (Wanted(status=JobStatus.FAILED), ["100%_done.vcf"]),
        (Wanted(storage=StorageState.HOT), ["STRASSE.vcf"]),
        (Wanted(storage=StorageState.ARCHIVED), []),
        (Wanted(reference="grch38"), ["trio 2.vcf.gz"]),
        (Wanted(name="trio", reference="sars-cov-2"), ["Trio 1.VCF"]),
        (Wanted(after=NOON - 3600), ["Trio 1.VCF", "trio 2.vcf.gz"]),
        (Wanted(before=NOON - 3600), ["STRASSE.vcf", "100%_done.vcf", "cohort.vcf"]),
        (Wanted(after=NOON - 3 * 3600, before=NOON, status=JobStatus.PENDING), ["trio 2.vcf.gz"]),
    ],
)
def test_search_finds_what_is_wanted(jobs: JobsTable, several: list[str], wanted: Wanted, expected: list[str]) -> None:
    """By a part of the name in any case, status, place, reference and time, also together, one's own jobs alone."""
    assert found_by(jobs, wanted)[0] == expected


def test_search_looks_at_so_many_jobs_a_page(
    jobs: JobsTable, several: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a search ends after a bounded look, also without any find, and the next one goes on from there."""
    monkeypatch.setattr(jobs_table, "LOOKED_AT", 2)
    first = jobs.of_user(ALICE.user_id, limit=1, wanted=Wanted(name="cohort"))
    assert (first.items, first.reached) == ([], NOON - 3600)
    assert found_by(jobs, Wanted(name="cohort"), limit=1) == (["cohort.vcf"], 3)


def test_renamed_job_is_found_by_its_new_name(jobs: JobsTable, job: Job) -> None:
    """The name that is searched is the name that is shown; another person can give none."""
    renamed = jobs.rename(job.job_id, ALICE.user_id, "Wuhan.vcf")
    assert jobs.get(job.job_id) == renamed == replace(job, input_file_name="Wuhan.vcf")
    assert found_by(jobs, Wanted(name="wuhan"))[0] == ["Wuhan.vcf"]
    assert found_by(jobs, Wanted(name="cohort"))[0] == []
    with pytest.raises(NotFound):
        jobs.rename(job.job_id, BOB.user_id, "mine.vcf")


def test_cursor_of_another_search_is_refused(jobs: JobsTable, several: list[str]) -> None:
    """A cursor that lies outside the days that are looked at is bad input, not an error of AWS."""
    cursor = jobs.of_user(ALICE.user_id, limit=1).cursor
    with pytest.raises(InputError):
        jobs.of_user(ALICE.user_id, cursor=cursor, wanted=Wanted(before=NOON - 3600))


@pytest.mark.parametrize("cursor", ["x", "AAAA", "MDAxNzAwMDAwMDAwIw==", "é"])
def test_made_up_cursor_is_refused(jobs: JobsTable, cursor: str) -> None:
    """A cursor that GAS did not make is bad input, not an error of AWS."""
    with pytest.raises(InputError):
        jobs.of_user(ALICE.user_id, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_page_size_is_bounded(jobs: JobsTable, limit: int) -> None:
    """A page holds 1 to 100 jobs."""
    with pytest.raises(InputError):
        jobs.of_user(ALICE.user_id, limit=limit)


def test_record_fits_its_item_whatever_the_counts(jobs: JobsTable, job: Job) -> None:
    """Counts far beyond what an item holds cost their longest tables, never the commit."""
    jobs.start(job.job_id, FIRST)
    counts = {"records": 5, "by_contig": {f"scaffold_{n}": n for n in range(50_000)}}
    done = jobs.complete(job.job_id, FIRST, OUTPUTS, counts, ["n" * 10_000] * 1000)
    assert done.counts == {"records": 5}
    assert len(done.notes) == 100
