"""### gas_bench_noop: the least that Airflow can do

One run with one empty task, the bar for what a job may cost. `benchmarks/jobs.py` puts this file into the DAGs folder
while it measures; it is not part of what GAS ships.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from gas.settings import Settings

settings = Settings.from_environment()


@dag(
    dag_id="gas_bench_noop",
    schedule=None,
    doc_md=__doc__,
    tags=["gas", "benchmark"],
    max_active_runs=settings.max_running_jobs,
    max_active_tasks=settings.max_running_jobs,
    default_args={"owner": "gas", "retries": 0},
)
def gas_bench_noop() -> None:
    """One run, nothing done."""

    @task(do_xcom_push=False)
    def nothing() -> None:
        """Do nothing."""

    nothing()


gas_bench_noop()
