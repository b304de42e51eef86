"""What Airflow's triggerer waits for on behalf of GAS's deferred tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from gas.archive import Retrieval, RetrievalStatus, RetrievalTier
from gas.archive.watch import RetrievalWatch
from gas.job import ArchiveBackend
from gas.metrics import Metrics
from gas.settings import Settings
from gas_airflow.connections import connected_services
from gas_airflow.job_log import bind_jobs

log = logging.getLogger(__name__)

POLL_S = 5
"""Between two looks while nothing tells that a retrieval has finished; an Expedited one takes minutes."""
GATHER_S = 1
"""After a message, before the look: when many retrievals finish together, one look serves many messages."""
BACK_OFF_S = 60
"""The longest pause after looks that failed, and between looks for an inventory."""

Statuses = Mapping[str, RetrievalStatus]


class GlacierRetrievalTrigger(BaseEventTrigger):
    """Waits until the first of some retrievals has finished, in whatever way.

    All of a triggerer's waiting tasks share one poll. Each poll hands the whole state to every one of them, so that a
    task that joins late, or comes back after the triggerer was restarted, misses nothing. The poll never raises: that
    would fail every task that shares it.

    :param retrievals: as :func:`dataclasses.asdict` gives :class:`gas.archive.Retrieval`.
    """

    _awaited: ClassVar[dict[int, Sequence[Retrieval]]] = {}
    """What the triggers of this process wait for; touched in the triggerer's event loop alone."""

    def __init__(self, *, retrievals: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.retrievals = [_retrieval(**retrieval) for retrieval in retrievals]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes this trigger again."""
        retrievals = [{name: _plain(value) for name, value in asdict(r).items()} for r in self.retrievals]
        return f"{type(self).__module__}.{type(self).__qualname__}", {"retrievals": retrievals}

    def shared_stream_key(self) -> Hashable:
        """One poll for all of them: AWS is asked about everything awaited at once."""
        return ("gas", "retrievals")

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Statuses]:
        """The statuses of everything awaited, again and again, by ``retrieval_job_id``."""
        watch, pause_s = None, POLL_S
        while True:
            try:
                if watch is None:
                    watch = RetrievalWatch(await asyncio.to_thread(connected_services))
                yield await asyncio.to_thread(watch.look, cls._everything())
                pause_s = POLL_S
                if await asyncio.to_thread(watch.await_wake, cls._everything(), POLL_S):
                    await asyncio.sleep(GATHER_S)
            except Exception:
                log.exception("how retrievals stand cannot be asked just now; next try in %s s", pause_s)
                with closing(Metrics(Settings.from_environment())) as metrics:
                    metrics.count("retrieval_polls_failed")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, BACK_OFF_S)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Statuses]) -> AsyncIterator[TriggerEvent]:
        """One event: the ids of the jobs whose retrieval has ended."""
        bind_jobs(retrieval.job_id for retrieval in self.retrievals)
        with self._registered():
            async for statuses in shared_stream:
                ended = [
                    retrieval.job_id
                    for retrieval in self.retrievals
                    if statuses.get(retrieval.retrieval_job_id, RetrievalStatus.WAITING) is not RetrievalStatus.WAITING
                ]
                if ended:
                    log.info("%d of %d retrievals have ended", len(ended), len(self.retrievals))
                    yield TriggerEvent({"job_ids": ended})
                    return

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same with a poll of its own, should a triggerer not share."""
        async for event in self.filter_shared_stream(type(self).open_shared_stream({})):
            yield event

    @contextmanager
    def _registered(self) -> Iterator[None]:
        self._awaited[id(self)] = self.retrievals
        try:
            yield
        finally:
            del self._awaited[id(self)]

    @classmethod
    def _everything(cls) -> list[Retrieval]:
        return [retrieval for retrievals in cls._awaited.values() for retrieval in retrievals]


class VaultInventoryTrigger(BaseTrigger):
    """Waits until an inventory of the vault has ended, in whatever way.

    That takes hours in AWS, so it is looked for once a minute after some quicker looks. All there is to know is the id:
    after a restart of the triggerer the wait goes on.

    :param inventory_id: as the vault gave it.
    """

    def __init__(self, *, inventory_id: str) -> None:
        super().__init__()
        self.inventory_id = inventory_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"inventory_id": self.inventory_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the inventory's id, and how it ended."""
        pause_s = float(POLL_S)
        while (status := await self._status()) is RetrievalStatus.WAITING:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACK_OFF_S)
        yield TriggerEvent({"inventory_id": self.inventory_id, "status": status.value})

    async def _status(self) -> RetrievalStatus:
        """How it stands; what cannot be asked just now is waited for."""
        try:
            services = await asyncio.to_thread(connected_services)
            return await asyncio.to_thread(services.vault_inventory.status, self.inventory_id)
        except Exception:
            log.exception("how the vault's inventory stands cannot be asked just now")
            return RetrievalStatus.WAITING


def _retrieval(*, backend: str, tier: str, **others: Any) -> Retrieval:
    return Retrieval(backend=ArchiveBackend(backend), tier=RetrievalTier(tier), **others)


def _plain(value: object) -> str | int:
    """An enum's value as the bare string that Airflow can store."""
    return value if type(value) is int else str(value)
