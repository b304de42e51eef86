"""Backfills beside live work by ``gas backfill``, and the pages "GAS" in Airflow's UI, on a running stack."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

import httpx
import pytest

from gas.archive import Outcome, transfer
from gas.job import Job, JobStatus, Output, StorageState
from gas.local.stack import Stack
from gas.local.variables import process_environment
from gas.reannotation import new_job_id
from gas.services import Services
from tests.live.calamities import until
from tests.live.past import GAS, SECONDS, Past, gas

pytestmark = pytest.mark.live

LIVE_JOBS = 6


def midnight(days: int) -> datetime:
    """A day's beginning so many days ago; no other test has jobs of the days used here."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


def span(start: datetime, length: timedelta) -> tuple[str, ...]:
    """The options for the intervals that begin within a time."""
    return ("--from", start.isoformat(), "--to", (start + length).isoformat())


def now_submitted(past: Past, services: Services) -> Job:
    """A job of this very moment, whose run is asked for as the web app does."""
    job = past.submitted(datetime.now(UTC))
    services.airflow.submit("annotate", run_id=job.job_id, conf={"job_id": job.job_id, "user_id": job.user_id})
    return job


def made_on_another(services: Services, jobs: Sequence[Job]) -> None:
    """As if the reference had been another one when these were annotated."""
    for job in jobs:
        another = {":another": "another state of the reference"}
        condition = "attribute_exists(made_on)"
        services.jobs.table.update(job.job_id, update="SET made_on = :another", condition=condition, values=another)


def renewal(services: Services, old: Job) -> tuple[object, ...] | None:
    """What became of the job that annotates an old one again; another attempt at it would be seen."""
    checksum = services.references.get(old.reference).checksum
    new = services.jobs.find(new_job_id(old.job_id, checksum))
    return new and (new.job_status, new.previous_job_id, new.complete_time, new.attempts)


def test_backfills_run_in_any_order_twice_beside_live_work(stack: Stack, past: Past, services: Services) -> None:
    """Later intervals first, then all of them again, three DAGs at a time: each result is archived once, each missing
    one noticed, each job annotated again once, and the jobs of the moment are done meanwhile.
    """
    archived_day, checked_day = midnight(18), midnight(20)
    due = [past.completed(archived_day + timedelta(hours=hours)) for hours in (1, 7, 13)]
    outside = past.completed(archived_day + timedelta(hours=25))
    never_started = past.submitted(checked_day + timedelta(minutes=3))
    missing = past.completed(checked_day + timedelta(minutes=12))
    services.objects.delete_version(missing.outputs[Output.VCF])
    renewed_day = midnight(22)
    old = [past.completed(renewed_day + timedelta(hours=hours)) for hours in (1, 25)]
    made_on_another(services, old)
    assert transfer.archive_one(services, old[0].job_id) is Outcome.ARCHIVED

    later = span(archived_day + timedelta(hours=12), timedelta(hours=1))
    whole = span(archived_day, timedelta(hours=23))
    half_hour = span(checked_day, timedelta(minutes=29))
    second_day, both_days = span(renewed_day + timedelta(days=1), timedelta()), span(renewed_day, timedelta(days=1))
    with ThreadPoolExecutor() as pool:
        live = [pool.submit(now_submitted, past, services) for _ in range(LIVE_JOBS)]
        first = pool.submit(gas, stack, "backfill", "archive", *later, "--json")
        checked = pool.submit(gas, stack, "backfill", "reconcile", *half_hour, "--json")
        renewed = pool.submit(gas, stack, "backfill", "reannotate", *second_day, "--json")
        told = [json.loads(done.result().stdout) for done in (first, checked, renewed)]
    assert [(one["succeeded"], one["failed"], one["at_work"]) for one in told] == [(1, 0, 0), (6, 0, 0), (1, 0, 0)]
    new = [renewal(services, job) for job in old]
    assert new == [None, (JobStatus.COMPLETED, old[1].job_id, ANY, ANY)]
    once, noticed = services.jobs.get(due[2].job_id), services.jobs.get(missing.job_id)
    assert noticed.storage_error
    states = [services.jobs.get(job.job_id).storage_state for job in due]
    assert states == [StorageState.HOT, StorageState.HOT, StorageState.ARCHIVED]

    with ThreadPoolExecutor() as pool:
        options = [("archive", *whole), ("reconcile", *half_hour), ("reannotate", *both_days)]
        again = list(pool.map(lambda more: gas(stack, "backfill", *more), options))
    assert [(done.returncode, done.stdout) for done in again] == [
        (0, "4 runs of archive have ended, 0 of them failed.\n"),
        (0, "6 runs of reconcile have ended, 0 of them failed.\n"),
        (0, "2 runs of reannotate have ended, 0 of them failed.\n"),
    ]
    assert [renewal(services, job) for job in old] == [(JobStatus.COMPLETED, old[0].job_id, ANY, ANY), new[1]]
    assert services.jobs.get(old[0].job_id).storage_state is StorageState.ARCHIVED
    assert services.jobs.get(due[2].job_id) == once
    assert services.jobs.get(missing.job_id) == noticed
    records = [services.jobs.get(job.job_id) for job in due]
    assert [(job.storage_state, job.s3_deleted) for job in records] == [(StorageState.ARCHIVED, True)] * 3
    assert services.jobs.get(outside.job_id) == outside
    for job in (never_started, *(one.result() for one in live)):
        until(lambda job=job: services.jobs.get(job.job_id).notified, f"job {job.job_id} is done")
        assert services.jobs.get(job.job_id).job_status is JobStatus.COMPLETED


