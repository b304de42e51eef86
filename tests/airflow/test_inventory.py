"""The daily look at what no record names, run by Airflow itself; and its wait for the vault's inventory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gas import inventory as taking_stock
from gas.archive import RetrievalStatus, vault_inventory
from gas.archive.transfer import archive_one
from gas.job import ArchiveBackend, Job, StorageState
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from gas.storage_table import new_token
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.airflow.triggerer import deferral, stored
from tests.storage import DELAY_S, archives, completed_job, versions

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = [*AIRFLOWS_OWN_WARNINGS, pytest.mark.usefixtures("airflow_home")]

WAITING, READY, GONE = RetrievalStatus.WAITING, RetrievalStatus.READY, RetrievalStatus.GONE


# The wait.


@dataclass
class VaultInventory:
    """Inventories by id, and how they stand; ``down`` looks fail."""

    name: str = "gas-results"
    asked: list[str] = field(default_factory=list)
    stand: dict[str, RetrievalStatus] = field(default_factory=dict)
    exists: bool = True
    down: int = 0
    looks: int = 0

    def request(self) -> tuple[str, RetrievalStatus] | None:
        if not self.exists:
            return None
        for inventory_id, status in self.stand.items():
            if status is not GONE:
                return inventory_id, status
        self.asked.append(f"inventory {len(self.asked) + 1}")
        self.stand[self.asked[-1]] = WAITING
        return self.asked[-1], WAITING

    def status(self, inventory_id: str) -> RetrievalStatus:
        self.looks += 1
        if self.down:
            self.down -= 1
            raise ConnectionError("AWS does not answer")
        return self.stand[inventory_id]


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> VaultInventory:
    from gas_airflow import connections, triggers

    made = VaultInventory()
    for module in (triggers, connections):  # the first imports from the second, and keeps what it has imported
        monkeypatch.setattr(module, "connected_services", lambda: SimpleNamespace(vault_inventory=made))
    for pause in ("POLL_S", "BACK_OFF_S"):
        monkeypatch.setattr(triggers, pause, 0.01)
    return made


def sensor() -> Any:
    from gas_airflow.sensors import VaultInventorySensor

    return VaultInventorySensor(task_id="wait")


def resumed(waiting: Any, deferred: Any, status: RetrievalStatus) -> Callable[[], object]:
    """The task as a worker continues it, with what was stored when it deferred."""
    from airflow.sdk.serde import deserialize, serialize

    kept: Any = deserialize(serialize(deferred.kwargs))
    event = {"inventory_id": deferred.trigger.inventory_id, "status": status.value}
    return lambda: waiting.resume_execution(deferred.method_name, {**kept, "event": event}, None)


def test_inventory_is_waited_for_and_handed_on(vault: VaultInventory) -> None:
    """The wait holds no worker; a task that is run again takes up the same inventory, and hands on a completed one."""
    first, again = (deferral(lambda: sensor().execute({})) for _ in range(2))
    assert (first.trigger.inventory_id, again.trigger.inventory_id) == ("inventory 1", "inventory 1")
    assert resumed(sensor(), first, READY)() == "inventory 1"
    vault.stand["inventory 1"] = READY
    assert sensor().execute({}) == "inventory 1"
    assert vault.asked == ["inventory 1"]


def test_without_a_vault_nothing_is_waited_for(vault: VaultInventory) -> None:
    """Where there is no vault, or nothing in it yet, the buckets are looked at at once."""
    vault.exists = False
    assert sensor().execute({}) is None


def test_inventory_that_failed_is_asked_for_again_within_two_days(vault: VaultInventory) -> None:
    """The second wait ends when the first would have."""
    first = deferral(lambda: sensor().execute({}))
    assert first.timeout == pytest.approx(timedelta(days=2), abs=timedelta(seconds=5))
    vault.stand["inventory 1"] = GONE
    first.kwargs["until"] -= 86400
    second = deferral(resumed(sensor(), first, GONE))
    assert second.trigger.inventory_id == "inventory 2"
    assert second.timeout == pytest.approx(timedelta(days=1), abs=timedelta(seconds=5))


def test_wait_for_an_inventory_ends_after_two_days(vault: VaultInventory) -> None:
    """Airflow ends the wait, and the task with it."""
    from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
    from airflow.sdk.exceptions import AirflowSensorTimeout

    with pytest.raises(AirflowSensorTimeout):
        sensor().resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger timeout"}, None)


@pytest.mark.parametrize("ends", [READY, GONE])
def test_trigger_survives_a_restart_and_errors(vault: VaultInventory, ends: RetrievalStatus) -> None:
    """Made again from what is stored, it goes on; looks that fail cost it nothing; how it ended is told, once."""
    trigger = stored(deferral(lambda: sensor().execute({})).trigger)

    async def scenario() -> list[Any]:
        events: list[Any] = []

        async def listen() -> None:
            events.extend([event.payload async for event in trigger.run()])

        task = asyncio.create_task(listen())
        async with asyncio.timeout(20):
            while vault.looks < 3:  # noqa: ASYNC110 - what is waited for happens in code that sets no event
                await asyncio.sleep(0.01)
            vault.down = 2
            vault.stand["inventory 1"] = ends
            await task
        return events

    assert asyncio.run(scenario()) == [{"inventory_id": "inventory 1", "status": ends.value}]
    assert vault.down == 0


def test_cancelled_trigger_stops(vault: VaultInventory) -> None:
    """A task that is cleared while it waits leaves nothing that goes on asking."""
    trigger = stored(deferral(lambda: sensor().execute({})).trigger)

    async def scenario() -> int:
        async def listen() -> None:
            async for _ in trigger.run():
                pass

        task = asyncio.create_task(listen())
        async with asyncio.timeout(20):
            while not vault.looks:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        looks = vault.looks
        await asyncio.sleep(0.1)
        return vault.looks - looks

    assert asyncio.run(scenario()) <= 1


# The whole run.


@pytest.fixture(params=list(ArchiveBackend))
def services(request: Any, aws: Any, connected: None, monkeypatch: pytest.MonkeyPatch) -> Services:
    """GAS as Airflow's tasks find it, on an empty AWS; to the inventory, everything is old enough."""
    from gas_airflow import triggers

    monkeypatch.setenv("GAS_FREE_RESULT_TTL", str(DELAY_S))
    monkeypatch.setenv("GAS_ARCHIVE", request.param)
    monkeypatch.setattr(taking_stock, "YOUNG_S", -3600)
    monkeypatch.setattr(vault_inventory, "RECENT_S", -3600)  # each run asks for an inventory of its own
    monkeypatch.setattr(triggers, "POLL_S", 0.1)
    settings = Settings.from_environment()
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    return build(settings, session=aws.session, endpoint_url=aws.endpoint_url, now=time.time)


