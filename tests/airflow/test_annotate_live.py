"""The annotate DAG on the running local stack: the scheduler's own retries, and a run cleared by an operator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import psutil
import pysam
import pytest

from gas.cancellation import cancel, sweep
from gas.job import Job, JobStatus, new_job_id
from gas.local import contents
from gas.local.layout import Layout
from gas.local.stack import Stack
from gas.references import Reference, demo_vcf
from gas.services import Services
from gas.submission import submit
from tests.fakes import ALICE

pytestmark = pytest.mark.live

PATIENCE_S = 90.0


@pytest.fixture
def services(stack: Stack) -> Iterator[Services]:
    """GAS's services on the running stack."""
    made = contents.services(stack.layout)
    yield made
    made.airflow.close()


def until(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def submitted(services: Services, body: bytes) -> Job:
    job_id = new_job_id()
    form = services.objects.presigned_upload(user_id=ALICE.user_id, job_id=job_id, max_bytes=100 << 20)
    httpx.post(form["url"], data=form["fields"], files={"file": body}, timeout=60).raise_for_status()
    return submit(services, profile=ALICE, job_id=job_id, file_name="many.vcf", reference="sars-cov-2")


@pytest.fixture
def airflow(stack: Stack) -> Iterator[httpx.Client]:
    """Airflow's API as its administrator."""
    layout = stack.layout
    with httpx.Client(base_url=layout.airflow_url, timeout=30, trust_env=False) as client:
        who = {"username": "admin", "password": layout.secrets.airflow_admin_password}
        token = client.post("/auth/token", json=who).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def many_variants(reference: Reference) -> bytes:
    """Every single-base substitution that the genome has room for: 90,000 records, a second or more of work."""
    genome = pysam.FastaFile(str(reference.fasta))
    (contig,) = reference.contigs
    bases = genome.fetch(contig.name)
    lines = [
        f"{contig.name}\t{position}\t.\t{base}\t{other}\t.\t.\t."
        for position, base in enumerate(bases, start=1)
        for other in "ACGT"
        if other != base
    ]
    header = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    return "\n".join([*header, *lines, ""]).encode()


def results(services: Services, job: Job) -> set[str]:
    """VersionIds of everything in the results bucket that any attempt of this job has put."""
    there = services.jobs.get(job.job_id)
    return {
        version.version_id
        for attempt in there.attempts
        for version in services.objects.attempt_versions(user_id=job.user_id, job_id=job.job_id, attempt=attempt)
    }


def test_cleared_run_of_a_completed_job_succeeds_and_changes_nothing(services: Services, airflow: httpx.Client) -> None:
    """An operator clears the run of a COMPLETED job: it succeeds again, and the record is as it was."""
    job = submitted(services, demo_vcf().read_bytes())
    until(lambda: services.jobs.get(job.job_id).notified)
    there = services.jobs.get(job.job_id)
    run = f"/api/v2/dags/annotate/dagRuns/{job.job_id}"
    until(lambda: airflow.get(run).json()["state"] == "success")
    airflow.post(f"{run}/clear", json={"dry_run": False}).raise_for_status()
    task = f"{run}/taskInstances/annotate_job"
    until(lambda: airflow.get(task).json()["try_number"] == 2 and airflow.get(run).json()["state"] == "success")
    assert services.jobs.get(job.job_id) == there


def test_service_user_may_run_a_run_again(services: Services) -> None:
    """The web app's narrow user in Airflow may have failed tasks tried again; where none has failed nothing happens."""
    job = submitted(services, demo_vcf().read_bytes())
    until(lambda: services.airflow.run_state("annotate", job.job_id) == "success")
    services.airflow.run_again("annotate", job.job_id)
    assert services.airflow.run_state("annotate", job.job_id) == "success"


def test_killed_worker_is_taken_over_by_the_next_try(stack: Stack, services: Services, sars_cov_2: Reference) -> None:
    """kill -9 of the process that annotates, in the middle: Airflow's next try ends the job with one result."""
    job = submitted(services, many_variants(sars_cov_2))
    until(lambda: services.jobs.get(job.job_id).job_status is JobStatus.RUNNING)
    victims = task_processes(stack.layout)
    assert victims
    for victim in victims:
        victim.kill()
    assert services.jobs.get(job.job_id).job_status is JobStatus.RUNNING
    until(lambda: services.jobs.get(job.job_id).notified)
    done = services.jobs.get(job.job_id)
    assert done.job_status is JobStatus.COMPLETED
    assert len(done.attempts) == 2
    assert results(services, job) == {stored.version_id for stored in done.outputs.values()}


def test_cancelled_job_stops_its_run_and_its_processes(
    stack: Stack, services: Services, sars_cov_2: Reference, airflow: httpx.Client
) -> None:
    """The web app's narrow user may stop a run at work: its task ends with every process it has, and leaves no file."""
    job = submitted(services, many_variants(sars_cov_2))
    until(lambda: services.jobs.get(job.job_id).progress is not None and task_processes(stack.layout))
    at_work = [one for task in task_processes(stack.layout) for one in (task, *task.children(recursive=True))]
    assert cancel(services, job_id=job.job_id, user_id=job.user_id).job_status is JobStatus.CANCELLED
    assert airflow.get(f"/api/v2/dags/annotate/dagRuns/{job.job_id}").json()["state"] == "failed"
    until(lambda: not any(process.is_running() for process in at_work))
    sweep(services, services.jobs.get(job.job_id))
    there = services.jobs.get(job.job_id)
    assert (there.job_status, there.is_open) == (JobStatus.CANCELLED, False)
    assert results(services, job) == set()


def task_processes(layout: Layout) -> list[psutil.Process]:
    """The processes in which this stack's tasks run: what the workers of its executor have forked."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        if " ".join(process.info["cmdline"] or ()).startswith("airflow worker -- LocalExecutor"):
            with suppress(psutil.Error):
                if process.environ().get("GAS_STATE") == str(layout.state):
                    found += process.children()
    return found
