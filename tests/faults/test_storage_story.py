"""Stories of one person's results: upgrades, downgrades, archives, restores, deletions and crashes in any order.

After every event nothing is lost; in the end, when everybody who was interrupted has gone on, everything is where the
person's plan says, and nothing lies about. What happened is counted, so that no sample can pass in which results never
went to the archive and came back.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gas.archive.transfer import (
    archive_all,
    archive_one,
    ask_all,
    begin_restore,
    begin_restore_job,
    due,
    empty_trash,
    fan_out,
    thaw,
    unarchive,
)
from gas.deletion import delete, sweep
from gas.job import Job, Output, StorageState
from gas.profiles_table import Tier
from gas.services import Services
from gas.storage_table import StorageTable
from tests.fakes import ALICE
from tests.faults.harness import Crash
from tests.faults.stage import Stage
from tests.faults.tally import count
from tests.storage import BODIES, DELAY_S, Clock, completed_job

MOST_JOBS = 2
FEW = {output: BODIES[output] for output in (Output.VCF, Output.INDEX, Output.LOG)}
"""What is given away of a result, what is made again, and what stays."""
ROUNDS = 5

APPLIED = {
    "claim": "claimed for the archive",
    "commit": "archived",
    "unarchive": "taken back half archived",
    "hot_deleted": "hot versions deleted",
    "drop_due": "date dropped",
    "date": "dated",
    "thaw_start": "restore begun",
    "retrieval": "retrieval asked for",
    "thaw_commit": "retrieved and thawed",
    "trash_emptied": "trash emptied",
}
"""Writes of storage states, and what happened when one was applied."""
DELETED = {state: f"deleted while {state}" for state in StorageState if state is not StorageState.DELETING}
EVENTS = (
    *APPLIED.values(),
    *DELETED.values(),
    "completed",
    "upgraded",
    "downgraded",
    "clock stepped on",
    "clock stepped back",
    "delay changed",
    "died archiving",
    "died restoring",
    "died thawing",
    "died deleting",
)
"""What has to happen in any sample, while the stories are told: what is made up for at their ends does not count."""
COLD = frozenset({StorageState.ARCHIVING, StorageState.ARCHIVED})
AWAY = COLD | {StorageState.THAWING}

AFTER_THE_CLAIM = 6
"""The call of an archive of one result at which it is claimed, and nothing more."""

Draw = Callable[..., Any]
"""From a strategy, as ``data.draw`` does."""


def dies(latest: int) -> st.SearchStrategy[int | None]:
    """At which call the process dies, if at any; as often as not at none."""
    return st.none() | st.integers(1, latest)


@pytest.fixture(autouse=True)
def same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is drawn decides how a story goes: ids are counted out, and the clock goes only where it is put."""
    numbers, start = random.Random(0), time.time()
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128), version=4))
    monkeypatch.setattr(Clock, "__call__", lambda clock: start + clock.ahead_s)


@contextmanager
def noted(storage: StorageTable, happened: Counter[str]) -> Iterator[None]:
    """Count the writes of storage states that are applied meanwhile."""

    def counting(write: Callable[..., Any], what: str) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            applied = write(*args, **more)
            happened[what.format(*args)] += applied is None if what == APPLIED["hot_deleted"] else bool(applied)
            return applied

        return counted

    with ExitStack() as stack:
        for name, what in {**APPLIED, "mark_deleting": "deleted while {0.storage_state}"}.items():
            stack.enter_context(patch.object(storage, name, counting(getattr(storage, name), what)))
        yield


def archive_due(services: Services) -> None:
    """One run of the archive."""
    fan_out(services)
    for chunk in due(services, before=services.storage.now() + 1):
        archive_all(services, chunk, at_once=1)  # a crash ends one thread


