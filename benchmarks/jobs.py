"""What carrying jobs through Airflow costs, against empty DAG runs and against a bare poller, on one running stack.

    python benchmarks/jobs.py [--human FOLDER] [--rounds N] [--burst N] [--large N] [--quick]

Uses the local stack of the checkout, or starts it for the while. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import poller
from genomes import seeded, variants

from gas.errors import ReferenceProblem
from gas.job import Job, JobStatus, new_job_id
from gas.local import contents
from gas.local.layout import Layout
from gas.local.stack import Stack, find
from gas.profiles_table import Tier
from gas.references import NewSource, demo_vcf
from gas.services import Services
from gas.submission import submit

CHECKOUT = Path(__file__).resolve().parents[1]
NOOP = "gas_bench_noop"
LARGE = "gas-bench-genome"
HUMAN_FIELDS = ("GMAF", "CLNSIG", "AFR", "EAS", "EUR")
PATIENCE_S = 900.0
#: How closely the end of a job is watched. A read of the record costs the stand-in 5 ms.
WATCH_S = 0.02
SUBMITTERS = 4


@dataclass(frozen=True, kw_only=True)
class Input:
    """What each job of a measurement annotates."""

    path: Path
    reference: str


class Airflow:
    """As much of Airflow's API as measuring needs."""

    def __init__(self, layout: Layout) -> None:
        self._http = httpx.Client(base_url=layout.airflow_url, timeout=60, trust_env=False)
        who = {"username": "admin", "password": layout.secrets.airflow_admin_password}
        token = self._http.post("/auth/token", json=who).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def knows(self, dag_id: str) -> bool:
        answer = self._http.get(f"/api/v2/dags/{dag_id}")
        return answer.is_success and not answer.json()["is_stale"]

    def start(self, dag_id: str, run_id: str) -> None:
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {}}
        self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body).raise_for_status()

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._http.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").raise_for_status().json()
        return answer

    def unfinished(self, dag_id: str) -> int:
        states = {"state": ["queued", "running"], "limit": 1}
        answer = self._http.get(f"/api/v2/dags/{dag_id}/dagRuns", params=states).raise_for_status()
        return int(answer.json()["total_entries"])

    def last_end(self, dag_id: str, run_ids: Sequence[str]) -> float:
        """When the last of these runs ended, in POSIX seconds."""
        return max(datetime.fromisoformat(self.run(dag_id, run_id)["end_date"]).timestamp() for run_id in run_ids)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--human", type=Path, help="a folder with a genome, its genes and a VCF; else one is generated")
    parser.add_argument("--rounds", type=int, default=25, help="sequential runs behind each p50")
    parser.add_argument("--burst", type=int, default=100, help="small jobs submitted at once")
    parser.add_argument("--large", type=int, default=20, help="large jobs submitted at once")
    parser.add_argument("--quick", action="store_true", help="very few of each: to try the benchmark itself")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.burst, asked.large = 2, 8, 2
    with running_stack() as layout, tempfile.TemporaryDirectory() as scratch:
        bench = Bench(layout)
        small = Input(path=demo_vcf(), reference="sars-cov-2")
        with bench.noop_dag():
            bench.latency(small, rounds=asked.rounds)
            bench.burst(small, jobs=asked.burst)
        with large_input(bench.services, asked.human, Path(scratch)) as (large, label):
            bench.large(large, label, jobs=asked.large)


