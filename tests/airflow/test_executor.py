"""The local executor, when one of its workers is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS

if TYPE_CHECKING:
    from gas_airflow.executor import LocalExecutor

pytestmark = AIRFLOWS_OWN_WARNINGS


@dataclass
class Work:
    """As much of a task as a worker looks at before it fails to run it."""

    key: str = "work"
    running_state: None = None
    display_name: str = "work"
    success_state: str = "success"
    failure_state: str = "failed"


@pytest.fixture
def ended(airflow_home: object, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The executors that would have ended their scheduler; they are impatient."""
    from gas_airflow import executor

    who: list[object] = []
    monkeypatch.setattr(executor, "STUCK_S", 0.5)
    monkeypatch.setattr(executor.LocalExecutor, "end_scheduler", lambda self: who.append(self))
    return who


@pytest.fixture
def executor(ended: list[object]) -> Iterator[LocalExecutor]:
    """An executor with two workers."""
    from gas_airflow.executor import LocalExecutor

    made = LocalExecutor(parallelism=2)
    made.start()
    yield made
    for worker in made.workers.values():
        worker.kill()
        worker.join()
        worker.close()
    made.activity_queue.close()
    made.result_queue.close()


def queue(executor: LocalExecutor, *works: Any) -> None:
    for work in works:
        executor.running.add(work.key)
        executor.queued_tasks[work.key] = work
    executor._process_workloads(works)


def sync_for(executor: LocalExecutor, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        executor.sync()
        time.sleep(0.02)


def test_worker_that_is_killed_at_the_queue_ends_the_scheduler(executor: LocalExecutor, ended: list[object]) -> None:
    """It holds the lock of the queue, so that no other takes a task: the scheduler has to be started again."""
    sync_for(executor, 0.5)
    for worker in list(executor.workers.values()):
        worker.kill()
        worker.join()
    queue(executor, Work())
    deadline = time.monotonic() + 30
    while not ended:
        assert time.monotonic() < deadline
        sync_for(executor, 0.1)
    assert ended[0] is executor


def test_scheduler_whose_workers_take_their_tasks_goes_on(executor: LocalExecutor, ended: list[object]) -> None:
    """Also for longer than it would be patient."""
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        if not executor.running:
            queue(executor, Work())
        sync_for(executor, 0.1)
        executor.running.clear()
    assert ended == []


def test_burst_of_tasks_leaves_the_scheduler_alone(executor: LocalExecutor, ended: list[object]) -> None:
    """Though some are untaken and a worker is idle whenever it is looked at."""
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        queue(executor, Work("one"), Work("another"))
        executor.sync()
        executor.running.clear()
    assert ended == []


def test_workers_stand_back_behind_the_scheduler(executor: LocalExecutor) -> None:
    """So that pages are answered, and restores begun, while jobs take all processors."""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in executor.workers] == [ours + 5] * 2


def test_task_that_a_worker_died_with_can_be_handed_out_anew(executor: LocalExecutor) -> None:
    """The executor lets go of it, so that the scheduler may queue it again, and of no other."""
    executor.running |= {"lost", "other"}
    executor.revoke_task(ti=SimpleNamespace(key="lost"))
    executor.revoke_task(ti=SimpleNamespace(key="never there"))
    assert executor.running == {"other"}
