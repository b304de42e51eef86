"""### restore: results come back from Glacier

**When.** GAS starts a run when somebody upgrades (`restore-PERSON-VERSION`), for everything the person has in the
archive, or for one job (`restore-job-JOB-N`). To bring one job back by hand, trigger with `{"job_id": "..."}`; with
`"keep": 86400` it then stays for a day before its owner's delay begins, where the owner is on the free plan.

**What.** `begin` finds what is archived, gives up archives that are half done, tells the topic `gas-restore` of each
result, and cuts the work into at most 16 sets. `retrieve` asks for each result of its set (Expedited; Standard where
that cannot be had), waits without holding a worker slot, and brings each back as soon as it has been retrieved: the
bytes are compared with the SHA-256 of the record, index and table are made anew, and the cold copy is deleted last.

**When something goes wrong.** Every step may be repeated. A retrieval that failed or expired is asked for again; a
result that cannot be brought back holds up no other, and its task is tried again when the others are there. A
retrieval may take two days. What a run leaves undone is finished by `reconcile`.

**Before others.** A task of this DAG takes the next free worker slot (`priority_weight`): somebody waits for it.

**Settings.** `GAS_AWS_CONN_ID` names the AWS connection. Which back end a result lies in is in its record.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

from gas.errors import InputError, NotFound
from gas.job import JOB_ID
from gas_airflow.defaults import jobs_label, task_defaults
from gas_airflow.sensors import GlacierRetrievalSensor


@dag(
    dag_id="restore",
    schedule=None,
    params={
        "job_id": Param(
            None,
            type=["null", "string"],
            pattern=JOB_ID.pattern,
            title="Job",
            description="One job to bring back, by its id.",
        ),
        "keep": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Keep (s)",
            description="Seconds to keep that one job at least.",
        ),
        "user_id": Param(
            None,
            type=["null", "string"],
            pattern=r"^[0-9a-f-]{36}$",
            title="Person",
            description="Set by an upgrade; leave it empty.",
        ),
        "tier_version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version of the plan",
            description="Set by an upgrade; leave it empty.",
        ),
    },
    doc_md=__doc__,
    tags=["gas", "storage"],
    max_active_runs=32,
    max_active_tasks=8,
    default_args={**task_defaults(), "priority_weight": 10, "weight_rule": "absolute"},
)
def restore() -> None:
    """One upgrade, or one job."""

    @task
    def begin(params: dict[str, Any]) -> list[list[str]]:
        """Start the way back; the jobs to wait for, in sets."""
        from gas import subscription
        from gas_airflow.connections import connected_services

        try:
            return subscription.begin(
                connected_services(),
                job_id=params["job_id"],
                keep_s=params["keep"],
                user_id=params["user_id"],
                tier_version=params["tier_version"],
            )
        except (InputError, NotFound) as error:
            raise AirflowFailException(str(error)) from error

    label = jobs_label("task.job_ids")
    GlacierRetrievalSensor.partial(task_id="retrieve", map_index_template=label).expand(job_ids=begin())


restore()
