"""### archive: free people's results move to Glacier when their delay is over

**When.** One run an interval. A run waits until its interval's end plus `GAS_FREE_RESULT_TTL`, without holding a worker
slot, and then archives **everything** that came due before its interval's end: what an outage or a shortened delay has
left is taken along. However many results wait, few runs do: the interval follows from the delay, and at most 12 of it
fit into the delay (`GAS_ARCHIVE_INTERVAL` overrides, in seconds).

**What.** `wait`, then `due` dates the results of people who went back to the free plan and lists what is due, then
`archive` takes it in chunks: copy, compare the SHA-256, commit in one transaction with the owner's plan, delete the hot
version last. Who upgrades before the commit keeps the result where it is.

**When something goes wrong.** Every step may be repeated: retries, cleared tasks and killed workers lose nothing. What
has been left half-way is finished by `reconcile`, also where this DAG is paused.

**Backfills.** `gas backfill archive --from 2026-11-01 --to 2026-11-07`, or Airflow's own page, command and API, archive
what came due in past intervals, and only that, in any order and as often as you like.

**By hand.** A run started by hand archives what is due now. Trigger with `{"dry_run": true}` to have it told in the log
of `due` and nothing archived; in a backfill that is `--conf '{"dry_run": true}'`.

**Settings.** `GAS_FREE_RESULT_TTL` (seconds, 300 unless set), `GAS_ARCHIVE_INTERVAL`, `GAS_ARCHIVE` (`storage-class` or
`vault`), `GAS_INSTALLED` (the day of installation, before which there is nothing to archive).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DeltaDataIntervalTimetable, Param, dag, task

from gas.settings import Settings
from gas_airflow.defaults import jobs_label, task_defaults
from gas_airflow.sensors import FreeUserDelaySensor

if TYPE_CHECKING:
    from airflow.sdk.types import DagRunProtocol

settings = Settings.from_environment()

#: Airflow maps over at most 1,024; what is due beyond so many chunks is taken by the next run.
CHUNKS = 512


@dag(
    dag_id="archive",
    schedule=DeltaDataIntervalTimetable(settings.archive_interval),
    start_date=settings.installed_at,
    catchup=False,
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Only tell what would be archived.")},
    doc_md=__doc__,
    tags=["gas", "storage"],
    max_active_runs=settings.waiting_runs + 8,
    max_active_tasks=8,
    default_args=task_defaults(),
)
def archive() -> None:
    """One interval: wait, list, archive."""

    @task
    def due(before: int, dag_run: DagRunProtocol, params: dict[str, Any]) -> list[list[str]]:
        """Chunks of job ids whose results are to be archived; a backfill keeps to its own interval."""
        import logging
        from itertools import islice

        from gas.archive import transfer
        from gas.job_log import about
        from gas_airflow.connections import connected_services

        services = connected_services()
        if not params["dry_run"]:
            transfer.fan_out(services)
        start = dag_run.data_interval_start if dag_run.run_type == "backfill" else None
        after = int(start.timestamp()) if start else None
        chunks = list(islice(transfer.due(services, before=before, after=after), CHUNKS))
        if not params["dry_run"]:
            return chunks
        for job_id in (job_id for chunk in chunks for job_id in chunk):
            with about(job_id):
                logging.getLogger(transfer.__name__).info("job %s: would be archived", job_id)
        return []

    @task(task_id="archive", map_index_template=jobs_label("task.op_kwargs['chunk']"))
    def archive_chunk(chunk: list[str], before: int) -> dict[str, int]:
        """Archive one chunk; how many results came to what."""
        from gas.archive import transfer
        from gas_airflow.connections import connected_services

        services = connected_services()
        outcomes = transfer.archive_all(services, chunk, interval_end=before)
        for outcome, number in outcomes.items():
            services.metrics.count(f"archives.{outcome.value.lower()}", number)
        return {outcome.value: number for outcome, number in outcomes.items()}

    waited = FreeUserDelaySensor(task_id="wait")
    archive_chunk.partial(before=waited.output).expand(chunk=due(waited.output))


archive()
