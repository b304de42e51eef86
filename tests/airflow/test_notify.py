"""The notify DAG, and the annotate DAG's own word to a job's owner, run by Airflow on the AWS stand-in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gas import notices
from gas.job import Job, JobStatus, new_job_id
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.fakes import ALICE, pending_job

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = AIRFLOWS_OWN_WARNINGS


@pytest.fixture
def services(aws: Any, connected: None, monkeypatch: pytest.MonkeyPatch) -> Services:
    """GAS's services as the DAGs find them, and Alice."""
    monkeypatch.setenv("GAS_MAIL_FROM", "GAS <gas@gas.invalid>")
    settings = Settings.from_environment()
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    services = build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email, now=1)
    return services


@pytest.fixture
def due_soon(services: Services, aws: Any) -> Job:
    """A result of Alice's that moves to the archive in less than half the delay."""
    from tests.aws.test_notices import done

    then = time.time() - services.settings.free_result_ttl_s * 3 // 4
    past = build(services.settings, session=aws.session, endpoint_url=aws.endpoint_url, now=lambda: then)
    job_id = new_job_id()
    past.jobs.create(pending_job(job_id=job_id))
    return done(past, job_id)


def subjects(aws: Any) -> list[str]:
    letters = httpx.get(f"{aws.endpoint_url}/outbox.json").raise_for_status().json()
    return [letter["subject"] for letter in letters]


def test_run_tells_what_there_is_to_tell(dag_bag: DagBag, services: Services, due_soon: Job, aws: Any) -> None:
    """One run tells that a job ended and that its result moves soon; the next has nothing to tell."""
    assert dag_bag.dags["notify"].test().state == "success"
    told = ["GAS: cohort.vcf.gz is annotated", "GAS: cohort.vcf.gz moves to the archive soon"]
    assert subjects(aws) == told
    assert dag_bag.dags["notify"].test().state == "success"
    assert subjects(aws) == told


def test_run_looks_at_what_is_new_since_the_last(
    dag_bag: DagBag, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in sight when the last run that succeeded began is not looked at again."""
    looked: list[int | None] = []
    monkeypatch.setattr(notices, "warn", lambda _, since: looked.append(since) or 0)
    for _ in range(2):
        assert dag_bag.dags["notify"].test().state == "success"
    assert looked[1] == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("mail", ["works", "fails"])
def test_job_tells_its_owner_itself(dag_bag: DagBag, services: Services, aws: Any, mail: str) -> None:
    """The run of a job writes to its owner; where the mail service takes nothing, the run succeeds all the same."""
    if mail == "fails":
        services.mail._aws.ses.delete_identity(Identity="gas@gas.invalid")
    job_id = new_job_id()
    services.jobs.create(pending_job(job_id=job_id))
    services.jobs.start(job_id, "0000-a")  # its reference is not installed, so that it fails at once
    assert dag_bag.dags["annotate"].test(run_conf={"job_id": job_id}).state == "success"
    assert services.jobs.get(job_id).job_status is JobStatus.FAILED
    assert subjects(aws) == (["GAS: cohort.vcf.gz could not be annotated"] if mail == "works" else [])
