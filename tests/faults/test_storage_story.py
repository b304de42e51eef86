"""Stories of one person's results: upgrades, downgrades, archives, restores, deletions and crashes in any order.

After every event nothing is lost; in the end, when everybody who was interrupted has gone on, everything is where the
person's plan says, and nothing lies about.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gas.archive.transfer import (
    archive_all,
    archive_one,
    ask_all,
    begin_restore,
    due,
    empty_trash,
    fan_out,
    thaw,
    unarchive,
)
from gas.deletion import delete, sweep
from gas.job import Job, StorageState
from gas.profiles_table import Tier
from gas.services import Services
from tests.fakes import ALICE
from tests.faults.harness import Crash
from tests.faults.stage import Stage
from tests.storage import DELAY_S, completed_job

MOST_JOBS = 2
ROUNDS = 5


def archive_due(services: Services) -> None:
    """One run of the archive."""
    fan_out(services)
    for chunk in due(services, before=services.storage.now() + 1):
        archive_all(services, chunk, at_once=1)  # a crash ends one thread


class Story(RuleBasedStateMachine):
    """What may happen. ``stage`` is set by the test."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.owner = replace(ALICE, user_id=str(uuid.uuid4()))
        self.jobs: list[Job] = []
        self.crashed = False
        self.services = self.stage.services
        self.stage.clock.ahead_s += 10 * DELAY_S  # whatever an earlier story has stepped back

    @initialize()
    def first_job(self) -> None:
        self.jobs.append(completed_job(self.services, owner=self.owner))

    @precondition(lambda self: len(self.jobs) < MOST_JOBS)
    @rule()
    def complete(self) -> None:
        self.jobs.append(completed_job(self.services, owner=self.owner))

    @rule(seconds=st.sampled_from([1, DELAY_S, 3 * DELAY_S, -2]))
    def clock_steps(self, seconds: int) -> None:
        self.stage.clock.ahead_s += seconds

    @rule(delay_s=st.sampled_from([DELAY_S, 2 * DELAY_S]))
    def delay_changes(self, delay_s: int) -> None:
        changed = self.services.settings.model_copy(update={"free_result_ttl_s": delay_s})
        self.services = replace(self.services, settings=changed)

    @rule(dies_at=st.none() | st.integers(1, 12))
    def subscribe(self, dies_at: int | None) -> None:
        self._do(lambda: self.services.profiles.set_tier(self.owner.user_id, Tier.PREMIUM), dies_at)

    @rule(dies_at=st.none() | st.integers(1, 12))
    def unsubscribe(self, dies_at: int | None) -> None:
        self._do(lambda: self.services.profiles.set_tier(self.owner.user_id, Tier.FREE), dies_at)

    @rule(dies_at=st.none() | st.integers(1, 20))
    def archive(self, dies_at: int | None) -> None:
        self._do(lambda: archive_due(self.services), dies_at)

    @rule(dies_at=st.none() | st.integers(1, 40))
    def restore(self, dies_at: int | None) -> None:
        self._do(self._restore, dies_at)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), dies_at=st.none() | st.integers(1, 12))
    def erase(self, data: Any, dies_at: int | None) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        self._do(lambda: delete(self.services, job_id=job.job_id, user_id=job.user_id), dies_at)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert [self.stage.lost(job) for job in self.jobs] == [None] * len(self.jobs)

    def teardown(self) -> None:
        try:
            for _ in range(ROUNDS):
                self._go_on()
            wrong = [self.stage.wrong(job, crashed=self.crashed) for job in self.jobs]
            assert wrong == [None] * len(self.jobs)
        finally:
            for job in self.jobs:
                self.stage.clear(job)

    def _restore(self) -> None:
        profile = self.services.profiles.get(self.owner.user_id)
        if not profile.restore_pending:
            return
        thawing = begin_restore(self.services, user_id=profile.user_id, tier_version=profile.tier_version)
        for ids in thawing:
            ask_all(self.services, ids)
            for job_id in ids:
                thaw(self.services, job_id)

    def _do(self, work: Callable[[], object], dies_at: int | None) -> None:
        """Do it; or die before so many calls, where it makes them."""
        self.stage.points.die_at(dies_at)
        try:
            work()
        except Crash:
            self.crashed = True
        finally:
            self.stage.points.die_at(None)

    def _go_on(self) -> None:
        """What reconcile does of all this."""
        fan_out(self.services)
        self._restore()
        profile = self.services.profiles.get(self.owner.user_id)
        for job in self.jobs:
            there = self.services.jobs.get(job.job_id)
            match there.storage_state:
                case StorageState.ARCHIVING if profile.tier is Tier.PREMIUM:
                    unarchive(self.services, job.job_id)
                case StorageState.ARCHIVING:
                    archive_one(self.services, job.job_id)
                case StorageState.ARCHIVED if not there.s3_deleted:
                    archive_one(self.services, job.job_id)
                case StorageState.THAWING:
                    thaw(self.services, job.job_id)
                case StorageState.HOT:
                    empty_trash(self.services, job.job_id, sweep=True)
                case StorageState.DELETING:
                    sweep(self.services, job.job_id)


def told(stage: Stage, *, examples: int, steps: int) -> None:
    """Tell so many stories."""
    story = type("StoryHere", (Story,), {"stage": stage})
    run_state_machine_as_test(
        story,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


def test_stories(stage: Stage) -> None:
    """A fixed sample of stories ends right."""
    told(stage, examples=15, steps=12)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_stories(stage: Stage) -> None:
    """Many long stories end right."""
    told(stage, examples=1000, steps=30)
