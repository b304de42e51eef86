"""### references: a new ClinVar, as soon as it is published

**When.** Once a day.

**What.** `look` names the references that were installed by `gas reference install` with ClinVar. For each of them
`update` asks ClinVar for its latest release; one that is not installed yet is fetched, checked, installed beside the
others and put in force in one step. Jobs that are running keep the version they have. The four versions installed last
stay, and the one in force. `see_to` then looks whether another version is in force than the last time, however it came
there. With `GAS_REANNOTATE_AUTO` a backfill of `reannotate` annotates the jobs of so many days again, one day at a
time; without, the log has the command that does.

Where no reference was installed that way, nothing is asked of anybody.

**When something goes wrong.** A publisher that does not answer, a file that is not what its checksum says, a full disk:
the version in force stays, the task is tried again, and goes on where it stopped. Trouble with one reference stops no
other; the run fails by its task `updated`. Another backfill of `reannotate` that is still at work is waited for until
the next day's run.

**By hand.** `gas reference update` does what `update` does; a run started by hand does all of it. Trigger with
`{"dry_run": true}` to have it told in the log of `look` what is published, and nothing fetched, begun or removed.

**Settings.** `GAS_REFERENCES`, `GAS_ENSEMBL_URL`, `GAS_CLINVAR_URL`, `GAS_REANNOTATE_AUTO` (days; 0 for none),
`GAS_INSTALLED` (the day of installation).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DeltaDataIntervalTimetable, Param, dag, task

from gas.settings import Settings
from gas_airflow.defaults import task_defaults

settings = Settings.from_environment()


@dag(
    dag_id="references",
    schedule=DeltaDataIntervalTimetable(timedelta(days=1)),
    start_date=settings.installed_at,
    catchup=False,
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Only tell what is new.")},
    doc_md=__doc__,
    tags=["gas", "references"],
    max_active_runs=1,
    max_active_tasks=1,
    default_args=task_defaults(retries=3, first=timedelta(minutes=1), longest=timedelta(hours=1)),
)
def references() -> None:
    """One look at what is published."""

    @task
    def look(params: dict[str, Any]) -> list[str]:
        """The references that follow ClinVar; in a dry run none, and what is published for each is told."""
        from gas.reference_news import tell, watch
        from gas_airflow.connections import connected_services

        services = connected_services()
        if params["dry_run"]:
            tell(services.references, services.settings)
            return []
        return list(watch(services.references))

    @task(map_index_template="{{ task.op_kwargs['name'] }}")
    def update(name: str) -> str:
        """Install a newer ClinVar, where there is one; the version in force."""
        import logging

        from gas import published
        from gas.downloads import Downloads
        from gas_airflow.connections import connected_services

        log = logging.getLogger(published.__name__)
        services = connected_services()
        store, downloads = services.references, Downloads()
        try:
            done = published.update(
                store.get(name),
                publishers=published.Publishers(services.settings, downloads),
                store=store,
                downloads=downloads,
                said=log.info,
            )
        finally:
            downloads.close()
        for version in published.prune(store, name):
            log.info("removed %s %s", name, version)
        return done.reference.version

    @task(trigger_rule="all_done")
    def see_to(params: dict[str, Any]) -> int:
        """Annotate past jobs again, or say how; for how many references."""
        import logging

        from gas import reference_news
        from gas_airflow.connections import connected_services
        from gas_airflow.findings import told

        if params["dry_run"]:
            return 0
        services = connected_services()
        findings = reference_news.see_to(
            services.references, settings=services.settings, airflow=services.airflow, now=datetime.now(UTC)
        )
        return told(findings, logging.getLogger(reference_news.__name__))

    updated = EmptyOperator(task_id="updated", doc_md="Fails, and the run with it, where an update has failed.")
    update.expand(name=look()) >> [see_to(), updated]


references()
