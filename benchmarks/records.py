"""What is read of a table of a million records for what is asked of it, against what the answer needs."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from jobs import told
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends

from gas.archive import transfer
from gas.dynamodb import Item, to_item
from gas.job import JobStatus, StorageState, new_job_id
from gas.jobs_table import PRESENT, submit_month
from gas.local.variables import ACCOUNT, REGION
from gas.provision import provision
from gas.reconcile import check
from gas.services import Services, build
from gas.settings import Settings

PERSON = "11111111-1111-4111-8111-111111111111"
#: One record in so many is the measured person's.
SHARE = 20
OTHERS = 2_000
DAY_S = 86_400
DAYS = 365
#: Results that wait for their delay, and jobs that were submitted in the interval.
DUE = 5_000
PAGE = 25
DELAY_S = 300


class Reads(Counter[str]):
    """Rows of indexes and records, as DynamoDB counts what it reads."""

    def attach(self, session: boto3.Session) -> None:
        """Count whatever clients of this session read."""
        session.events.register("after-call.dynamodb", self._count)

    def _count(self, parsed: Item, model: Any, **_: object) -> None:
        match model.name:
            case "Query" | "Scan":
                self["rows"] += parsed["ScannedCount"]
            case "BatchGetItem":
                self["records"] += sum(map(len, parsed["Responses"].values()))
            case "GetItem":
                self["records"] += 1


def measure(*, records: int) -> None:
    """My jobs, what is due, and a reconcile of one interval, over so many records."""
    with installed() as (services, reads):
        now = int(time.time())
        interval = fill(services, records, now=now)
        page = services.jobs.of_user(PERSON, limit=PAGE)
        report(f"my jobs, a page of {PAGE}", reads, len(page.items), records)
        due = sum(len(chunk) for chunk in transfer.due(services, before=now - DELAY_S))
        report("due jobs", reads, due, records)
        findings = list(check(services, after=now - 30 * DAY_S, before=now - 30 * DAY_S + 3600, dry_run=True))
        if findings:
            raise RuntimeError(f"records were not as they should be: {findings[0]}")
        report("reconcile of one interval of an hour", reads, interval, records)


def report(what: str, reads: Reads, needed: int, records: int) -> None:
    """Rows of the index read for each that was needed; then count anew."""
    told(
        f"{records} records in the table, {what}: items read, over items needed",
        max(reads["rows"], reads["records"]) / needed,
        "<= 1.2",
        index_rows=reads["rows"],
        records_read=reads["records"],
        needed=needed,
    )
    reads.clear()


@contextmanager
def installed() -> Iterator[tuple[Services, Reads]]:
    """GAS on moto in this very process: a million records are written past its API."""
    with mock_aws():
        keys = {"aws_access_key_id": "GASBENCH", "aws_secret_access_key": "GASBENCH", "region_name": REGION}
        session, reads = boto3.Session(**keys), Reads()
        settings = Settings(aws_account=ACCOUNT, free_result_ttl_s=DELAY_S)
        for _ in provision(settings, session=session):
            pass  # the generator works as it is read
        reads.attach(session)
        yield build(settings, session=session), reads


def fill(services: Services, count: int, *, now: int) -> int:
    """Write so many records of a year's jobs; how many were submitted in the hour that will be looked at.

    All have failed, but those that are due.
    """
    rng = random.Random(count)
    others = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(OTHERS)]
    table = dynamodb_backends[ACCOUNT][REGION].get_table(services.settings.annotations_table)
    first, last = now - 30 * DAY_S, now - 30 * DAY_S + 3600
    inside = 0
    for number in range(count):
        submitted = now - DAY_S - DAYS * DAY_S * number // count
        user_id = PERSON if number % SHARE == 0 else rng.choice(others)
        state: Item = {"job_status": JobStatus.FAILED}
        if number < DUE:
            state = {
                "job_status": JobStatus.COMPLETED,
                "storage_state": StorageState.HOT,
                "due": PRESENT,
                "due_since": submitted,
            }
        inside += first <= submitted < last
        table.put_item(to_item(record(new_job_id(), user_id=user_id, submitted=submitted) | state))
    return inside


def record(job_id: str, *, user_id: str, submitted: int) -> Item:
    """What every job's record has, and little more: a million have to fit into memory."""
    name = "bench.vcf.gz"
    return {
        "job_id": job_id,
        "user_id": user_id,
        "user_order": f"{submitted:012d}#{job_id}",
        "submit_month": submit_month(submitted),
        "input_file_name": name,
        "name_folded": name,
        "reference": "sars-cov-2",
        "submit_time": submitted,
        "complete_time": submitted,
        "input": {"bucket": "gas-inputs", "key": job_id, "version_id": "-", "sha256": "", "size_bytes": 1},
        "notified": True,
    }
