"""### reannotate: jobs of the past again, on the reference in force now

**When.** Only when an operator asks: by a backfill, or by a run started by hand. A scheduled run, one a day, ends at
once; it only gives each day an interval that can be backfilled.

**What.** Each finished job that was *submitted* in the run's interval becomes a new job of its owner's, on a copy of
its input, unless it was made on the very reference that is in force. The old result stays as it is, also in the
archive. When a new job is done, its digest is compared with the old one's, and the owner is told what changed: new,
lost and changed clinical significance first, then consequences. Who has nothing new to learn is told nothing.

The new job's id follows from the old one's and the checksums of the reference: twice is once, in any order, beside live
work. `GAS_REANNOTATE_AT_ONCE` new jobs of a run are at work at most; the run waits for the rest of them without holding
a worker slot, so that people's own jobs find room.

**Backfills.** `gas backfill reannotate --from 2026-01-01 --to 2026-06-30`, or Airflow's own page, command and API.
Try `--conf '{"dry_run": true}'` first: the log of each run tells which jobs it would begin.

**By hand.** A run started by hand takes the last whole day, or what was submitted `from` and `until` the given times.

**When something goes wrong.** A job that cannot be annotated again, because its input is gone or the reference is no
longer installed, is told of in the log, and stops no other. Every step may be repeated. To stop a run, mark it as
failed: jobs it has begun go on, and no more are begun.

**Settings.** `GAS_REANNOTATE_AT_ONCE`, `GAS_INSTALLED` (the day of installation).
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DeltaDataIntervalTimetable, Param, dag

from gas.settings import Settings
from gas_airflow.defaults import task_defaults
from gas_airflow.reannotation import ReannotateOperator

settings = Settings.from_environment()


@dag(
    dag_id="reannotate",
    schedule=DeltaDataIntervalTimetable(timedelta(days=1)),
    start_date=settings.installed_at,
    catchup=False,
    params={
        "dry_run": Param(False, type="boolean", title="Dry run", description="Only tell what would be begun."),
        "from": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="From",
            description="Of a run by hand: jobs submitted then or later. The run's own interval unless given.",
        ),
        "until": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Until",
            description="Of a run by hand: jobs submitted before that.",
        ),
    },
    doc_md=__doc__,
    tags=["gas", "jobs"],
    max_active_runs=4,
    max_active_tasks=4,
    default_args=task_defaults(),
)
def reannotate() -> None:
    """One interval."""
    ReannotateOperator(task_id="reannotate", at_once=settings.reannotate_at_once, doc_md=ReannotateOperator.__doc__)


reannotate()
