"""The AWS stand-in keeps and gives back archives as Amazon S3 Glacier does."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.utils import calculate_tree_hash


@pytest.fixture
def glacier(aws: Any) -> Any:
    client = aws.session.client("glacier", endpoint_url=aws.endpoint_url)
    client.create_vault(accountId="-", vaultName="vault")
    return client


def _upload(glacier: Any, body: bytes, description: str = "") -> str:
    done = glacier.upload_archive(accountId="-", vaultName="vault", body=body, archiveDescription=description)
    return str(done["archiveId"])


def _retrieved(glacier: Any, archive_id: str, **parameters: str) -> str:
    asked = {"Type": "archive-retrieval", "ArchiveId": archive_id, "Tier": "Expedited", **parameters}
    job_id = glacier.initiate_job(accountId="-", vaultName="vault", jobParameters=asked)["jobId"]
    _await_completion(glacier, job_id)
    return str(job_id)


def _await_completion(glacier: Any, job_id: str) -> None:
    deadline = time.monotonic() + 15
    while not glacier.describe_job(accountId="-", vaultName="vault", jobId=job_id)["Completed"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _output(glacier: Any, job_id: str, **more: str) -> Any:
    return glacier.get_job_output(accountId="-", vaultName="vault", jobId=job_id, **more)


def test_equal_files_are_two_archives(glacier: Any) -> None:
    """Two uploads of the same bytes have ids of their own, so deleting one leaves the other."""
    first, second = _upload(glacier, b"same"), _upload(glacier, b"same")
    glacier.delete_archive(accountId="-", vaultName="vault", archiveId=first)
    assert first != second
    assert len(first) == 138
    assert _output(glacier, _retrieved(glacier, second))["body"].read() == b"same"


def test_deleting_twice_is_fine(glacier: Any) -> None:
    """Deleting an archive that is gone answers as the first time."""
    archive = _upload(glacier, b"x")
    for _ in range(2):
        glacier.delete_archive(accountId="-", vaultName="vault", archiveId=archive)


def test_the_tree_hash_is_checked_and_told(glacier: Any) -> None:
    """The tree hash of a body over several mebibytes is AWS's, at upload and at retrieval."""
    body = bytes(range(256)) * 4096 * 3  # 3 MiB: three leaves
    wanted = calculate_tree_hash(io.BytesIO(body))
    done = glacier.upload_archive(accountId="-", vaultName="vault", body=body)
    assert done["checksum"] == wanted
    job_id = _retrieved(glacier, done["archiveId"])
    told = glacier.describe_job(accountId="-", vaultName="vault", jobId=job_id)
    assert (told["SHA256TreeHash"], told["ArchiveSizeInBytes"]) == (wanted, len(body))
    with pytest.raises(ClientError, match="Checksum mismatch"):
        glacier.upload_archive(accountId="-", vaultName="vault", body=body, checksum="0" * 64)


def test_a_range_is_a_part(glacier: Any) -> None:
    """A byte range gives those bytes and no more."""
    job_id = _retrieved(glacier, _upload(glacier, b"0123456789"))
    part = _output(glacier, job_id, range="bytes=2-4")
    assert (part["status"], part["body"].read()) == (206, b"234")


def test_output_outlives_the_archive(glacier: Any) -> None:
    """What was retrieved can be read after its archive was deleted."""
    archive = _upload(glacier, b"kept", "a description")
    job_id = _retrieved(glacier, archive)
    glacier.delete_archive(accountId="-", vaultName="vault", archiveId=archive)
    output = _output(glacier, job_id)
    assert (output["body"].read(), output["archiveDescription"]) == (b"kept", "a description")


def test_making_a_vault_again_keeps_it(glacier: Any) -> None:
    """Making a vault that exists leaves its archives alone."""
    archive = _upload(glacier, b"kept")
    glacier.create_vault(accountId="-", vaultName="vault")
    assert _output(glacier, _retrieved(glacier, archive))["body"].read() == b"kept"


def test_a_missing_archive_is_not_found(glacier: Any) -> None:
    """Asking for an archive or vault that is not there is ResourceNotFoundException, not a crash."""
    with pytest.raises(glacier.exceptions.ResourceNotFoundException):
        _retrieved(glacier, "0" * 138)
    with pytest.raises(glacier.exceptions.ResourceNotFoundException):
        glacier.describe_vault(accountId="-", vaultName="another")


def test_the_topic_hears_of_completion(glacier: Any, aws: Any) -> None:
    """A job's topic is told once when it completes, with the job's description."""
    sns = aws.session.client("sns", endpoint_url=aws.endpoint_url)
    sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
    topic = sns.create_topic(Name="thaw")["TopicArn"]
    queue = sqs.create_queue(QueueName="thaw")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    job_id = _retrieved(glacier, _upload(glacier, b"x"), SNSTopic=topic, Description="job 7")
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    told = json.loads(json.loads(messages[0]["Body"])["Message"])
    assert (told["JobId"], told["JobDescription"], told["StatusCode"]) == (job_id, "job 7", "Succeeded")
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)


