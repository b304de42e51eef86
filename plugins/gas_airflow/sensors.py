"""The waits of GAS's DAGs. Each gives its worker slot back while it waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowException

from gas.errors import NotFound
from gas.job_log import about
from gas.settings import Settings
from gas_airflow.job_log import bind_jobs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from gas.archive import Retrieval
    from gas.services import Services

#: A restored copy is there for two days, and a retrieval or an inventory that takes longer has failed.
LONGEST_RETRIEVAL = timedelta(days=2)


class FreeUserDelaySensor(BaseSensorOperator):
    """Waits until the delay of everything that came due in the run's data interval is over.

    That is the interval's end plus ``GAS_FREE_RESULT_TTL``. The delay in force counts: when it has been lengthened
    meanwhile, the sensor goes on waiting; what a shortened one has made due earlier is taken up by the next run. A run
    without an interval of its own, started by hand, does not wait.

    :returns: the time before which results must have come due to be archived now, in POSIX seconds.
    """

    def execute(self, context: Context) -> int:
        """Wait, or return at once when the time has come."""
        delay = timedelta(seconds=Settings.from_environment().free_result_ttl_s)
        run = context["dag_run"]
        if run.run_type == "manual" or run.data_interval_end is None:
            return int((datetime.now(UTC) - delay).timestamp())
        end = run.data_interval_end
        if datetime.now(UTC) < end + delay:
            self.log.info("results due before %s are archived from %s on", end, end + delay)
            self.defer(trigger=DateTimeTrigger(moment=end + delay), method_name=self.resume.__name__)
        return int(end.timestamp())

    def resume(self, context: Context, event: Any = None) -> int:
        """After a wait: look again, with the delay that is in force now."""
        return self.execute(context)


class GlacierRetrievalSensor(BaseSensorOperator):
    """Brings some archived results back: asks for each, waits, and thaws each as soon as it has been retrieved.

    The wait holds no worker slot and shares its poll with every other sensor of this kind. Nothing is remembered but
    the ids of the jobs: what has been asked for and how it stands is in their records and in AWS, so that the sensor
    may be killed and started again at any point. Trouble with one job stops no other; when all others are back the
    task fails, and its next try takes up what is left.

    :param job_ids: the jobs of this set.
    """

    template_fields: Sequence[str] = ("job_ids",)

    def __init__(self, *, job_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(timeout=LONGEST_RETRIEVAL.total_seconds(), **kwargs)
        self.job_ids = job_ids

    def execute(self, context: Context) -> None:
        """Ask for what has not been asked for, and begin to wait. A later try first finishes what the last one left."""
        begun = self.job_ids if context["ti"].try_number > 1 else ()
        self._advance(ended=begun, failed={}, until=time.time() + self.timeout)

    def resume(
        self,
        context: Context,
        event: Mapping[str, Any],
        failed: Mapping[str, str] | None = None,
        until: float | None = None,
    ) -> None:
        """Thaw what has been retrieved, and wait for the rest."""
        self._advance(ended=event["job_ids"], failed=dict(failed or {}), until=until or time.time() + self.timeout)

    def _advance(self, *, ended: Iterable[str], failed: dict[str, str], until: float) -> None:
        """One turn.

        :param ended: jobs whose retrieval has ended in some way.
        :param failed: jobs that this try has given up, and why.
        :param until: when the wait ends, in POSIX seconds.
        """
        from gas.archive import Outcome, transfer
        from gas_airflow.connections import connected_services
        from gas_airflow.triggers import GlacierRetrievalTrigger

        bind_jobs(self.job_ids)
        services = connected_services()
        for job_id in ended:
            if self._tried(partial(transfer.thaw, services), job_id, failed) is Outcome.DAMAGED:
                failed[job_id] = "what came back is not the result; its record says more"
        retrievals = self._asked(services, [job_id for job_id in self.job_ids if job_id not in failed], failed)
        if retrievals:
            self.log.info("%d results are on their way back", len(retrievals))
            self.defer(
                trigger=GlacierRetrievalTrigger(retrievals=[asdict(retrieval) for retrieval in retrievals]),
                method_name=self.resume.__name__,
                kwargs={"failed": failed, "until": until},
                timeout=timedelta(seconds=max(1.0, until - time.time())),
            )
        if failed:
            told = "; ".join(f"{job_id}: {trouble}" for job_id, trouble in failed.items())
            raise AirflowException(f"{len(failed)} results are not back: {told}")

    def _asked(self, services: Services, job_ids: Sequence[str], failed: dict[str, str]) -> list[Retrieval]:
        """What is to be waited for: in few calls, or one by one where one of the jobs stands in the way."""
        from gas.archive import transfer

        try:
            return transfer.ask_all(services, job_ids)
        except Exception:
            self.log.warning("asking for all at once went wrong; asking one by one", exc_info=True)
            each = [self._tried(partial(transfer.ask, services), job_id, failed) for job_id in job_ids]
            return [retrieval for retrieval in each if retrieval is not None]

    def _tried(self, step: Callable[[str], Any], job_id: str, failed: dict[str, str]) -> Any:
        """The step's answer; ``None`` where it failed, which is noted, or where the job is gone, which is well."""
        with about(job_id):
            try:
                return step(job_id)
            except NotFound:
                return None
            except Exception as error:
                self.log.exception("job %s", job_id)
                failed[job_id] = f"{type(error).__name__}: {error}"
                return None


class VaultInventorySensor(BaseSensorOperator):
    """Waits for an inventory of the vault, without a worker slot. One that is under way is taken up.

    :returns: the id of the completed inventory; ``None`` where there is no vault, or nothing in it yet.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(timeout=LONGEST_RETRIEVAL.total_seconds(), **kwargs)

    def execute(self, context: Context) -> str | None:
        """Ask, and wait; or return at once where there is nothing to wait for."""
        return self._advance(until=time.time() + self.timeout)

    def resume(self, context: Context, event: Mapping[str, Any], until: float | None = None) -> str | None:
        """After a wait: hand the inventory on, or ask for another where it failed."""
        from gas.archive import RetrievalStatus

        if event["status"] == RetrievalStatus.READY:
            return str(event["inventory_id"])
        self.log.warning("inventory %s is %s; it is asked for again", event["inventory_id"], event["status"])
        return self._advance(until=until or time.time() + self.timeout)

    def _advance(self, *, until: float) -> str | None:
        from gas.archive import RetrievalStatus
        from gas_airflow.connections import connected_services
        from gas_airflow.triggers import VaultInventoryTrigger

        vault = connected_services().vault_inventory
        asked = vault.request()
        if asked is None:
            self.log.info("there is no inventory of vault %s", vault.name)
            return None
        inventory_id, status = asked
        if status is RetrievalStatus.WAITING:
            self.defer(
                trigger=VaultInventoryTrigger(inventory_id=inventory_id),
                method_name=self.resume.__name__,
                kwargs={"until": until},
                timeout=timedelta(seconds=max(1.0, until - time.time())),
            )
        return inventory_id