class Story(RuleBasedStateMachine):
    """What may happen. ``stage`` and ``happened`` are set by the test.

    A story begins anywhere on a result's way round, and one rule draws from what can happen then. With a rule for each
    event most stories would be told without the one or the other that a result needs to go round.
    """

    stage: Stage
    happened: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.owner = replace(ALICE, user_id=str(uuid.uuid4()))
        self.jobs: list[Job] = []
        self.now: list[Job] = []
        """The jobs as they are after the latest event."""
        self.tier = Tier.FREE
        self.restore_pending = False
        self.crashed = False
        self.services = self.stage.services
        self.stage.clock.ahead_s += 10 * DELAY_S  # whatever an earlier story has stepped back

    @initialize(far=st.sampled_from([0, 1, 2, 3, 3, 3, 4]), half=st.booleans())
    def begins(self, far: int, half: bool) -> None:
        self._complete()
        self.stage.clock.ahead_s += DELAY_S + 1
        on_its_way = (
            ("archiving", lambda: archive_due(self.services)),
            ("choosing", lambda: self.services.profiles.set_tier(self.owner.user_id, Tier.PREMIUM)),
            ("restoring", self._begin_restore),
            ("thawing", self._bring_back),
        )
        for what, work in on_its_way[:far]:
            self._do(what, work, AFTER_THE_CLAIM if half and what == "archiving" else None)

    @rule(data=st.data())
    def something_happens(self, data: Any) -> None:
        event = data.draw(st.sampled_from(list(self._possible())), label="event")
        event(data.draw)

    def _possible(self) -> Iterator[Callable[[Draw], None]]:
        """What can happen and would matter; what is named several times, more often."""
        yield from (self._clock_steps, self._delay_changes)
        yield from (self._subscribe if self.tier is Tier.FREE else self._unsubscribe,) * 2
        if len(self.jobs) < MOST_JOBS:
            yield self._complete
        if self._any({StorageState.HOT, StorageState.ARCHIVING}):
            yield from (self._archive,) * 3
        if self.restore_pending:
            yield from (self._restore,) * 3
        if self._any(COLD):
            yield self._restore_one
        if self._any({StorageState.THAWING}):
            yield from (self._thaw,) * 3
        yield from (self._erase,) * (3 if self._any(AWAY) else 1)

    def _any(self, states: Collection[StorageState]) -> bool:
        """Whether the result of one of the jobs is in one of these states."""
        return any(job.storage_state in states for job in self.now)

    def _complete(self, draw: Draw | None = None) -> None:
        self.jobs.append(completed_job(self.services, owner=self.owner, bodies=FEW))
        self.happened["completed"] += 1

    def _clock_steps(self, draw: Draw) -> None:
        seconds = draw(st.sampled_from([1, 3 * DELAY_S, -2, -2]), label="seconds")
        self.stage.clock.ahead_s += seconds
        self.happened["clock stepped on" if seconds > 0 else "clock stepped back"] += 1

    def _delay_changes(self, draw: Draw) -> None:
        delay_s = draw(st.sampled_from([DELAY_S, 2 * DELAY_S]), label="delay_s")
        self.happened["delay changed"] += delay_s != self.services.settings.free_result_ttl_s
        changed = self.services.settings.model_copy(update={"free_result_ttl_s": delay_s})
        self.services = replace(self.services, settings=changed)

    def _subscribe(self, draw: Draw) -> None:
        self._choose(Tier.PREMIUM, draw)

    def _unsubscribe(self, draw: Draw) -> None:
        self._choose(Tier.FREE, draw)

    def _archive(self, draw: Draw) -> None:
        """An archiver comes, and mostly when the delay is over."""
        if draw(st.sampled_from([True, True, False]), label="late"):
            self.stage.clock.ahead_s += self.services.settings.free_result_ttl_s + 1
        half_done = st.integers(6, 8)  # between the claim and the commit
        self._do("archiving", lambda: archive_due(self.services), draw(dies(20) | half_done, label="dies at"))

    def _restore(self, draw: Draw) -> None:
        self._do("restoring", self._begin_restore, draw(dies(12), label="dies at"))

    def _restore_one(self, draw: Draw) -> None:
        """An operator's restore, whatever the owner's plan."""
        job = draw(st.sampled_from([job for job in self.now if job.storage_state in COLD]))
        keep_s = draw(st.sampled_from([None, DELAY_S]), label="keep_s")
        self._do(
            "restoring",
            lambda: begin_restore_job(self.services, job.job_id, keep_s=keep_s),
            draw(dies(6), label="dies at"),
        )

    def _thaw(self, draw: Draw) -> None:
        """What was asked for is ready, and brought back; what nobody has asked for is asked for."""
        self._do("thawing", self._bring_back, draw(dies(10), label="dies at"))

    def _erase(self, draw: Draw) -> None:
        """Deletes; of one that is deleted the rest, if the process died."""
        job = draw(st.sampled_from(self.now + [job for job in self.now if job.storage_state in AWAY] * 3))
        dies_at = draw(dies(12), label="dies at")
        self._do("deleting", lambda: delete(self.services, job_id=job.job_id, user_id=job.user_id), dies_at)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert [self.stage.lost(job) for job in self.jobs] == [None] * len(self.jobs)
        self.now = self._records()
        profile = self.services.profiles.get(self.owner.user_id)
        self.tier, self.restore_pending = profile.tier, profile.restore_pending

    def teardown(self) -> None:
        try:
            for _ in range(ROUNDS):
                before = self._records()
                self._go_on()
                if self._records() == before:
                    break
            wrong = [self.stage.wrong(job, crashed=self.crashed) for job in self.jobs]
            assert wrong == [None] * len(self.jobs)
        finally:
            for job in self.jobs:
                self.stage.clear(job)

    def _records(self) -> list[Job]:
        return self.services.jobs.find_many([job.job_id for job in self.jobs])

    def _begin_restore(self) -> None:
        profile = self.services.profiles.get(self.owner.user_id)
        if not profile.restore_pending:
            return
        for ids in begin_restore(self.services, user_id=profile.user_id, tier_version=profile.tier_version):
            ask_all(self.services, ids)

    def _bring_back(self) -> None:
        for job in self.jobs:
            thaw(self.services, job.job_id)

    def _choose(self, tier: Tier, draw: Draw) -> None:
        """Once, or twice, which is to do no more."""
        for _ in range(draw(st.integers(1, 2), label="times")):
            dies_at = draw(st.none() | st.integers(1, 2), label="dies at")
            self._do("choosing", lambda: self.services.profiles.set_tier(self.owner.user_id, tier), dies_at)
        if self.services.profiles.get(self.owner.user_id).tier is tier:
            self.happened["upgraded" if tier is Tier.PREMIUM else "downgraded"] += 1

    def _do(self, what: str, work: Callable[[], object], dies_at: int | None) -> None:
        """Do it; or die before so many calls, where it makes them."""
        self.stage.points.die_at(dies_at)
        try:
            with noted(self.services.storage, self.happened):
                work()
        except Crash:
            self.crashed = True
            self.happened[f"died {what}"] += 1
        finally:
            self.stage.points.die_at(None)

    def _go_on(self) -> None:
        """What reconcile does of all this."""
        fan_out(self.services)
        self._begin_restore()
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
    """Tell so many stories, in which everything that can happen does."""
    happened: Counter[str] = Counter()
    story = type("StoryHere", (Story,), {"stage": stage, "happened": happened})
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
    for what in EVENTS:
        count(f"in {examples} stories, {stage.services.settings.archive}: {what}", happened[what])
    assert [what for what in EVENTS if not happened[what]] == []


def test_stories(stage: Stage) -> None:
    """A fixed sample of stories ends right, and in it results go to the archive, come back, and are deleted."""
    told(stage, examples=20, steps=12)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_stories(stage: Stage) -> None:
    """Many long stories end right."""
    told(stage, examples=1000, steps=30)
