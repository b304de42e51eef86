"""The shared poll for retrievals, driven by Airflow's own stream manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gas.archive import Retrieval, RetrievalStatus, RetrievalTier
from gas.job import ArchiveBackend, new_job_id
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.airflow.triggerer import Triggerer, stored

pytestmark = AIRFLOWS_OWN_WARNINGS


def retrieval(number: int) -> Retrieval:
    return Retrieval(
        job_id=new_job_id(),
        backend=ArchiveBackend.VAULT,
        token="0" * 32,
        archive_id=f"archive {number}",
        size_bytes=10,
        retrieval_job_id=f"retrieval {number}",
        tier=RetrievalTier.EXPEDITED,
        asked_at=1_700_000_000,
    )


@dataclass
class Aws:
    """Knows which retrievals are ready, counts the polls, and can be told to be down."""

    ready: set[str] = field(default_factory=set)
    polls: int = 0
    asked: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    down: int = 0
    """How many more calls fail."""

    def statuses(self, _: Any, waiting: Sequence[Retrieval], *, turn: int) -> Mapping[str, RetrievalStatus]:
        self.polls += 1
        if self.down:
            self.down -= 1
            raise ConnectionError("AWS does not answer")
        self.asked.append(len(waiting))
        return {r.job_id: RetrievalStatus.READY for r in waiting if r.retrieval_job_id in self.ready}

    def await_thawed(self, seconds: int) -> list[str]:
        told, self.messages = self.messages, []
        return told


@pytest.fixture
def aws(airflow_home: Any, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An AWS, and no pauses between the looks at it."""
    from gas.archive import watch
    from gas_airflow import triggers

    made = Aws()
    monkeypatch.setattr(watch, "retrievals_ready", made.statuses)
    monkeypatch.setattr(triggers, "connected_services", lambda: SimpleNamespace(events=made))
    for pause in ("POLL_S", "GATHER_S", "BACK_OFF_S"):
        monkeypatch.setattr(triggers, pause, 0.01)
    return made


def trigger_for(*retrievals: Retrieval) -> Any:
    from gas_airflow.triggers import GlacierRetrievalTrigger

    return GlacierRetrievalTrigger(retrievals=[asdict(r) for r in retrievals])


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - what is waited for happens in code that sets no event
            await asyncio.sleep(0.01)


def test_trigger_survives_being_stored(aws: Aws) -> None:
    """A trigger made again from what the database keeps waits for the same retrievals in the same stream."""
    trigger = trigger_for(retrieval(1), retrieval(2))
    again = stored(trigger)
    assert again.retrievals == trigger.retrievals
    assert again.shared_stream_key() == trigger.shared_stream_key()
    assert again.serialize() == trigger.serialize()


def test_restarted_triggerer_waits_on(aws: Aws) -> None:
    """A triggerer that is stopped in the middle of the wait leaves nothing behind; the next one takes the wait up."""
    trigger = trigger_for(retrieval(1), retrieval(2))

    async def stopped_in_the_middle() -> None:
        waiting = asyncio.create_task(Triggerer().first_event(trigger))
        await until(lambda: aws.polls > 2)
        waiting.cancel()
        assert await asyncio.gather(waiting, return_exceptions=True) != []

    async def restarted() -> Any:
        waiting = asyncio.create_task(Triggerer().first_event(stored(trigger)))
        await until(lambda: aws.polls > polls)
        aws.ready.add("retrieval 2")
        return await asyncio.wait_for(waiting, 20)

    asyncio.run(stopped_in_the_middle())
    polls = aws.polls
    assert asyncio.run(restarted()) == {"job_ids": [trigger.retrievals[1].job_id]}


def test_one_poll_serves_all_and_survives_errors(aws: Aws) -> None:
    """A hundred triggers share one poll; looks that fail in between cost none of them anything."""

    async def scenario() -> None:
        triggerer = Triggerer()
        waiting = [retrieval(number) for number in range(100)]
        tasks = [asyncio.create_task(triggerer.first_event(trigger_for(r))) for r in waiting]
        await until(lambda: aws.asked)
        aws.down = 3
        await until(lambda: not aws.down)
        aws.ready |= {r.retrieval_job_id for r in waiting}
        events = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert events == [{"job_ids": [r.job_id]} for r in waiting]

    asyncio.run(scenario())
    assert aws.asked[0] == 100
    assert aws.polls < 100


def test_late_joiner_learns_what_was_settled_before(aws: Aws) -> None:
    """Each poll tells the whole state: who joins after a retrieval was seen ready is told all the same."""

    async def scenario() -> None:
        triggerer = Triggerer()
        slow, quick = retrieval(1), retrieval(2)
        waiting = asyncio.create_task(triggerer.first_event(trigger_for(slow)))
        aws.ready.add(quick.retrieval_job_id)
        first = await asyncio.wait_for(triggerer.first_event(trigger_for(quick)), 20)
        again = await asyncio.wait_for(triggerer.first_event(trigger_for(slow, quick)), 20)
        assert first == again == {"job_ids": [quick.job_id]}
        assert not waiting.done()
        aws.ready.add(slow.retrieval_job_id)
        assert await asyncio.wait_for(waiting, 20) == {"job_ids": [slow.job_id]}

    asyncio.run(scenario())


def test_cancelled_trigger_is_asked_about_no_more(aws: Aws) -> None:
    """A task that is cleared while it waits leaves the poll, which goes on for the others."""
    from gas_airflow.triggers import GlacierRetrievalTrigger

    async def scenario() -> None:
        triggerer = Triggerer()
        stays = asyncio.create_task(triggerer.first_event(trigger_for(retrieval(1))))
        leaves = asyncio.create_task(triggerer.first_event(trigger_for(retrieval(2), retrieval(3))))
        await until(lambda: 3 in aws.asked)
        leaves.cancel()
        await until(lambda: aws.asked[-1] == 1)
        aws.ready.add("retrieval 1")
        assert await asyncio.wait_for(stays, 20)

    asyncio.run(scenario())
    assert not GlacierRetrievalTrigger._awaited


def test_two_triggerers_tell_the_same(aws: Aws) -> None:
    """Triggers of one set in two triggerers learn of the same retrieval, each by its own poll."""

    async def scenario() -> list[Any]:
        one = retrieval(1)
        tasks = [asyncio.create_task(Triggerer().first_event(trigger_for(one))) for _ in range(2)]
        await until(lambda: len(aws.asked) > 1)
        aws.ready.add(one.retrieval_job_id)
        return await asyncio.wait_for(asyncio.gather(*tasks), 20)

    first, second = asyncio.run(scenario())
    assert first == second


def test_message_has_its_job_looked_at_out_of_turn(aws: Aws) -> None:
    """A job that a message names is asked about at once, whatever else waits; other texts change nothing."""
    from gas.archive.watch import RetrievalWatch

    waiting = [retrieval(number) for number in range(50)]
    watch = RetrievalWatch(SimpleNamespace(events=aws))
    assert watch.look(waiting) == {}
    aws.ready.add("retrieval 33")
    aws.messages = [f'{{"key": "archive/{waiting[33].job_id}/token"}}', "not a message of ours"]
    assert watch.await_wake(waiting, 1)
    assert aws.asked == [50, 1]
    assert watch.look(waiting) == {"retrieval 33": RetrievalStatus.READY}
    assert aws.asked[-1] == 49
    assert not watch.await_wake(waiting, 1)
