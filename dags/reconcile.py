"""### reconcile: every open record against reality, and repair

**When.** Every five minutes.

**What.** It looks at each record of a job for which somebody still has something to do, of any age, and at each change
of plan that was not worked off, and goes on where an actor stopped: jobs that were recorded and never started,
results whose completion nobody was told of, archives and restores that were left half-way, trash, deletions. The log
has a line for each. What cannot be repaired is told there and in the record, and never deleted.

**Backfills.** `gas backfill reconcile --from 2026-11-01T00:00 --to 2026-11-01T12:00`, or Airflow's own page, command
and API, check every record of the jobs that were *submitted* in each interval, open or not, and look whether their
results are where the record says; in any order and as often as you like.

**When something goes wrong.** Trouble with one record stops no other. The task then fails and is tried again.

**By hand.** `gas reconcile --dry-run` tells what a run would do. So does a run triggered with `{"dry_run": true}`, in
its log; in a backfill that is `--conf '{"dry_run": true}'`.

**Settings.** `GAS_INSTALLED` (the day of installation).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DeltaDataIntervalTimetable, Param, dag, task

from gas.settings import Settings
from gas_airflow.defaults import task_defaults

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

settings = Settings.from_environment()


@dag(
    dag_id="reconcile",
    schedule=DeltaDataIntervalTimetable(timedelta(minutes=5)),
    start_date=settings.installed_at,
    catchup=False,
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Only tell what would be repaired.")},
    doc_md=__doc__,
    tags=["gas", "storage"],
    max_active_runs=1,
    max_active_tasks=1,
    default_args=task_defaults(retries=2, first=timedelta(seconds=10), longest=timedelta(minutes=1)),
)
def reconcile() -> None:
    """One look at all that is open."""

    @task(task_id="reconcile")
    def repair(dag_run: DagRunProtocol, params: dict[str, Any]) -> int:
        """Repair what is found; how much that was."""
        import logging

        from gas import metrics, reconcile
        from gas_airflow.connections import connected_services
        from gas_airflow.findings import told

        services, dry_run = connected_services(), params["dry_run"]
        if dag_run.run_type == "backfill":
            start, end = dag_run.data_interval_start, dag_run.data_interval_end
            after, before = int(start.timestamp()), int(end.timestamp())
            findings = reconcile.check(services, after=after, before=before, dry_run=dry_run)
        else:
            findings = reconcile.reconcile(services, dry_run=dry_run)
        metrics.measure(services)
        return told(findings, logging.getLogger(reconcile.__name__), metrics=services.metrics)

    repair()


reconcile()