@contextmanager
def long_backfill(stack: Stack, start: datetime) -> Iterator[subprocess.Popen[str]]:
    """A backfill of ``notify`` that goes on for minutes, and whoever looks on."""
    command = [GAS, "backfill", "notify", *span(start, timedelta(hours=5)), "--at-once", "1"]
    process = subprocess.Popen(
        command, env=process_environment(stack.layout), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_running_backfill_is_told_of_left_alone_and_cancelled(stack: Stack, services: Services) -> None:
    """Ctrl-C leaves it running and says what ends it, another one is refused in a sentence, and cancelling ends it."""
    start = midnight(22)
    with long_backfill(stack, start) as looking_on:
        until(lambda: (one := services.airflow.running_backfill("notify")) and one.start == start, "it has begun")
        begun = services.airflow.running_backfill("notify")
        assert begun is not None
        until(lambda: services.airflow.backfill_runs(begun).ended, "a run has ended")
        looking_on.send_signal(signal.SIGINT)
        stdout, stderr = looking_on.communicate(timeout=SECONDS)
    assert (looking_on.returncode, stdout) == (130, "")
    assert "goes on" in stderr
    assert "`gas backfill notify --cancel`" in stderr
    refused = gas(stack, "backfill", "notify", *span(start, timedelta(hours=1)))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is already running" in refused.stderr
    cancelled = gas(stack, "backfill", "notify", "--cancel")
    assert cancelled.returncode == 0, cancelled.stderr
    until(lambda: not services.airflow.backfill_runs(begun).at_work, "the run at work has ended")
    assert gas(stack, "backfill", "notify", "--watch").returncode == 4


@pytest.mark.parametrize(
    ("dag_id", "code", "sentence"),
    [
        ("annotate", 2, "does not support backfills"),
        ("no-such-dag", 4, "Airflow knows no DAG no-such-dag"),
    ],
)
def test_what_cannot_be_backfilled_is_told(stack: Stack, dag_id: str, code: int, sentence: str) -> None:
    """A DAG without a schedule and a mistyped name are told in a sentence, with the exit code of their kind."""
    done = gas(stack, "backfill", dag_id, *span(midnight(22), timedelta(hours=1)), "--dry-run")
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_dry_run_prints_the_intervals(stack: Stack) -> None:
    """One line for each interval that would run, and nothing runs."""
    done = gas(stack, "backfill", "archive", *span(midnight(23), timedelta(hours=23)), "--dry-run")
    assert done.stdout.splitlines() == [(midnight(23) + timedelta(hours=hours)).isoformat() for hours in (0, 6, 12, 18)]


def test_task_leads_to_its_job_and_the_job_to_its_run(
    stack: Stack, past: Past, services: Services, airflow: httpx.Client
) -> None:
    """Airflow's button at a task of ``annotate`` opens the job's page there, which leads back to the run and to GAS."""
    job = now_submitted(past, services)
    run = f"/api/v2/dags/annotate/dagRuns/{job.job_id}"
    links = airflow.get(f"{run}/taskInstances/annotate_job/links").raise_for_status().json()["extra_links"]
    page = airflow.get(links["GAS job"], follow_redirects=True).raise_for_status()
    assert page.url.path == f"/gas/jobs/{job.job_id}"
    assert f'href="/dags/annotate/runs/{job.job_id}"' in page.text
    assert f"{stack.layout.web_url}/jobs/{job.job_id}" in page.text
    assert job.input_file_name not in page.text


def test_jobs_of_a_mapped_task_are_listed(stack: Stack, past: Past, services: Services, airflow: httpx.Client) -> None:
    """A task that carries several jobs is labelled by the first, and its button lists them all."""
    day = midnight(16)
    jobs = [past.completed(day + timedelta(minutes=minutes)) for minutes in (1, 2)]
    assert gas(stack, "backfill", "archive", *span(day, timedelta(hours=1))).returncode == 0
    query = {"run_type": "backfill", "logical_date_gte": day.isoformat(), "logical_date_lte": day.isoformat()}
    (run,) = airflow.get("/api/v2/dags/archive/dagRuns", params=query).json()["dag_runs"]
    tasks = f"/api/v2/dags/archive/dagRuns/{run['dag_run_id']}/taskInstances"
    labels = [
        task["rendered_map_index"] for task in airflow.get(f"{tasks}/archive/listMapped").json()["task_instances"]
    ]
    assert labels in ([f"{first.job_id} and 1 more"] for first in jobs)
    links = airflow.get(f"{tasks}/archive/links", params={"map_index": 0}).json()["extra_links"]
    page = airflow.get(links["GAS job"]).raise_for_status().text
    assert all(f'href="/gas/jobs/{job.job_id}"' in page for job in jobs)


def test_pages_need_a_sign_in_at_airflow(stack: Stack, services: Services, airflow: httpx.Client) -> None:
    """Nobody looks without one; a browser is sent there."""
    pages = (
        "/gas/",
        "/gas/overview",
        "/gas/jobs/00000000-0000-4000-8000-000000000000",
        "/gas/tasks?dag_id=annotate&run_id=x",
    )
    with httpx.Client(base_url=stack.layout.airflow_url, timeout=30, trust_env=False) as anybody:
        assert {anybody.get(page).status_code for page in pages} == {401}
        sent = anybody.get("/gas/", headers={"Accept": "text/html"})
        assert (sent.status_code, "/auth/login" in sent.headers["location"]) == (307, True)
    front = airflow.get("/gas/").raise_for_status()
    assert "frame-ancestors 'self'" in front.headers["content-security-policy"]
    assert airflow.get("/gas/overview").raise_for_status().json()["at"]
