"""How long a page of My jobs takes in an account with 100,000 jobs: all of them, and searches that find much or little.

    python benchmarks/account.py [--jobs N] [--rounds N] [--call-ms MS] [--megabyte-ms MS]

What is measured is GAS with boto3 against a server that answers as DynamoDB does: ``dynamodb.py`` says how late.
Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import uuid
from typing import Any

import boto3
from dynamodb import CALL_S, MEGABYTE_S, Contents, answering

from gas.dynamodb import Item
from gas.job import Job, JobStatus, StorageState, StoredObject
from gas.jobs_table import JobsTable, Wanted, _new_item
from gas.services import build
from gas.settings import Settings

OWNER = "11111111-1111-4111-8111-111111111111"
FIRST = 1_700_000_000


def record(number: int) -> Item:
    """The item of one job: one in a hundred failed, one in a thousand is of another project."""
    job_id = str(uuid.UUID(int=number, version=4))
    name = f"{'needle' if number == 7 else 'exome' if number % 1000 == 0 else 'cohort'}-{number:06d}.vcf.gz"
    stored = StoredObject(bucket="gas-inputs", key=f"{OWNER}/{job_id}/input", version_id="v", sha256="", size_bytes=1)
    job = Job(
        job_id=job_id,
        user_id=OWNER,
        input_file_name=name,
        reference="sars-cov-2",
        submit_time=FIRST + number * 60,
        job_status=JobStatus.PENDING,
        input=stored,
    )
    failed = number % 100 == 0
    state: Item = {"job_status": "FAILED"} if failed else {"job_status": "COMPLETED", "storage_state": StorageState.HOT}
    return {**_new_item(job), **state, "counts": {"records": number, "by_impact": {"HIGH": 1, "LOW": 2}}}


def measure(table: JobsTable, wanted: Wanted, *, rounds: int, cursor: str | None = None) -> dict[str, Any]:
    """Times of one page in milliseconds, and what is on it."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        page = table.of_user(OWNER, limit=25, cursor=cursor, wanted=wanted)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    reached = None if page.reached is None else (page.reached - FIRST) // 60
    return {
        "p50_ms": round(statistics.median(took), 1),
        "p95_ms": round(took[int(len(took) * 0.95)], 1),
        "jobs_on_it": len(page.items),
        "looked_at_down_to_job": reached,
    }


def pages_to_find(table: JobsTable, wanted: Wanted) -> dict[str, Any]:
    """How many pages, and how long, until a search over the whole account has found its one job."""
    began, cursor, pages = time.perf_counter(), None, 0
    while True:
        page = table.of_user(OWNER, limit=25, cursor=cursor, wanted=wanted)
        pages, cursor = pages + 1, page.cursor
        if page.items or cursor is None:
            return {"pages": pages, "found": len(page.items), "s": round(time.perf_counter() - began, 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--call-ms", type=float, default=CALL_S * 1000)
    parser.add_argument("--megabyte-ms", type=float, default=MEGABYTE_S * 1000)
    asked = parser.parse_args()

    def contents() -> Contents:
        return Contents(jobs=[record(number) for number in range(asked.jobs)], others={})

    with answering(contents, call_s=asked.call_ms / 1000, megabyte_s=asked.megabyte_ms / 1000) as url:
        _measure_pages(url, jobs=asked.jobs, rounds=asked.rounds)


def _measure_pages(url: str, *, jobs: int, rounds: int) -> None:
    nobody = "none"  # the server here asks nobody who they are
    session = boto3.Session(aws_access_key_id=nobody, aws_secret_access_key=nobody, region_name="us-east-1")
    table = build(Settings(), session=session, endpoint_url=url).jobs
    table.of_user(OWNER, limit=1)  # makes the client
    middle = FIRST + jobs * 30
    for what, wanted in (
        ("newest page", Wanted()),
        ("page of days in the middle", Wanted(before=middle)),
        ("completed, which most are", Wanted(status=JobStatus.COMPLETED)),
        ("failed, one in 100", Wanted(status=JobStatus.FAILED)),
        ("part of a name, one in 1,000", Wanted(name="EXOME")),
        ("part of a name that none has", Wanted(name="nobody")),
    ):
        print(json.dumps({"page": what, "jobs": jobs, **measure(table, wanted, rounds=rounds)}), flush=True)
    print(json.dumps({"search": "the one oldest job by its name", **pages_to_find(table, Wanted(name="needle"))}))


if __name__ == "__main__":
    main()
