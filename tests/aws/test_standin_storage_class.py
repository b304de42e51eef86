"""The AWS stand-in restores objects of the Glacier storage class as Amazon S3 does."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

HELD = {"Bucket": "results", "Key": "archive/1"}


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws.session.client("s3", endpoint_url=aws.endpoint_url)
    client.create_bucket(Bucket="results")
    client.put_bucket_versioning(Bucket="results", VersioningConfiguration={"Status": "Enabled"})
    return client


def _put(s3: Any, body: bytes = b"cold") -> dict[str, str]:
    return {**HELD, "VersionId": s3.put_object(**HELD, Body=body, StorageClass="GLACIER")["VersionId"]}


def _asked(s3: Any, version: dict[str, str], tier: str = "Expedited") -> None:
    s3.restore_object(**version, RestoreRequest={"Days": 2, "GlacierJobParameters": {"Tier": tier}})


def _await_restored(s3: Any, version: dict[str, str]) -> None:
    deadline = time.monotonic() + 15
    while 'ongoing-request="false"' not in s3.head_object(**version).get("Restore", ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_reading_has_to_wait_for_a_restore(s3: Any) -> None:
    """An archived version cannot be read or copied before its restore has ended, and can afterwards."""
    version = _put(s3)
    assert "Restore" not in s3.head_object(**version)
    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.get_object(**version)
    with pytest.raises(ClientError, match="ObjectNotInActiveTier"):
        s3.copy_object(CopySource=version, Bucket="results", Key="back")
    _asked(s3, version)
    _await_restored(s3, version)
    assert s3.get_object(**version)["Body"].read() == b"cold"


def test_a_restore_is_of_one_version(s3: Any) -> None:
    """A restore that names a version leaves the others as they are."""
    old, new = _put(s3, b"old"), _put(s3, b"new")
    _asked(s3, old)
    _await_restored(s3, old)
    assert "Restore" not in s3.head_object(**new)
    with pytest.raises(ClientError, match="NoSuchVersion"):
        _asked(s3, {**new, "VersionId": "00000000-0000-0000-0000-000000000000"})


def test_asking_twice_is_told(s3: Any) -> None:
    """Asking again meanwhile is RestoreAlreadyInProgress; afterwards it lengthens the time."""
    version = _put(s3)
    _asked(s3, version, "Standard")
    with pytest.raises(ClientError, match="RestoreAlreadyInProgress"):
        _asked(s3, version)
    other = _put(s3)
    _asked(s3, other)
    _await_restored(s3, other)
    _asked(s3, other)


def test_the_topic_hears_of_completion(s3: Any, aws: Any) -> None:
    """The bucket's topic is told which object can be read."""
    sns = aws.session.client("sns", endpoint_url=aws.endpoint_url)
    sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
    topic = sns.create_topic(Name="thaw")["TopicArn"]
    queue = sqs.create_queue(QueueName="thaw")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    told = {"TopicArn": topic, "Events": ["s3:ObjectRestore:Completed"]}
    s3.put_bucket_notification_configuration(
        Bucket="results", NotificationConfiguration={"TopicConfigurations": [told]}
    )
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    _asked(s3, _put(s3))
    seen: list[Any] = []
    deadline = time.monotonic() + 15
    while not any("Records" in message for message in seen):
        assert time.monotonic() < deadline
        taken = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        seen += [json.loads(message["Body"]) for message in taken]
    (record,) = [message["Records"][0] for message in seen if "Records" in message]
    assert unquote_plus(record["s3"]["object"]["key"]) == "archive/1"
