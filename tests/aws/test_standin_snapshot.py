"""What the AWS stand-in holds survives a stop, and nearly all of it a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.conftest import free_ports

SECRET = "secret"
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def port() -> int:
    return free_ports()


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Start]:
    """Start a stand-in that keeps its state, and wait until it answers."""
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gas.local.aws_standin", "--port", str(port), "--state", str(tmp_path)]
        process = subprocess.Popen(command, env={**os.environ, "AWS_SECRET_ACCESS_KEY": SECRET})
        started.append(process)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=5).raise_for_status()
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return process
        raise RuntimeError("the stand-in does not answer")

    yield begin
    for process in started:
        process.kill()
        process.wait()


def _client(port: int, service: str) -> Any:
    session = boto3.Session(aws_access_key_id="GASTEST", aws_secret_access_key=SECRET, region_name="us-east-1")
    return session.client(service, endpoint_url=f"http://127.0.0.1:{port}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_everything_is_there_after_a_stop(start: Start, port: int) -> None:
    """Objects with their versions, items, queued messages, subscriptions and archives come back."""
    process = start()
    s3, dynamodb, glacier = (_client(port, name) for name in ("s3", "dynamodb", "glacier"))
    sns, sqs = _client(port, "sns"), _client(port, "sqs")
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    bodies = [b"small", os.urandom(200_000), os.urandom(9_000_000)]
    versions = [s3.put_object(Bucket="bucket", Key="k", Body=body)["VersionId"] for body in bodies]
    dynamodb.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="t", Item={"id": {"S": "1"}, "n": {"N": "7"}})
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="before")
    glacier.create_vault(accountId="-", vaultName="v")
    archive = glacier.upload_archive(accountId="-", vaultName="v", body=os.urandom(100_000))["archiveId"]
    _stop(process)

    _stop(start())  # a second round: a snapshot of what was loaded is as good
    start()
    assert [s3.get_object(Bucket="bucket", Key="k", VersionId=v)["Body"].read() for v in versions] == bodies
    assert dynamodb.get_item(TableName="t", Key={"id": {"S": "1"}})["Item"]["n"] == {"N": "7"}
    sns.publish(TopicArn=topic, Message="after")
    received = [m for _ in range(2) for m in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2)["Messages"]]
    assert sorted("before" in message["Body"] for message in received) == [False, True]
    asked = {"Type": "archive-retrieval", "ArchiveId": archive}
    assert glacier.initiate_job(accountId="-", vaultName="v", jobParameters=asked)["jobId"]


def test_deleted_bodies_leave_the_disk(start: Start, port: int, tmp_path: Path) -> None:
    """The file of a large body goes with the next snapshot after its object was deleted."""
    process = start()
    s3 = _client(port, "s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=os.urandom(200_000))
    _stop(process)
    assert len(list((tmp_path / "bodies").iterdir())) == 1
    process = start()
    s3.delete_object(Bucket="bucket", Key="k")
    _stop(process)
    assert list((tmp_path / "bodies").iterdir()) == []


def test_a_kill_loses_little(start: Start, port: int, tmp_path: Path) -> None:
    """What was there at the last regular snapshot survives SIGKILL."""
    process = start()
    _client(port, "s3").create_bucket(Bucket="bucket")
    deadline = time.monotonic() + 20
    while not (tmp_path / "state.pickle").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.kill()
    process.wait()
    start()
    assert [bucket["Name"] for bucket in _client(port, "s3").list_buckets()["Buckets"]] == ["bucket"]
