"""One look at everything that is on its way back from the archive, for everybody who waits for some of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gas.archive import Retrieval, RetrievalStatus
from gas.archive.transfer import retrievals_ready

if TYPE_CHECKING:
    from gas.services import Services

#: How many of the jobs that messages name are looked at out of turn: a look stays cheap whatever arrives.
NAMED = 4


class RetrievalWatch:
    """Remembers how each awaited retrieval stood when it was last looked at."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[str, RetrievalStatus] = {}
        self._turn = 0

    def look(self, awaited: Iterable[Retrieval]) -> dict[str, RetrievalStatus]:
        """How every awaited retrieval stands, by its ``retrieval_job_id``: the whole state, never only what changed.

        Those that nobody awaits any more are forgotten; those that settled are not asked about again.
        """
        waiting = {retrieval.retrieval_job_id: retrieval for retrieval in awaited}
        self._known = {name: status for name, status in self._known.items() if name in waiting}
        self._turn += 1
        self._ask(self._unsettled(waiting.values()), turn=self._turn)
        return dict(self._known)

    def await_wake(self, awaited: Iterable[Retrieval], seconds: int) -> bool:
        """Wait until a message tells of a finished retrieval, at most so long; whether one did.

        The message is only a hint, which may be lost, late or somebody else's: what counts is what AWS says then.
        """
        told = self._services.events.await_thawed(seconds)
        named = [retrieval for retrieval in self._unsettled(awaited) if any(retrieval.job_id in text for text in told)]
        self._ask(named[:NAMED], turn=0)
        return bool(told)

    def _unsettled(self, retrievals: Iterable[Retrieval]) -> list[Retrieval]:
        return [r for r in retrievals if self._known.get(r.retrieval_job_id) in (None, RetrievalStatus.WAITING)]

    def _ask(self, retrievals: list[Retrieval], *, turn: int) -> None:
        if not retrievals:
            return
        by_job = {retrieval.job_id: retrieval.retrieval_job_id for retrieval in retrievals}
        for job_id, status in retrievals_ready(self._services, retrievals, turn=turn).items():
            self._known[by_job[job_id]] = status
