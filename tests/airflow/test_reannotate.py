"""The DAG that annotates jobs of the past again: what it takes, how it waits, and what it leaves alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gas import reannotation
from gas.annotate_job import run as annotate
from gas.iam import Role
from gas.job import Job, JobStatus
from gas.references import Reference
from gas.services import Services
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.airflow.ground import annotated, installed
from tests.permissions import marked

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = [*AIRFLOWS_OWN_WARNINGS, pytest.mark.usefixtures("airflow_home")]

PARAMS = {"dry_run": False, "from": None, "until": None}


@pytest.fixture
def services(aws: Any, sars_cov_2: Reference, connected: None, monkeypatch: pytest.MonkeyPatch) -> Services:
    """What the task works with; the tests carry out the jobs that it begins."""
    from gas_airflow import connections

    monkeypatch.setenv("GAS_REFERENCES", str(sars_cov_2.folder.parent))
    made = installed(aws)
    monkeypatch.setattr(connections, "connected_services", lambda: marked(made, Role.WORKER))
    return made


@pytest.fixture
def job(services: Services) -> Job:
    """A job of Alice's with a real result."""
    return annotated(services)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference in force is another than the one that jobs were made on."""
    monkeypatch.setattr(Reference, "checksum", "newer")


def operator(**options: Any) -> Any:
    from gas_airflow.reannotation import ReannotateOperator

    return ReannotateOperator(task_id="reannotate", **{"at_once": 4, **options})


def run_of(run_type: str = "backfill", **params: Any) -> Any:
    """A run whose interval is the hour around now."""
    now = datetime.now(UTC)
    run = SimpleNamespace(
        run_type=run_type,
        data_interval_start=now - timedelta(minutes=30),
        data_interval_end=now + timedelta(minutes=30),
    )
    return {"dag_run": run, "params": {**PARAMS, **params}}


def test_a_run_waits_without_a_slot_until_its_jobs_have_ended(services: Services, job: Job, newer: None) -> None:
    """It begins what its interval holds, defers for a few seconds at a time, and ends after the last of them."""
    from airflow.sdk.exceptions import TaskDeferred

    task = operator()
    with pytest.raises(TaskDeferred) as caught:
        task.execute(run_of())
    assert 0 < caught.value.trigger.moment.timestamp() - time.time() <= 5  # type: ignore[attr-defined]  # its trigger's
    new_id = reannotation.new_job_id(job.job_id, "newer")
    assert services.airflow.runs == {  # type: ignore[attr-defined]  # the fake's
        job.job_id: ("annotate", {"job_id": job.job_id, "user_id": job.user_id}),
        new_id: ("annotate", {"job_id": new_id, "user_id": job.user_id}),
    }
    annotate(services, job_id=new_id, attempt="0001-a")
    getattr(task, caught.value.method_name)(run_of())
    new = services.jobs.get(new_id)
    assert (new.job_status, new.previous_job_id) == (JobStatus.COMPLETED, job.job_id)
    assert new.changes is not None
    task.execute(run_of())  # twice is once
    assert len(services.airflow.runs) == 2  # type: ignore[attr-defined]  # the fake's


def test_a_scheduled_run_does_nothing(services: Services, job: Job, newer: None) -> None:
    """It ends at once, whatever its interval holds."""
    operator().execute(run_of("scheduled"))
    assert list(services.airflow.runs) == [job.job_id]  # type: ignore[attr-defined]  # the fake's


def test_a_dry_run_by_hand_only_tells(dag_bag: DagBag, services: Services, job: Job, newer: None) -> None:
    """Airflow runs it to its end with the times that were given, and no new job is there of it."""
    now = datetime.now(UTC)
    conf = {
        "dry_run": True,
        "from": (now - timedelta(hours=1)).isoformat(),
        "until": (now + timedelta(hours=1)).isoformat(),
    }
    assert dag_bag.dags["reannotate"].test(run_conf=conf).state == "success"
    assert services.jobs.find(reannotation.new_job_id(job.job_id, "newer")) is None


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [("2026-01-01T00:00:00Z", None, "neither"), ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "not later")],
    ids=["one", "turned round"],
)
def test_times_that_make_no_interval_are_refused(start: str, end: str | None, said: str) -> None:
    """The run fails at once, with a sentence, and is not tried again."""
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=said):
        operator().execute(run_of("manual", **{"from": start, "until": end}))


def test_a_backfill_keeps_to_its_intervals() -> None:
    """Times in its conf, the same for each of its runs, would make all of them do the same."""
    from gas_airflow.reannotation import interval

    context = run_of(**{"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"})
    assert interval(context)[0] == int(context["dag_run"].data_interval_start.timestamp())
    by_hand = run_of("manual", **{"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:01:00+00:00"})
    assert interval(by_hand) == (1767225600, 1767225660)
