"""How long a page of My jobs takes in an account with 100,000 jobs: all of them, and searches that find much or little.

    python benchmarks/account.py [--jobs N] [--rounds N] [--call-ms MS] [--megabyte-ms MS]

The stand-in for AWS keeps no order in its indexes and reads a table whole for each page, so what is measured here is
GAS with boto3 against a server of its own that answers as DynamoDB does: rows in order, filtered behind the read, at
most 1 MB read at a time, and each answer as late as DynamoDB's are. Those two delays are assumptions: 5 ms a call and
25 ms for each megabyte read. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import bisect
import json
import multiprocessing
import statistics
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

from gas.dynamodb import Item, from_item, to_item
from gas.job import Job, JobStatus, StorageState, StoredObject
from gas.jobs_table import JobsTable, Wanted, _new_item
from gas.services import build
from gas.settings import Settings

OWNER = "11111111-1111-4111-8111-111111111111"
FIRST = 1_700_000_000
READ_BYTES = 1 << 20
#: What a row of the index holds.
INDEXED = ("job_id", "user_id", "user_order", "job_status", "storage_state", "reference", "name_folded")


@dataclass(frozen=True, kw_only=True)
class Delays:
    """How late DynamoDB answers, in seconds."""

    call_s: float
    megabyte_s: float


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


def serve(jobs: int, delays: Delays, port: Any) -> None:
    """As much of DynamoDB as a page of jobs needs, until the process is ended."""
    items = [record(number) for number in range(jobs)]
    raw = {item["job_id"]: to_item(item) for item in items}
    orders = [item["user_order"] for item in items]  # in order, as they were made
    rows = [to_item({name: item[name] for name in INDEXED if name in item}) for item in items]
    row_bytes = statistics.mean(len("".join(map(str, item.values()))) for item in items[:100])

    def query(asked: dict[str, Any]) -> dict[str, Any]:
        values = from_item(asked["ExpressionAttributeValues"])
        at = bisect.bisect_right(orders, values.get(":last", orders[-1])) - 1
        if start := asked.get("ExclusiveStartKey"):
            at = bisect.bisect_left(orders, start["user_order"]["S"]) - 1
        most = min(asked["Limit"], int(READ_BYTES / row_bytes))
        read = rows[max(0, at - most + 1) : at + 1][::-1]
        time.sleep(delays.megabyte_s * len(read) * row_bytes / READ_BYTES)
        passed = [row for row in read if passes(row, asked.get("FilterExpression", ""), values)]
        answer: dict[str, Any] = {"Items": passed, "Count": len(passed), "ScannedCount": len(read)}
        if at - most >= 0:
            answer["LastEvaluatedKey"] = {name: read[-1][name] for name in ("user_id", "user_order", "job_id")}
        return answer

    def batch_get(asked: dict[str, Any]) -> dict[str, Any]:
        ((table, wanted),) = asked["RequestItems"].items()
        return {"Responses": {table: [raw[key["job_id"]["S"]] for key in wanted["Keys"]]}, "UnprocessedKeys": {}}

    answers = {"Query": query, "BatchGetItem": batch_get}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or the body waits 40 ms for the head to be acknowledged

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(delays.call_s)
            body = json.dumps(answers[self.headers["X-Amz-Target"].rpartition(".")[2]](asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def passes(row: dict[str, Any], expression: str, values: dict[str, Any]) -> bool:
    """Whether DynamoDB's filter lets a row pass: equalities and a part of the name, all of them."""
    for name, value in values.items():
        if name == ":name" and value not in row["name_folded"]["S"]:
            return False
        attribute = name[1:]
        if f"#{attribute} =" in expression and row.get(attribute, {}).get("S") != value:
            return False
    return True


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
    parser.add_argument("--call-ms", type=float, default=5)
    parser.add_argument("--megabyte-ms", type=float, default=25)
    asked = parser.parse_args()
    delays = Delays(call_s=asked.call_ms / 1000, megabyte_s=asked.megabyte_ms / 1000)
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(asked.jobs, delays, there), daemon=True)
    server.start()
    nobody = "none"  # the server here asks nobody who they are
    session = boto3.Session(aws_access_key_id=nobody, aws_secret_access_key=nobody, region_name="us-east-1")
    table = build(Settings(), session=session, endpoint_url=f"http://127.0.0.1:{here.recv()}").jobs
    table.of_user(OWNER, limit=1)  # makes the client
    middle = FIRST + asked.jobs * 30
    for what, wanted in (
        ("newest page", Wanted()),
        ("page of days in the middle", Wanted(before=middle)),
        ("completed, which most are", Wanted(status=JobStatus.COMPLETED)),
        ("failed, one in 100", Wanted(status=JobStatus.FAILED)),
        ("part of a name, one in 1,000", Wanted(name="EXOME")),
        ("part of a name that none has", Wanted(name="nobody")),
    ):
        print(json.dumps({"page": what, "jobs": asked.jobs, **measure(table, wanted, rounds=asked.rounds)}), flush=True)
    print(json.dumps({"search": "the one oldest job by its name", **pages_to_find(table, Wanted(name="needle"))}))
    server.terminate()


if __name__ == "__main__":
    main()
