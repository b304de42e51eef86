"""### inventory: what lies in the buckets and in the vault that no record names

**When.** Once a day.

**What.** `wait` asks the Glacier vault, where there is one, for its inventory, which takes AWS some hours, and waits
without holding a worker slot, for two days at most. `look` lists both buckets with all versions, and the vault, and
sets what it finds against the records. What no record names, and never will, is deleted: versions of results, cold
copies, and uploads in parts that nobody ends. Such things stay only where a process died for good between making
something and recording it.

Whatever is younger than 48 hours is left alone, and so is everything of a job that is in the middle of something. A
job's record is read again just before anything is deleted, and what it names is seen to be there first: nothing that
could be the last copy goes. What has no record, or is not of GAS's making, is told of in the log and never deleted. The
vault's list may be a day old: what was deleted since is told of once more, which does no harm.

**When something goes wrong.** Trouble with one thing stops no other. The task then fails and is tried again; every step
may be repeated.

**By hand.** Trigger with `{"dry_run": true}` to have it told and nothing deleted. `gas inventory --dry-run` tells it at
once, from the inventory that the vault completed last.

**Settings.** `GAS_INSTALLED` (the day of installation). Both back ends are looked at, whatever `GAS_ARCHIVE` says now.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DeltaDataIntervalTimetable, Param, dag, task

from gas.settings import Settings
from gas_airflow.defaults import task_defaults
from gas_airflow.sensors import VaultInventorySensor

settings = Settings.from_environment()


@dag(
    dag_id="inventory",
    schedule=DeltaDataIntervalTimetable(timedelta(days=1)),
    start_date=settings.installed_at,
    catchup=False,
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Only tell what would be deleted.")},
    doc_md=__doc__,
    tags=["gas", "storage"],
    max_active_runs=1,
    max_active_tasks=1,
    default_args=task_defaults(retries=3, first=timedelta(seconds=30), longest=timedelta(minutes=30)),
)
def inventory() -> None:
    """One look at all there is."""

    @task
    def look(vault_inventory: str | None, params: dict[str, Any]) -> int:
        """Delete what no record names; how much was found."""
        import logging

        from gas import inventory
        from gas_airflow.connections import connected_services
        from gas_airflow.findings import told

        services = connected_services()
        found = inventory.inventory(services, vault_inventory=vault_inventory, dry_run=params["dry_run"])
        return told(found, logging.getLogger(inventory.__name__), metrics=services.metrics)

    look(VaultInventorySensor(task_id="wait").output)


inventory()
