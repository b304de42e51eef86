"""What an operator does on a running stack: backfills by Airflow's own means, and GAS's commands beside the server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gas.archive import Outcome, transfer
from gas.job import JobStatus, Output, StorageState, new_job_id
from gas.local.airflow import COMMAND as AIRFLOW
from gas.local.stack import Stack
from gas.local.variables import process_environment
from gas.services import Services
from tests.live.calamities import until
from tests.live.past import SECONDS, Past, gas

pytestmark = pytest.mark.live


@pytest.fixture
def backfill(stack: Stack, airflow: httpx.Client) -> Callable[..., None]:
    """``airflow backfill create`` for the one interval that begins at some time; returns when its run has ended."""

    def backfills(dag_id: str) -> list[dict[str, Any]]:
        return airflow.get("/api/v2/backfills", params={"dag_id": dag_id}).raise_for_status().json()["backfills"]

    def create(dag_id: str, start: datetime, *more: str) -> None:
        # Airflow allows one backfill of a DAG at a time, and looks every half minute which are complete.
        until(lambda: all(earlier["completed_at"] for earlier in backfills(dag_id)), "earlier backfills are complete")
        span = ("--from-date", start.isoformat(), "--to-date", start.isoformat())
        began = datetime.now(UTC)
        command = [AIRFLOW, "backfill", "create", "--dag-id", dag_id, *span, *more]
        environment = process_environment(stack.layout)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == 0, done.stderr

        def ended() -> bool:
            query = {
                "run_type": "backfill",
                "logical_date_gte": start.isoformat(),
                "logical_date_lte": start.isoformat(),
            }
            (run,) = airflow.get(f"/api/v2/dags/{dag_id}/dagRuns", params=query).raise_for_status().json()["dag_runs"]
            assert run["state"] != "failed"
            return run["state"] == "success" and datetime.fromisoformat(run["end_date"]) > began

        until(ended, f"the backfill of {dag_id}")

    return create


AGAIN = ("--reprocess-behavior", "completed")


def test_backfill_of_archive_takes_what_came_due_in_its_interval_once(
    past: Past, days_ago: datetime, services: Services, backfill: Callable[..., None]
) -> None:
    """A past interval of six hours is archived, and nothing before or after it; done again, nothing is done."""
    jobs = [past.completed(days_ago + timedelta(hours=hours)) for hours in (-7, 1, 7)]
    backfill("archive", days_ago)
    earlier, inside, later = (services.jobs.get(job.job_id) for job in jobs)
    assert (earlier, later) == (jobs[0], jobs[2])
    assert (inside.storage_state, inside.s3_deleted, inside.is_open) == (StorageState.ARCHIVED, True, False)
    backfill("archive", days_ago, *AGAIN)
    assert [services.jobs.get(job.job_id) for job in jobs] == [earlier, inside, later]


def test_backfill_of_reconcile_checks_what_was_submitted_in_its_interval(
    past: Past, days_ago: datetime, services: Services, backfill: Callable[..., None]
) -> None:
    """Of two results that are missing only the one of the interval is noticed, and what never started is started."""
    minutes = [days_ago + timedelta(minutes=number) for number in (1, 2, 6)]
    pending = past.submitted(minutes[0])
    inside, later = (past.completed(minute) for minute in minutes[1:])
    for job in (inside, later):
        services.objects.delete_version(job.outputs[Output.VCF])
    backfill("reconcile", days_ago)
    noticed = services.jobs.get(inside.job_id)
    assert noticed.storage_error is not None
    assert services.jobs.get(later.job_id) == later
    until(lambda: services.jobs.get(pending.job_id).notified, "the job that never started is done")
    done = services.jobs.get(pending.job_id)
    assert done.job_status is JobStatus.COMPLETED
    backfill("reconcile", days_ago, *AGAIN)
    assert services.jobs.get(inside.job_id) == noticed
    assert services.jobs.get(pending.job_id) == done


def test_restore_keeps_a_result_as_long_as_asked(
    stack: Stack, past: Past, days_ago: datetime, services: Services
) -> None:
    """``gas restore JOB --keep 2h`` prints the run that brings the result back; its delay begins two hours later."""
    job = past.completed(days_ago)
    assert transfer.archive_one(services, job.job_id) is Outcome.ARCHIVED
    asked = time.time()
    printed = gas(stack, "restore", job.job_id, "--keep", "2h")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == f"restore-job-{job.job_id}-1\n"
    until(lambda: services.airflow.run_state("restore", printed.stdout.strip()) == "success", "the run succeeds")
    back = services.jobs.get(job.job_id)
    assert (back.storage_state, back.is_open) == (StorageState.HOT, False)
    assert back.outputs[Output.VCF].sha256 == job.outputs[Output.VCF].sha256
    assert back.due_since == pytest.approx(asked + 7200, abs=SECONDS)


def test_restore_of_what_has_no_result_is_refused(
    stack: Stack, past: Past, days_ago: datetime, services: Services
) -> None:
    """A job that failed has nothing to bring back, and one that does not exist neither."""
    failed = past.submitted(days_ago)
    services.jobs.fail(failed.job_id, None, "It went wrong.", "engine")
    for job_id, code in ((failed.job_id, 1), (new_job_id(), 4)):
        refused = gas(stack, "restore", job_id)
        assert (refused.returncode, refused.stdout) == (code, "")
        assert job_id in refused.stderr


@pytest.fixture
def no_scheduled_reconcile(airflow: httpx.Client) -> Iterator[None]:
    """The DAG ``reconcile`` is paused, and none of its runs is at work."""
    dag = "/api/v2/dags/reconcile"
    airflow.patch(dag, json={"is_paused": True}).raise_for_status()
    at_work = {"state": ["queued", "running"]}
    until(lambda: not airflow.get(f"{dag}/dagRuns", params=at_work).json()["dag_runs"], "reconcile is at rest")
    yield
    airflow.patch(dag, json={"is_paused": False}).raise_for_status()


@pytest.mark.usefixtures("no_scheduled_reconcile")
def test_reconcile_tells_what_it_would_do_and_then_does_it(
    stack: Stack, past: Past, days_ago: datetime, services: Services
) -> None:
    """``gas reconcile --dry-run`` prints each finding and changes nothing; without it the same is repaired."""
    job = past.submitted(days_ago)
    line = f"job {job.job_id}: is PENDING without a run: submit"
    dry = gas(stack, "reconcile", "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert line in dry.stdout.splitlines()
    assert services.jobs.get(job.job_id) == job
    assert services.airflow.run_state("annotate", job.job_id) is None

    wet = gas(stack, "reconcile")
    assert line in wet.stdout.splitlines()
    until(lambda: services.jobs.get(job.job_id).notified, "the job is done")
    assert services.jobs.get(job.job_id).job_status is JobStatus.COMPLETED
    assert line not in gas(stack, "reconcile", "--dry-run").stdout.splitlines()