def archived_with_a_stray(services: Services, aws: Any) -> Job:
    """An archived result, and beside its cold copy another that no record names."""
    job = completed_job(services)
    archive = services.archives[services.settings.archive]
    archive.store(next(iter(job.outputs.values())), job_id=job.job_id, token=new_token())
    ahead = build(services.settings, session=aws.session, endpoint_url=aws.endpoint_url, now=lambda: time.time() + 60)
    archive_one(ahead, job.job_id)
    return services.jobs.get(job.job_id)


def test_stray_copy_goes_and_the_named_one_stays(dag_bag: DagBag, services: Services, aws: Any) -> None:
    """A dry run tells; a run deletes what no record names; the next finds nothing."""
    cold = archived_with_a_stray(services, aws)
    assert cold.storage_state is StorageState.ARCHIVED
    before = versions(services), archives(services, aws)
    assert run(dag_bag, dry_run=True) == 1
    assert (versions(services), archives(services, aws)) == before
    assert run(dag_bag, dry_run=False) == 1
    after = versions(services), archives(services, aws)
    assert len(after[0]) + after[1] == len(before[0]) + before[1] - 1
    assert run(dag_bag, dry_run=False) == 0
    assert (versions(services), archives(services, aws)) == after
    ask = services.archives[services.settings.archive].ask
    assert ask(cold, earlier={})  # raises where there is no such copy


def run(dag_bag: DagBag, *, dry_run: bool) -> Any:
    """A run of the DAG; how much it found."""
    done = dag_bag.dags["inventory"].test(run_conf={"dry_run": dry_run})
    assert done.state == "success"
    return done.get_task_instance("look").xcom_pull(task_ids="look")


def test_run_that_met_with_trouble_fails(
    dag_bag: DagBag, services: Services, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be done is no success: the task is tried again."""
    from airflow.sdk.exceptions import AirflowException

    from gas.errors import Unavailable
    from gas.objects import Objects

    archived_with_a_stray(services, aws)

    def exists(*_: Any) -> bool:
        raise Unavailable("S3 does not answer")

    monkeypatch.setattr(Objects, "everything", exists)
    look = dag_bag.dags["inventory"].get_task("look").python_callable
    with pytest.raises(AirflowException, match="2 of 2 findings met with trouble"):
        look(None, {"dry_run": False})


def test_inventory_is_taken_once_a_day(dag_bag: DagBag) -> None:
    """One run at a time, from the day of installation."""
    from airflow.sdk import DeltaDataIntervalTimetable

    dag = dag_bag.dags["inventory"]
    assert dag.schedule == DeltaDataIntervalTimetable(timedelta(days=1))
    assert (dag.max_active_runs, dag.start_date.date()) == (1, Settings.from_environment().installed)
