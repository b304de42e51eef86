"""The way of the original service: a process polls a queue and starts a child process for each job. No Airflow.

The bar for what the workflow engine may cost. A child does what the job needs and no more: it marks the record,
reads from S3, runs the same engine, puts the same outputs and completes the record.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gas import annotation
from gas.aws import warm_models
from gas.job import Output
from gas.objects import OUTPUT_KEYS
from gas.services import build

if TYPE_CHECKING:
    import boto3

    from gas.settings import Settings

QUEUE = "gas-bench-requests"
CHILDREN = 2 * (os.cpu_count() or 1)
FORK = multiprocessing.get_context("fork")


def poll(settings: Settings, session: boto3.Session, endpoint_url: str, *, jobs: int) -> None:
    """Take ``jobs`` messages from the queue, each carried out by a child process; returns when all have ended."""
    warm_models(settings.region)
    sqs = session.client("sqs", endpoint_url=endpoint_url)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    running: set[BaseProcess] = set()
    taken = 0
    while taken < jobs:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=min(10, jobs - taken), WaitTimeSeconds=20, VisibilityTimeout=3600
        )
        for message in answer.get("Messages", []):
            while len(running) >= CHILDREN:
                running = _still(running)
            child = FORK.Process(
                target=_carry_out, args=(settings, session, endpoint_url, json.loads(message["Body"])["job_id"])
            )
            child.start()
            running.add(child)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            taken += 1
    for child in running:
        child.join()


def _still(running: set[BaseProcess]) -> set[BaseProcess]:
    """Wait until at least one has ended; return the others."""
    multiprocessing.connection.wait([child.sentinel for child in running])
    return {child for child in running if child.is_alive()}


def _carry_out(settings: Settings, session: boto3.Session, endpoint_url: str, job_id: str) -> None:
    services = build(settings, session=session, endpoint_url=endpoint_url)
    job = services.jobs.start(job_id, "0001-poller")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        services.objects.download(job.input, folder / "input")
        result: Any = annotation.annotate(
            folder / "input",
            folder / OUTPUT_KEYS[Output.VCF][0],
            reference=services.references.get(job.reference),
            file_name=job.input_file_name,
            processors=settings.processors,
            work_dir=folder,
            digest=True,
        )
        files = {output: getattr(result, output.value) for output in Output}

        def put(output: Output) -> Any:
            key = services.objects.output_key(output, user_id=job.user_id, job_id=job_id, attempt="0001-poller")
            return services.objects.upload(files[output], key)

        with ThreadPoolExecutor(len(files)) as threads:
            outputs = dict(zip(files, threads.map(put, files), strict=True))
        services.jobs.complete(job_id, "0001-poller", outputs, result.counts, result.notes)