class Submitter:
    """Somebody on the premium plan who submits jobs, without a browser."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.services.profiles.ensure("benchmark", name="Benchmark", email="bench@gas.invalid")
        self.profile = self.services.profiles.set_tier("benchmark", Tier.PREMIUM)  # large files are over the free limit

    def many_jobs(self, each: Input, jobs: int) -> float:
        """Seconds from the first submission to the last COMPLETED."""
        job_ids = [self.uploaded(each) for _ in range(jobs)]
        began = time.time()
        with ThreadPoolExecutor(SUBMITTERS) as threads:
            list(threads.map(lambda job_id: self.submitted(each, job_id), job_ids))
        for job_id in job_ids:
            until(partial(self.completed, job_id), every_s=0.25)
        return time.time() - began

    def uploaded(self, each: Input) -> str:
        """Put the input where a browser would have put it; the id of the job to be."""
        job_id = new_job_id()
        form = self.services.objects.presigned_upload(
            user_id=self.profile.user_id, job_id=job_id, max_bytes=self.services.settings.premium_upload_limit_bytes
        )
        with each.path.open("rb") as file:
            httpx.post(form["url"], data=form["fields"], files={"file": file}, timeout=60).raise_for_status()
        return job_id

    def submitted(self, each: Input, job_id: str) -> Job:
        return submit(
            self.services, profile=self.profile, job_id=job_id, file_name=each.path.name, reference=each.reference
        )

    def completed(self, job_id: str) -> bool:
        """Whether the job is COMPLETED; anything else that is an end ends the measurement."""
        job = self.services.jobs.get(job_id)
        assert job.job_status in (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.COMPLETED), job.error
        return job.job_status is JobStatus.COMPLETED


class Bench(Submitter):
    """One stack under measurement."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(contents.services(layout))
        self.layout = layout
        self.airflow = Airflow(layout)

    @contextmanager
    def noop_dag(self) -> Iterator[None]:
        """The empty DAG, known to Airflow for the while."""
        placed = CHECKOUT / "dags" / "gas_bench_noop.py"
        shutil.copy(CHECKOUT / "benchmarks" / "dags" / "noop.py", placed)
        try:
            until(lambda: self.airflow.knows(NOOP), every_s=0.5)
            yield
        finally:
            placed.unlink()

    def latency(self, small: Input, *, rounds: int) -> None:
        """p50 from submission to COMPLETED, against p50 from trigger to the end of an empty run, taken in turns."""
        self.one_job(small)
        self.one_noop()
        jobs, noops = [], []
        for _ in range(rounds):
            jobs.append(self.one_job(small))
            noops.append(self.one_noop())
        job_s, noop_s = statistics.median(jobs), statistics.median(noops)
        told(
            "small job, submit to COMPLETED, p50, over an empty run's p50",
            job_s / noop_s,
            "<= 1.5",
            job_s=job_s,
            noop_s=noop_s,
            rounds=rounds,
        )

    def burst(self, small: Input, *, jobs: int) -> None:
        """Jobs a minute when all come at once: through Airflow, as empty runs, and through the poller."""
        noop_s = self.many_noops(jobs)
        job_s = self.many_jobs(small, jobs)
        poller_s = self.polled_jobs(small, jobs)
        per_minute = {
            "jobs_a_minute": 60 * jobs / job_s,
            "noops_a_minute": 60 * jobs / noop_s,
            "poller_a_minute": 60 * jobs / poller_s,
        }
        told(f"{jobs} small jobs at once, jobs a minute, over empty runs", noop_s / job_s, ">= 0.7", **per_minute)
        told(f"{jobs} small jobs at once, jobs a minute, over a bare poller", poller_s / job_s, ">= 0.25", **per_minute)

    def large(self, large: Input, label: str, *, jobs: int) -> None:
        """Large jobs at once, against the poller."""
        job_s = self.many_jobs(large, jobs)
        poller_s = self.polled_jobs(large, jobs)
        told(
            f"{jobs} jobs of {label} at once, jobs a minute, over a bare poller",
            poller_s / job_s,
            ">= 0.8",
            jobs_a_minute=60 * jobs / job_s,
            poller_a_minute=60 * jobs / poller_s,
        )

    def one_job(self, small: Input) -> float:
        """Seconds from the submission to the record's COMPLETED."""
        job_id = self.uploaded(small)
        began = time.time()
        self.submitted(small, job_id)
        until(lambda: self.completed(job_id), every_s=WATCH_S)
        return time.time() - began

    def one_noop(self) -> float:
        """Seconds from the trigger to the end of the run, by Airflow's own clock: nothing is lost to watching."""
        run_id = new_job_id()
        began = time.time()
        self.airflow.start(NOOP, run_id)
        until(lambda: self.airflow.run(NOOP, run_id)["end_date"] is not None, every_s=0.1)
        return self.airflow.last_end(NOOP, [run_id]) - began

    def many_noops(self, runs: int) -> float:
        """Seconds from the first trigger to the end of the last run."""
        run_ids = [new_job_id() for _ in range(runs)]
        began = time.time()
        with ThreadPoolExecutor(SUBMITTERS) as threads:
            list(threads.map(lambda run_id: self.airflow.start(NOOP, run_id), run_ids))
        until(lambda: self.airflow.unfinished(NOOP) == 0, every_s=0.5)
        return self.airflow.last_end(NOOP, run_ids) - began

    def polled_jobs(self, each: Input, jobs: int) -> float:
        """The same work by the poller; seconds from the first message to the last COMPLETED."""
        session = contents.session(self.layout)
        sqs = session.client("sqs", endpoint_url=self.layout.aws_url)
        url = sqs.create_queue(QueueName=poller.QUEUE)["QueueUrl"]
        records = [self.recorded(each, self.uploaded(each)) for _ in range(jobs)]
        began = time.time()
        worker = poller.FORK.Process(
            target=poller.poll, args=(self.services.settings, session, self.layout.aws_url), kwargs={"jobs": jobs}
        )
        worker.start()
        for job in records:
            self.services.jobs.create(job)
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"job_id": job.job_id}))
        worker.join()
        took_s = time.time() - began
        assert all(self.completed(job.job_id) for job in records)
        return took_s

    def recorded(self, each: Input, job_id: str) -> Job:
        """The record of a job, not written yet."""
        stored = self.services.objects.head_input(user_id=self.profile.user_id, job_id=job_id)
        assert stored is not None
        return Job(
            job_id=job_id,
            user_id=self.profile.user_id,
            input_file_name=each.path.name,
            reference=each.reference,
            submit_time=int(time.time()),
            job_status=JobStatus.PENDING,
            input=stored,
        )


