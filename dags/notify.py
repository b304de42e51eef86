"""### notify: telling people what their jobs came to

**When.** Every minute.

**What.** That a job ended, or a result came back from the archive, stands in the job's record from the moment on that
it is so. `tell` finds results that are about to move to the archive, and adds that to their records; then it takes all
there is to tell, and sends it by mail and to webhooks, as each person wishes. One person hears of many jobs by one
mail. That a job ended is mostly told by the job's own run already; here is told what could not be told there.

**When something goes wrong.** What mail service or webhook did not take is tried again, after a minute first and an
hour later on, for a day; the person sees why on the page of their notices. Two runs, or a run that is repeated, may in
rare cases tell a thing twice, under the same id; none is lost. No job fails over it.

**Settings.** `GAS_MAIL_FROM` (no mail without it), `GAS_ARCHIVE_NOTICE` (how long before its move to the archive a
result is told of), `GAS_WEBHOOK_PRIVATE`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DeltaDataIntervalTimetable, dag, task

from gas.settings import Settings
from gas_airflow.defaults import task_defaults

settings = Settings.from_environment()


@dag(
    dag_id="notify",
    schedule=DeltaDataIntervalTimetable(timedelta(minutes=1)),
    start_date=settings.installed_at,
    catchup=False,
    doc_md=__doc__,
    tags=["gas", "people"],
    max_active_runs=1,
    max_active_tasks=1,
    default_args=task_defaults(retries=2, first=timedelta(seconds=10), longest=timedelta(minutes=1)),
)
def notify() -> None:
    """Tell all there is to tell."""

    @task(execution_timeout=timedelta(minutes=10))
    def tell(prev_start_date_success: datetime | None = None) -> dict[str, int]:
        """Of how many results it was found that they move soon, and of how many jobs somebody was told."""
        from gas import notices
        from gas_airflow.connections import connected_services

        services = connected_services()
        since = int(prev_start_date_success.timestamp()) if prev_start_date_success else None
        return {"warned": notices.warn(services, since=since), "told": notices.deliver(services)}

    tell()


notify()
