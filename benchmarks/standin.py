"""An AWS stand-in for one measurement, and many completed jobs in it."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx

from gas.aws import Aws
from gas.dynamodb import Item, to_item
from gas.job import ArchiveBackend, JobStatus, Output, StorageState, StoredObject, new_job_id
from gas.jobs_table import PRESENT, submit_month
from gas.local.variables import ACCOUNT, REGION
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings

ATTEMPT = "0001-bench"
BATCH_WRITE = 25  # items that one BatchWriteItem takes
START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A running AWS stand-in of its own."""

    url: str
    keys: dict[str, str]
    """Of its session, as boto3 takes them."""

    @cached_property
    def session(self) -> boto3.Session:
        """A session with the credentials of this stand-in."""
        return boto3.Session(**self.keys)

    @cached_property
    def aws(self) -> Aws:
        """Clients like those of GAS."""
        return Aws(region=REGION, session=self.session, endpoint_url=self.url)

    def services(self, *, backend: ArchiveBackend, now: Callable[[], float] = time.time, **settings: Any) -> Services:
        """GAS on this stand-in, with all that it needs."""
        chosen = Settings(aws_account=ACCOUNT, archive=backend, **settings)
        for _ in provision(chosen, session=self.session, endpoint_url=self.url):
            pass  # the generator works as it is read
        return build(chosen, session=self.session, endpoint_url=self.url, now=now)


@contextmanager
def stand_in(*, expedited_s: float = 0.1, standard_s: float = 0.1) -> Iterator[StandIn]:
    """Start one, empty; it keeps nothing."""
    port, secret = free_ports(1), secrets.token_hex(16)
    waits = ["--expedited-s", str(expedited_s), "--standard-s", str(standard_s)]
    process = subprocess.Popen(
        [sys.executable, "-m", "gas.local.aws_standin", "--port", str(port), *waits],
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": secret},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _await_answer(f"{url}/moto-api/data.json", process)
        keys = {"aws_access_key_id": "GASBENCH", "aws_secret_access_key": secret, "region_name": REGION}
        yield StandIn(url=url, keys=keys)
    finally:
        process.terminate()
        process.wait(timeout=60)


def free_ports(count: int) -> int:
    """The first of ``count`` free ports in a row, below those that systems give to outgoing connections."""
    for first in range(20_000 + os.getpid() % 5_000, 30_000):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("there are no free ports")


def completed_item(
    job_id: str, *, user_id: str, outputs: dict[Output, StoredObject], due_since: int, submitted: int
) -> Item:
    """The record of a free person's result that waits for its delay, as annotation and the telling leave it."""
    source = StoredObject(bucket="gas-inputs", key=f"{user_id}/{job_id}/input", version_id="-", sha256="", size_bytes=1)
    result = outputs[Output.VCF]
    return {
        "job_id": job_id,
        "user_id": user_id,
        "user_order": f"{submitted:012d}#{job_id}",
        "submit_month": submit_month(submitted),
        "input_file_name": "bench.vcf.gz",
        "reference": "sars-cov-2",
        "submit_time": submitted,
        "start_time": submitted,
        "complete_time": due_since,
        "job_status": JobStatus.COMPLETED,
        "attempt": ATTEMPT,
        "attempts": [ATTEMPT],
        "input": asdict(source),
        "outputs": {output.value: asdict(stored) for output, stored in outputs.items()},
        "s3_inputs_bucket": source.bucket,
        "s3_key_input_file": source.key,
        "s3_results_bucket": result.bucket,
        "s3_key_result_file": result.key,
        "counts": {"records": 100, "variants": 100, "impact": {"HIGH": 1, "MODERATE": 50, "LOW": 40, "MODIFIER": 9}},
        "notes": ["phase unknown"],
        "storage_state": StorageState.HOT,
        "due": PRESENT,
        "due_since": due_since,
        "notified": True,
    }


def write_items(aws: Aws, table: str, items: Sequence[Item]) -> None:
    """Put all of them, in few calls."""
    _batch_write(aws, table, [{"PutRequest": {"Item": to_item(item)}} for item in items])


def delete_items(aws: Aws, table: str, job_ids: Sequence[str]) -> None:
    """Delete the records of these jobs, in few calls."""
    _batch_write(aws, table, [{"DeleteRequest": {"Key": to_item({"job_id": job_id})}} for job_id in job_ids])


def waiting_items(count: int, *, user_id: str, bucket: str, due_since: int) -> list[Item]:
    """Records of results that wait, with nothing behind them in S3."""
    items = []
    for _ in range(count):
        job_id = new_job_id()
        outputs = {
            output: StoredObject(
                bucket=bucket,
                key=f"{user_id}/{job_id}/{ATTEMPT}/{output}",
                version_id=secrets.token_hex(16),
                sha256=secrets.token_hex(32),
                size_bytes=100_000,
            )
            for output in Output
        }
        items.append(
            completed_item(job_id, user_id=user_id, outputs=outputs, due_since=due_since, submitted=due_since - 1)
        )
    return items


def result(aws: StandIn, services: Services, vcf: Path, *, user_id: str, due_since: int, alone: bool = False) -> Item:
    """A completed job with this VCF in S3; its record is not written.

    :param alone: without anything for an index and a table.
    """
    job_id = new_job_id()
    paths = {Output.VCF: vcf}
    if not alone:
        paths |= {output: vcf.with_name(output.value) for output in (Output.INDEX, Output.TABLE)}
    outputs = {}
    for output, path in paths.items():
        if path != vcf:
            path.write_bytes(secrets.token_bytes(1_000))
        key = services.objects.output_key(output, user_id=user_id, job_id=job_id, attempt=ATTEMPT)
        outputs[output] = _put(aws, services.settings.results_bucket, key, path)
    return completed_item(job_id, user_id=user_id, outputs=outputs, due_since=due_since, submitted=due_since - 1)


def _put(aws: StandIn, bucket: str, key: str, path: Path) -> StoredObject:
    """Put a file in one request, whatever its size: the stand-in needs long to join parts."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        version_id = aws.aws.s3.put_object(Bucket=bucket, Key=key, Body=file)["VersionId"]
    size_bytes = path.stat().st_size
    return StoredObject(bucket=bucket, key=key, version_id=version_id, sha256=sha256, size_bytes=size_bytes)


def _batch_write(aws: Aws, table: str, requests: Sequence[Any]) -> None:
    for first in range(0, len(requests), BATCH_WRITE):
        batch: Any = {table: list(requests[first : first + BATCH_WRITE])}
        while batch:
            batch = aws.dynamodb.batch_write_item(RequestItems=batch)["UnprocessedItems"]


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
