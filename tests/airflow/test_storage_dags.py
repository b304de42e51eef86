"""The DAGs that move results, run by Airflow itself on the AWS stand-in, with real results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.contextvars import get_contextvars

from gas.job import ArchiveBackend, Job, Output, StorageState
from gas.references import Reference
from gas.services import Services
from gas.settings import Settings
from gas.subscription import begin, subscribe
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS, CHECKOUT
from tests.airflow.ground import annotated, installed
from tests.fakes import ALICE

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = AIRFLOWS_OWN_WARNINGS

DELAY_S = 10
DRY, WET = {"dry_run": True}, {"dry_run": False}


@pytest.fixture(params=list(ArchiveBackend))
def services(
    request: Any, aws: Any, sars_cov_2: Reference, connected: None, monkeypatch: pytest.MonkeyPatch
) -> Services:
    """GAS's services with a clock that is behind, so that what they complete is due by Airflow's clock."""
    monkeypatch.setenv("GAS_REFERENCES", str(sars_cov_2.folder.parent))
    monkeypatch.setenv("GAS_FREE_RESULT_TTL", str(DELAY_S))
    monkeypatch.setenv("GAS_ARCHIVE", request.param)
    return installed(aws, now=lambda: time.time() - DELAY_S - 1)


@pytest.fixture
def job(services: Services) -> Job:
    """A job of Alice's with a real result."""
    return annotated(services)


def restored(dag_bag: DagBag, **conf: Any) -> str:
    """The state of a run of restore with this conf; every name is given, for ``DAG.test`` keeps those of the last."""
    nothing = dict.fromkeys(("job_id", "keep", "user_id", "tier_version"))
    return dag_bag.dags["restore"].test(run_conf={**nothing, **conf}).state


def body(services: Services, job: Job, output: Output = Output.VCF) -> bytes:
    link = services.objects.presigned_download(job.outputs[output], file_name="x")
    return httpx.get(link).raise_for_status().content


def test_result_goes_and_comes_back(dag_bag: DagBag, services: Services, job: Job) -> None:
    """A run of archive takes what is due; after an upgrade a run of restore brings back the same bytes."""
    before = body(services, job)
    assert dag_bag.dags["archive"].test().state == "success"
    cold = services.jobs.get(job.job_id)
    assert (cold.storage_state, cold.s3_deleted) == (StorageState.ARCHIVED, True)
    profile = subscribe(services, ALICE.user_id)
    dag_id, conf = services.airflow.runs[f"restore-{ALICE.user_id}-{profile.tier_version}"]
    assert dag_id == "restore"
    assert restored(dag_bag, **conf) == "success"
    back = services.jobs.get(job.job_id)
    assert (back.storage_state, back.is_open) == (StorageState.HOT, False)
    assert body(services, back) == before
    assert body(services, back, Output.INDEX)
    assert body(services, back, Output.TABLE)
    assert not services.profiles.get(ALICE.user_id).restore_pending


def test_one_job_is_brought_back_by_hand(dag_bag: DagBag, services: Services, job: Job) -> None:
    """Triggered with a job's id, restore brings that job back and keeps it as long as asked."""
    dag_bag.dags["archive"].test()
    assert restored(dag_bag, job_id=job.job_id, keep=3600) == "success"
    back = services.jobs.get(job.job_id)
    assert back.storage_state is StorageState.HOT
    assert back.due_since == pytest.approx(time.time() + 3600, abs=60)


