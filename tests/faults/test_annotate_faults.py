"""The annotate task under a fault in each of its AWS calls: whatever happens, a job ends once, with one result."""

from __future__ import annotations

import pytest

from gas.annotate_job import give_up, run
from gas.job import Job, JobStatus
from tests.faults.harness import Crash, Fault, Faults, Installation, crash, crash_after, drop, lose_answer, throttle

#: Each call of an undisturbed run. A test below keeps it complete.
CALLS = [
    ("UpdateItem", 1),  # start
    ("GetObject", 1),
    *(("PutObject", n) for n in range(1, 6)),
    ("UpdateItem", 2),  # complete
    ("Publish", 1),
    ("UpdateItem", 3),  # mark_notified
]
EACH_CALL = pytest.mark.parametrize(("operation", "nth"), CALLS)


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
    installation: Installation, job: Job, operation: str, nth: int, fault: Fault
) -> None:
    """A worker that dies before or after any call is followed by one that finishes the job, with nothing left over."""
    with pytest.raises(Crash):
        run(installation.worker(Faults(operation, nth, fault)), job_id=job.job_id, attempt="0001-a")
    run(installation.worker(), job_id=job.job_id, attempt="0002-b")
    installation.assert_one_result(job.job_id)


@EACH_CALL
@pytest.mark.parametrize("fault", [drop, lose_answer, throttle])
def test_trouble_at_any_call_is_ridden_out(
    installation: Installation, job: Job, operation: str, nth: int, fault: Fault
) -> None:
    """A dropped request, a lost answer or throttling at any call is retried inside the run, with one result."""
    faults = Faults(operation, nth, fault)
    assert run(installation.worker(faults), job_id=job.job_id, attempt="0001-a")["job_status"] == "COMPLETED"
    assert faults.calls[operation] > nth
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