@contextmanager
def running_stack() -> Iterator[Layout]:
    """The checkout's own stack where it runs, else one that is started for the while."""
    layout = find(state=Path(os.environ.get("GAS_STATE", CHECKOUT / ".gas")), port=None)
    stack = Stack(layout)
    started = stack.up(told=lambda _: None)
    try:
        yield layout
    finally:
        if started:
            stack.down()


@contextmanager
def large_input(services: Services, folder: Path | None, scratch: Path) -> Iterator[tuple[Input, str]]:
    """About 115,000 variants of a megabase of a genome, which is installed as a reference for the while."""
    if folder:
        label, vcf = "the human file", folder / "dbsnp.vcf.gz"
        fasta, gff = folder / "GRCh38.chr21.fa.gz", folder / "ensembl84.chr21.gff3.gz"
        source = NewSource(name="dbsnp", path=vcf, info_fields=HUMAN_FIELDS)
    else:
        ground = seeded(scratch)
        label, vcf = "the seeded genome's file", variants(ground, 115_000, scratch / "large.vcf.gz")
        fasta, gff = ground.fasta, ground.gff
        source = NewSource(name="dbsnp", path=ground.source, info_fields=ground.fields)
    with suppress(ReferenceProblem):
        services.references.remove(LARGE)
    services.references.add(LARGE, fasta=fasta, gff=gff, sources=[source])
    try:
        yield Input(path=vcf, reference=LARGE), label
    finally:
        services.references.remove(LARGE)


def until(true: Callable[[], bool], *, every_s: float, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition, with a bound."""
    deadline = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("a measurement did not end")
        time.sleep(every_s)


def told(figure: str, value: float, target: str, **details: float) -> None:
    """One line of JSON."""
    rounded = {name: round(number, 3) for name, number in details.items()}
    print(json.dumps({"figure": figure, "value": round(value, 3), "target": target, **rounded}), flush=True)


if __name__ == "__main__":
    main()