def test_two_triggerers_bring_a_set_back_once(dag_bag: DagBag, services: Services, job: Job) -> None:
    """Two processes wait for the same set, each with its own poll; both are woken, and each result is back once."""
    jobs = [job, annotated(services)]
    before = [body(services, job) for job in jobs]
    assert dag_bag.dags["archive"].test().state == "success"
    profile = subscribe(services, ALICE.user_id)
    begin(services, job_id=None, keep_s=None, user_id=ALICE.user_id, tier_version=profile.tier_version)
    command = [sys.executable, "-m", "tests.airflow.triggerer", *(job.job_id for job in jobs)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        waiting = [(process, lines_until(process, "waiting")) for process in (one, other)]
        assert all(there for _, there in waiting)
        for process, _ in waiting:
            process.stdin.write("\n" * len(jobs))
            process.stdin.flush()
        for process, _ in waiting:
            told, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert {job_id for event in events_in(told) for job_id in event["job_ids"]} == {j.job_id for j in jobs}
    assert [body(services, services.jobs.get(job.job_id)) for job in jobs] == before
    for job in jobs:
        back = services.jobs.get(job.job_id)
        assert (back.storage_state, back.trash, back.is_open) == (StorageState.HOT, None, False)
        assert back.storage_error is None
        lying = {s.version_id for s in services.objects.versions_below("") if job.job_id in s.key}
        assert lying == {stored.version_id for stored in back.outputs.values()}


def lines_until(process: subprocess.Popen[str], line: str) -> bool:
    """Whether the process prints this line."""
    assert process.stdout
    return any(printed.strip() == line for printed in process.stdout)


def events_in(printed: str) -> list[dict[str, Any]]:
    """What the process was woken by."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("conf", [{}, {"job_id": "no id"}, {"user_id": ALICE.user_id}, {"keep": -1}], ids=str)
def test_restore_of_nothing_is_refused(dag_bag: DagBag, services: Services, conf: dict[str, Any]) -> None:
    """A run that names neither one job nor one upgrade is not made, or fails at once."""
    from airflow.sdk.exceptions import ParamValidationError

    try:
        assert restored(dag_bag, **conf) == "failed"
    except ParamValidationError:
        assert "user_id" not in conf


def test_backfill_keeps_to_its_own_interval(dag_bag: DagBag, services: Services, job: Job) -> None:
    """A scheduled run takes everything due before its end; a backfill only what came due since its beginning."""
    due = dag_bag.dags["archive"].get_task("due").python_callable
    since = datetime.fromtimestamp(job.due_since, UTC)

    def found(run_type: str, start: datetime) -> list[list[str]]:
        run = SimpleNamespace(run_type=run_type, data_interval_start=start)
        return due(before=job.due_since + 1, dag_run=run, params=WET)

    later = since + timedelta(seconds=1)
    assert found("scheduled", later) == found("backfill", since) == [[job.job_id]]
    assert found("backfill", later) == []


def test_backfill_of_reconcile_looks_at_jobs_of_its_interval(dag_bag: DagBag, services: Services, job: Job) -> None:
    """Jobs submitted in the interval are checked although nothing of them is open."""
    repair = dag_bag.dags["reconcile"].get_task("reconcile").python_callable
    services.objects.delete_version(job.outputs[Output.VCF])
    submitted = datetime.fromtimestamp(job.submit_time, UTC)
    minute = timedelta(minutes=1)

    def run(start: datetime) -> Any:
        return SimpleNamespace(run_type="backfill", data_interval_start=start, data_interval_end=start + minute)

    assert repair(run(submitted - 2 * minute), WET) == 0
    assert repair(run(submitted), DRY) == 1
    assert not services.jobs.get(job.job_id).storage_error
    assert repair(run(submitted), WET) == 1
    assert services.jobs.get(job.job_id).storage_error


def test_dry_run_of_archive_only_tells(
    dag_bag: DagBag, services: Services, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """What would be archived is in the log of ``due``, each job on a line that is about it, and stays where it is."""
    run, due = SimpleNamespace(run_type="manual"), dag_bag.dags["archive"].get_task("due").python_callable
    caplog.handler.addFilter(lambda record: record.__dict__.update(about=get_contextvars().get("job_id")) or True)
    with caplog.at_level("INFO"):
        assert due(before=job.due_since + 1, dag_run=run, params=DRY) == []
    assert f"job {job.job_id}: would be archived" in caplog.messages
    assert [record.about for record in caplog.records if "would be archived" in record.getMessage()] == [job.job_id]
    assert due(before=job.due_since + 1, dag_run=run, params=WET) == [[job.job_id]]


def test_few_runs_of_archive_wait(dag_bag: DagBag) -> None:
    """Runs follow the interval that the delay asks for, from the day of installation, and there is room for them."""
    from airflow.sdk import DeltaDataIntervalTimetable

    dag, settings = dag_bag.dags["archive"], Settings.from_environment()
    assert dag.schedule == DeltaDataIntervalTimetable(settings.archive_interval)
    assert dag.start_date.date() == settings.installed
    assert settings.waiting_runs < dag.max_active_runs <= 20


def test_run_without_anything_due_succeeds(dag_bag: DagBag, services: Services) -> None:
    """Nothing due is nothing wrong."""
    assert dag_bag.dags["archive"].test().state == "success"


def test_reconcile_finds_nothing_wrong(dag_bag: DagBag, services: Services, job: Job) -> None:
    """After a job that went well there is nothing to repair."""
    assert dag_bag.dags["reconcile"].test().state == "success"
    assert services.jobs.get(job.job_id) == job
