"""The annotate task under a fault in each of its AWS calls: whatever happens, a job ends once, with one result."""

from __future__ import annotations

import pytest

from gas.annotate_job import give_up, run
from gas.job import Job, JobStatus
from tests.faults.ground import GONE
from tests.faults.harness import (
    BODY,
    WRITES,
    Crash,
    Fault,
    Faults,
    Installation,
    conflict,
    crash,
    crash_after,
    drop,
    lose_answer,
    throttle,
)
from tests.faults.tally import count
from tests.faults.web import WebApp

#: Each call of an undisturbed run. A test below keeps it complete.
CALLS = [
    ("UpdateItem", 1),  # start
    ("GetObject", 1),
    *(("PutObject", n) for n in range(1, 7)),
    ("UpdateItem", 2),  # complete
    ("Publish", 1),
    ("UpdateItem", 3),  # mark_notified
]
EACH_CALL = pytest.mark.parametrize(("operation", "nth"), CALLS)
EACH_WRITE = pytest.mark.parametrize(("operation", "nth"), [call for call in CALLS if call[0] in WRITES])


def test_every_call_is_listed(installation: Installation, job: Job) -> None:
    """An undisturbed run makes exactly the calls that the other tests let fail."""
    faults = Faults()
    run(installation.worker(faults), job_id=job.job_id, attempt="0001-a")
    assert sorted((operation, n) for operation, count in faults.calls.items() for n in range(1, count + 1)) == sorted(
        CALLS
    )
    installation.assert_one_result(job.job_id)


@EACH_CALL
@pytest.mark.parametrize("fault", [crash, crash_after])
def test_crash_at_any_call_leaves_one_result(
    installation: Installation, job: Job, web: WebApp, operation: str, nth: int, fault: Fault
) -> None:
    """A worker that dies before or after any call is followed by one that finishes the job, with nothing left over.

    The web app gives the owner the whole result from the commit on, and none before.
    """
    count(f"{fault.__name__}, annotate", 1)
    web.serve(installation.worker())
    with pytest.raises(Crash):
        run(installation.worker(Faults(operation, nth, fault)), job_id=job.job_id, attempt="0001-a")
    committed = web.services.jobs.get(job.job_id).job_status is JobStatus.COMPLETED
    assert web.download(job) == (BODY if committed else GONE)
    run(installation.worker(), job_id=job.job_id, attempt="0002-b")
    assert web.download(job) == BODY
    installation.assert_one_result(job.job_id)


@EACH_CALL
@pytest.mark.parametrize("fault", [drop, lose_answer, throttle])
def test_trouble_at_any_call_is_ridden_out(
    installation: Installation, job: Job, operation: str, nth: int, fault: Fault
) -> None:
    """A dropped request, a lost answer or throttling at any call is retried inside the run, with one result."""
    ridden_out(installation, job, Faults(operation, nth, fault))


@EACH_WRITE
def test_conflict_at_any_write_is_ridden_out(installation: Installation, job: Job, operation: str, nth: int) -> None:
    """A transaction of somebody else's on the record is waited for, and is never taken for a lost job."""
    ridden_out(installation, job, Faults(operation, nth, conflict))


def ridden_out(installation: Installation, job: Job, faults: Faults) -> None:
    """The run goes on as if nothing had happened."""
    count(f"{faults.fault.__name__ if faults.fault else ''}, annotate", 1)
    assert run(installation.worker(faults), job_id=job.job_id, attempt="0001-a")["job_status"] == "COMPLETED"
    assert faults.calls[faults.operation] > faults.nth
    installation.assert_one_result(job.job_id)


@EACH_CALL
def test_crash_at_the_last_try_leaves_no_job_running(
    installation: Installation, job: Job, operation: str, nth: int
) -> None:
    """Where no further try comes, the job is COMPLETED if it was committed, else FAILED with nothing left over."""
    with pytest.raises(Crash):
        run(installation.worker(Faults(operation, nth, crash)), job_id=job.job_id, attempt="0006-f")
    given_up = give_up(installation.worker(), job_id=job.job_id, attempt="0006-f", error=None)
    there = installation.worker().jobs.get(job.job_id)
    if given_up is None:
        assert there.job_status is JobStatus.COMPLETED
        assert len(installation.result_versions()) == len(there.outputs)
    else:
        assert there.job_status is JobStatus.FAILED
        assert there.error
        assert installation.result_versions() == set()
