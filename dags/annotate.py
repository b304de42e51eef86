"""### annotate: one run carries one job, from the uploaded VCF to its annotated result

**When.** GAS starts a run for each submitted job; the run's id is the job's id, so that submitting twice starts one.
Nothing is scheduled, and a run cannot be backfilled. To start a job's run by hand, trigger with `{"job_id": "..."}`.

**What.** One task does all of it: it takes the job's record, streams the upload from S3, checks and annotates it in a
child process, puts the result, commits it in one conditional write and tells the topic `gas-glacier`. Then it tells the
owner, if mail service and webhook answer at once; otherwise `notify` does. Progress is in the record, not here.

**When something goes wrong.**

- *Bad input* (not a VCF, the wrong genome build, ...): the job is FAILED at once, with a sentence for its owner. The
  run **succeeds**: it did what there was to do, and nobody has to look at it. The task's log names the reason.
- *Trouble* (AWS, a full disk, a crash of the engine): the task is tried again after 5 s, 10 s, 20 s, ... After the
  last try the run is failed, and the job FAILED with a sentence that says so.
- *A killed worker*: the next try takes the job over. Attempts are fenced: a worker that wakes up late deletes what it
  put and changes nothing.
- *A cancelled job*: GAS ends its run as **failed**, which kills the task; nobody has to look at it. Where the run could
  not be stopped, the attempt learns at its next report that the job is CANCELLED, deletes what it put, and the run
  succeeds. `reconcile` removes what a killed attempt left.
- *A deleted job*: whatever its attempts put is deleted, and the run succeeds.
- *Clearing a run* is always safe. A job that has ended stays as it is; another result is always another job.

- *A task that hangs* is killed after `GAS_ENGINE_TIMEOUT_S` and six hours more, and tried again.

**Settings.** `GAS_MAX_RUNNING_JOBS` bounds the runs and tasks at once, `GAS_PROCESSORS` what one job may use,
`GAS_AWS_CONN_ID` names the AWS connection.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

from gas.errors import Fenced
from gas.job import DAG_ID, JOB_ID
from gas.settings import Settings
from gas_airflow.defaults import task_defaults

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

settings = Settings.from_environment()

#: The engine has a limit of its own; the transfers before and after it have the rest.
AT_MOST = timedelta(seconds=settings.engine_timeout_s) + timedelta(hours=6)


def attempt_of(ti: RuntimeTaskInstanceProtocol) -> str:
    """The fencing token of this try: it sorts after those of earlier tries, also after the run was cleared."""
    return f"{ti.try_number:04d}-{ti.id}"


def give_up(context: Any) -> None:
    """After the last try, wherever it ended: no job stays RUNNING for ever."""
    from gas import annotate_job, metrics
    from gas_airflow.connections import connected_services

    error = context.get("exception")
    services = connected_services()
    failed = annotate_job.give_up(
        services,
        job_id=context["params"]["job_id"],
        attempt=attempt_of(context["ti"]),
        error=error if isinstance(error, BaseException) else None,
    )
    metrics.job_ended(services, failed)


@dag(
    dag_id=DAG_ID,
    schedule=None,
    params={
        "job_id": Param(type="string", pattern=JOB_ID.pattern, title="Job", description="The job to carry out."),
        "user_id": Param(
            None,
            type=["null", "string"],
            pattern=r"^\S{1,255}$",
            title="Owner",
            description="Set by GAS, in case the job is deleted meanwhile.",
        ),
    },
    doc_md=__doc__,
    tags=["gas", "jobs"],
    max_active_runs=settings.max_running_jobs,
    max_active_tasks=settings.max_running_jobs,
    default_args=task_defaults(at_most=AT_MOST),
)
def annotate() -> None:
    """One run, one job."""

    @task(on_failure_callback=give_up, do_xcom_push=False)
    def annotate_job(params: dict[str, Any], ti: RuntimeTaskInstanceProtocol) -> None:
        """Carry out the job; see the DAG's documentation."""
        from gas import metrics, notices
        from gas.annotate_job import run
        from gas_airflow.connections import connected_services

        services = connected_services()
        try:
            run(services, job_id=params["job_id"], attempt=attempt_of(ti), user_id=params.get("user_id"))
        except Fenced as error:
            raise AirflowFailException(str(error)) from error
        notices.job_ended(services, params["job_id"])
        if services.metrics.on:
            job = services.jobs.find(params["job_id"])
            metrics.job_ended(services, job if job and job.attempt == attempt_of(ti) else None)

    annotate_job()


annotate()