def test_upload_in_parts(glacier: Any) -> None:
    """An archive that goes up in parts is one body, with the tree hash of the whole; wrong parts are refused."""
    body = bytes(range(256)) * 4096 * 2 + b"the last part"
    upload = glacier.initiate_multipart_upload(vaultName="vault", archiveDescription="d", partSize=str(1 << 20))
    where = {"vaultName": "vault", "uploadId": upload["uploadId"]}
    with pytest.raises(ClientError, match="Content-Range"):
        glacier.upload_multipart_part(**where, range="bytes 0-9/*", body=b"short")
    for first in reversed(range(0, len(body), 1 << 20)):
        part = body[first : first + (1 << 20)]
        glacier.upload_multipart_part(**where, range=f"bytes {first}-{first + len(part) - 1}/*", body=part)
    wanted = calculate_tree_hash(io.BytesIO(body))
    with pytest.raises(ClientError, match="Checksum mismatch"):
        glacier.complete_multipart_upload(**where, archiveSize=str(len(body)), checksum="0" * 64)
    done = glacier.complete_multipart_upload(**where, archiveSize=str(len(body)), checksum=wanted)
    assert done["checksum"] == wanted
    assert _output(glacier, _retrieved(glacier, done["archiveId"]))["body"].read() == body
    with pytest.raises(glacier.exceptions.ResourceNotFoundException):
        glacier.abort_multipart_upload(**where)


def test_aborted_upload_leaves_nothing(glacier: Any) -> None:
    """An upload in parts that is aborted makes no archive."""
    upload = glacier.initiate_multipart_upload(vaultName="vault", partSize=str(1 << 20))
    where = {"vaultName": "vault", "uploadId": upload["uploadId"]}
    glacier.upload_multipart_part(**where, range="bytes 0-0/*", body=b"x")
    glacier.abort_multipart_upload(**where)
    assert glacier.describe_vault(vaultName="vault")["NumberOfArchives"] == 0


def test_jobs_come_in_pages_of_fifty(glacier: Any) -> None:
    """All jobs are listed once, at most 50 in a page, and by status where that is asked for."""
    archive = _upload(glacier, b"x")
    asked = {"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "Standard"}
    made = {glacier.initiate_job(vaultName="vault", jobParameters=asked)["jobId"] for _ in range(51)}
    pages = [page["JobList"] for page in glacier.get_paginator("list_jobs").paginate(vaultName="vault")]
    assert list(map(len, pages)) == [50, 1]
    assert {job["JobId"] for page in pages for job in page} == made
    succeeded = glacier.list_jobs(vaultName="vault", statuscode="Succeeded")["JobList"]
    assert all(job["StatusCode"] == "Succeeded" for job in succeeded)


def test_inventory_lists_what_there_was_when_it_was_taken(glacier: Any) -> None:
    """An inventory is a job like a retrieval, and a document that later uploads and deletions do not change."""
    kept, deleted = _upload(glacier, b"kept", "a description"), _upload(glacier, b"deleted")
    asked = {"Type": "inventory-retrieval", "Format": "JSON"}
    job_id = glacier.initiate_job(vaultName="vault", jobParameters=asked)["jobId"]
    with pytest.raises(ClientError, match="not currently available"):
        _output(glacier, job_id)
    glacier.delete_archive(vaultName="vault", archiveId=deleted)
    _upload(glacier, b"late")
    (job,) = glacier.list_jobs(vaultName="vault")["JobList"]
    assert (job["Action"], job["JobId"]) == ("InventoryRetrieval", job_id)
    _await_completion(glacier, job_id)
    output = _output(glacier, job_id)
    body = output["body"].read()
    document = json.loads(body)
    assert output["contentType"] == "application/json"
    assert [archive["ArchiveId"] for archive in document["ArchiveList"]] == [kept, deleted]
    first = document["ArchiveList"][0]
    assert (first["ArchiveDescription"], first["Size"]) == ("a description", 4)
    assert first["SHA256TreeHash"] == calculate_tree_hash(io.BytesIO(b"kept"))
    assert document["InventoryDate"] <= glacier.describe_job(vaultName="vault", jobId=job_id)["CompletionDate"]
    assert glacier.describe_job(vaultName="vault", jobId=job_id)["InventorySizeInBytes"] == len(body)
    assert _output(glacier, job_id, range="bytes=1-9")["body"].read() == body[1:10]


def test_uploads_in_parts_are_listed(glacier: Any) -> None:
    """Those that have not ended come in pages of 50, with their description and when they were begun."""
    begun = {
        glacier.initiate_multipart_upload(vaultName="vault", archiveDescription="d", partSize=str(1 << 20))["uploadId"]
        for _ in range(51)
    }
    pages = [
        page["UploadsList"] for page in glacier.get_paginator("list_multipart_uploads").paginate(vaultName="vault")
    ]
    assert list(map(len, pages)) == [50, 1]
    uploads = [upload for page in pages for upload in page]
    assert {upload["MultipartUploadId"] for upload in uploads} == begun
    assert {(upload["ArchiveDescription"], upload["PartSizeInBytes"]) for upload in uploads} == {("d", 1 << 20)}
    age = datetime.now(UTC) - datetime.fromisoformat(uploads[0]["CreationDate"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=5)
