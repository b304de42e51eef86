"""The annotate DAG, run by Airflow itself on the AWS stand-in with the real engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gas.errors import EngineError
from gas.job import JobStatus, Output
from gas.references import Reference
from gas.services import Services
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.airflow.ground import installed, submitted

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG


pytestmark = AIRFLOWS_OWN_WARNINGS


@pytest.fixture
def services(aws: Any, sars_cov_2: Reference, connected: None, monkeypatch: pytest.MonkeyPatch) -> Services:
    """GAS's services as the DAG finds them: through its settings and the AWS connection. Runs are started by hand."""
    monkeypatch.setenv("GAS_REFERENCES", str(sars_cov_2.folder.parent))
    return installed(aws)


@pytest.fixture
def dag(dag_bag: DagBag) -> Iterator[DAG]:
    """The DAG, its retries not waited for."""
    return dag_bag.dags["annotate"]


def test_job_runs_to_its_result(dag: DAG, services: Services) -> None:
    """A submitted VCF is COMPLETED with all its outputs by one run of the DAG."""
    job = submitted(services)
    run = dag.test(run_conf={"job_id": job.job_id})
    assert run.state == "success"
    done = services.jobs.get(job.job_id)
    assert done.job_status is JobStatus.COMPLETED
    assert set(done.outputs) == set(Output)
    assert done.counts["records"] > 0
    assert done.notified


def test_bad_input_fails_the_job_and_not_the_run(dag: DAG, services: Services) -> None:
    """For a file that is no VCF the job is FAILED with a sentence; the run did its work and succeeds."""
    job = submitted(services, b"this is a letter to my aunt\n")
    run = dag.test(run_conf={"job_id": job.job_id})
    assert run.state == "success"
    failed = services.jobs.get(job.job_id)
    assert failed.job_status is JobStatus.FAILED
    assert failed.error
    assert failed.outputs == {}


def test_cleared_run_of_a_finished_job_changes_nothing(dag: DAG, services: Services) -> None:
    """Running the DAG again for a COMPLETED job succeeds and leaves the record as it is."""
    job = submitted(services)
    dag.test(run_conf={"job_id": job.job_id})
    there = services.jobs.get(job.job_id)
    assert dag.test(run_conf={"job_id": job.job_id}).state == "success"
    assert services.jobs.get(job.job_id) == there


@pytest.mark.parametrize("exception", [EngineError("the engine ran out of memory"), "killed", None])
def test_last_failure_ends_the_job(dag: DAG, services: Services, exception: object) -> None:
    """What Airflow calls after the last try, in the worker or for one that died, leaves no job RUNNING."""
    job = submitted(services)
    services.jobs.start(job.job_id, "0001-earlier")
    (callback,) = dag.get_task("annotate_job").on_failure_callback
    ti = SimpleNamespace(try_number=6, id=uuid.uuid4())
    callback({"params": {"job_id": job.job_id}, "ti": ti, "exception": exception})
    failed = services.jobs.get(job.job_id)
    assert failed.job_status is JobStatus.FAILED
    assert failed.error
    assert failed.attempt == f"0006-{ti.id}"


@pytest.mark.parametrize("conf", [{}, {"job_id": "../x"}, {"job_id": 7}])
def test_run_without_a_job_id_is_refused(dag: DAG, services: Services, conf: dict[str, object]) -> None:
    """A run is not even made for conf that names no job."""
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        dag.test(run_conf=conf)
