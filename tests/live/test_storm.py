"""Fifty jobs go round archive and restore while, one after the other, the parts of the stack are killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gas.client import Client
from gas.job import ArchiveBackend, StorageState
from gas.local import contents
from gas.local.globus_standin import ALICE
from gas.local.stack import Stack
from gas.local.variables import stack_settings
from gas.services import build
from tests.live.calamities import Calamities, until, workers
from tests.live.crowd import (
    ROUND_S,
    Crowd,
    assert_archived,
    assert_back,
    assert_nobody_has_other_jobs,
    assert_nothing_is_left,
    crowd_of,
    submit_all,
    told,
)
from tests.live.people import client_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]

JOBS = 50
AWAY_S = 30

HOT, ARCHIVED, THAWING = StorageState.HOT, StorageState.ARCHIVED, StorageState.THAWING
Calamity = Callable[[Calamities], object]

CALAMITIES: dict[str, Calamity] = {
    "scheduler": lambda stack: stack.kill("airflow-scheduler"),
    "triggerer": lambda stack: stack.kill("airflow-triggerer"),
    "worker": lambda stack: stack.kill_worker(),
    "web": lambda stack: stack.kill("web"),
    "aws": lambda stack: stack.away("aws", AWAY_S),
}


@pytest.fixture
def crowd(hasty_stack: Stack, tmp_path: Path) -> Iterator[Crowd]:
    """Everybody at the running stack."""
    layout = hasty_stack.layout
    with crowd_of(JOBS, contents.services(layout), tmp_path, client_of=partial(client_of, layout)) as crowd:
        yield crowd


def nothing_is_left(crowd: Crowd, stack: Stack) -> None:
    """Neither hot nor cold, by what the stand-in says."""
    layout, session = stack.layout, contents.session(stack.layout)
    in_three_days = build(
        stack_settings(layout), session=session, endpoint_url=layout.aws_url, now=lambda: time.time() + 3 * 86400
    )
    assert_nothing_is_left(crowd, in_three_days, session.client("glacier", endpoint_url=layout.aws_url))


@pytest.mark.parametrize("hasty_stack", [ArchiveBackend.STORAGE_CLASS], indirect=True)
def test_each_part_is_killed_once_in_the_middle_of_fifty_jobs(hasty_stack: Stack, crowd: Crowd, tmp_path: Path) -> None:
    """Web app, scheduler, worker, triggerer and the AWS stand-in fail in turn, and every job ends right."""
    stack = Calamities(hasty_stack)

    def meanwhile() -> None:
        until(lambda: len(crowd.owner) >= 5, "some are submitted")
        told("web", stack.kill("web"))
        until(lambda: crowd.number(ARCHIVED) >= 5, "some are archived")
        told("scheduler", stack.kill("airflow-scheduler"))

    submit_all(crowd, meanwhile)
    stack.kill_worker()
    told("worker")
    crowd.await_settled(ARCHIVED)
    told("archived")
    assert_nobody_has_other_jobs(crowd)
    assert_archived(crowd, tmp_path)

    crowd.everybody(Client.subscribe)
    until(lambda: crowd.number(HOT) >= 5, "some are back")
    told("triggerer", stack.kill("airflow-triggerer"))
    stack.kill_worker()
    told("worker")
    stack.away("aws", AWAY_S)
    told("aws")
    crowd.await_settled(HOT)
    told("back")
    assert_back(crowd, tmp_path)
    nothing_is_left(crowd, hasty_stack)


@pytest.mark.long
@pytest.mark.parametrize("hasty_stack", list(ArchiveBackend), indirect=True)
def test_each_part_is_killed_on_each_way(hasty_stack: Stack, crowd: Crowd, tmp_path: Path) -> None:
    """Fifty jobs go round five times; in each round another part fails on the way there and again on the way back."""
    stack = Calamities(hasty_stack)
    submit_all(crowd, lambda: None)
    for name, strike in CALAMITIES.items():
        until(lambda: crowd.number(ARCHIVED) > 0, "some are archived")
        told(name, strike(stack), crowd.stand())
        crowd.await_settled(ARCHIVED)
        told("archived")
        assert_archived(crowd, tmp_path)
        crowd.everybody(Client.subscribe)
        until(lambda: crowd.number(ARCHIVED, THAWING) < JOBS, "some are back")
        told(name, strike(stack), crowd.stand())
        crowd.await_settled(HOT)
        told("back")
        assert_back(crowd, tmp_path)
        crowd.everybody(Client.unsubscribe)
    assert_nobody_has_other_jobs(crowd)
    nothing_is_left(crowd, hasty_stack)


@pytest.mark.long
@pytest.mark.parametrize("hasty_stack", [ArchiveBackend.STORAGE_CLASS], indirect=True)
def test_workers_that_are_killed_while_idle_do_not_stop_everything(hasty_stack: Stack, crowd: Crowd) -> None:
    """One of them holds the queue's lock; the scheduler notices that no task is taken, and is started again."""
    for worker in workers(hasty_stack):
        worker.kill()
    crowd.submit(ALICE, range(1))
    until(lambda: crowd.number(HOT, ARCHIVED) == 1, "the job is done", patience_s=ROUND_S)
