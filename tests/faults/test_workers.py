"""Real worker processes that are killed, or stopped and woken up too late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gas.annotate_job import run
from gas.job import Job
from tests.faults.harness import Installation
from tests.faults.worker import FENCED

PATIENCE_S = 60
MOMENTS = pytest.mark.parametrize(
    ("operation", "nth"), [("GetObject", 1), ("PutObject", 3), ("UpdateItem", 2), ("Publish", 1)]
)

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(installation: Installation) -> Iterator[Start]:
    """Starts a worker process that signals itself at some call."""
    started: list[subprocess.Popen[bytes]] = []

    def start(job: Job, operation: str, nth: int, signal_number: signal.Signals) -> subprocess.Popen[bytes]:
        credentials = installation.aws.session.get_credentials()
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_ENDPOINT_URL": installation.aws.endpoint_url,
            "GAS_AWS_ACCOUNT": installation.settings.aws_account,
            "GAS_WORK_DIR": str(installation.settings.work_dir),
        }
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.worker",
                job.job_id,
                "0001-a",
                operation,
                str(nth),
                str(int(signal_number)),
            ],
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@MOMENTS
def test_killed_worker_is_followed_by_one_result(
    installation: Installation, job: Job, start: Start, operation: str, nth: int
) -> None:
    """After kill -9 in the middle, the next try ends the job with one result and removes what lay around."""
    worker = start(job, operation, nth, signal.SIGKILL)
    assert worker.wait(PATIENCE_S) == -signal.SIGKILL
    run(installation.worker(), job_id=job.job_id, attempt="0002-b")
    installation.assert_one_result(job.job_id)


@MOMENTS
def test_zombie_worker_changes_nothing(
    installation: Installation, job: Job, start: Start, operation: str, nth: int
) -> None:
    """A worker that stops, is taken for dead and wakes up after its successor is done deletes what it puts."""
    zombie = start(job, operation, nth, signal.SIGSTOP)
    _, status = os.waitpid(zombie.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    result = run(installation.worker(), job_id=job.job_id, attempt="0002-b")
    assert result["job_status"] == "COMPLETED"
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(PATIENCE_S) == 0  # the job has ended, whoever ended it
    done = installation.assert_one_result(job.job_id)
    assert done.attempt == ("0001-a" if operation == "Publish" else "0002-b")  # by then the first had committed


def test_zombie_meets_a_running_successor(installation: Installation, job: Job, start: Start) -> None:
    """A zombie that wakes up while its successor still works is fenced, and its files are gone."""
    zombie = start(job, "UpdateItem", 2, signal.SIGSTOP)
    os.waitpid(zombie.pid, os.WUNTRACED)
    successor = installation.worker()
    successor.jobs.start(job.job_id, "0002-b")
    zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(PATIENCE_S) == FENCED
    assert installation.result_versions() == set()
    run(successor, job_id=job.job_id, attempt="0002-b")
    installation.assert_one_result(job.job_id)
