"""Cold copies as objects of S3's Glacier storage class, in the results bucket under keys of their own.

The key is ``archive/JOB_ID/TOKEN`` and the archive id is the VersionId, so every copy can be found by its job, and no
key of a result ever has a version that cannot be read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from gas.archive import (
    EXPEDITED_BYTES,
    ArchiveGone,
    ColdCopy,
    Earlier,
    Retrieval,
    RetrievalGone,
    RetrievalStatus,
    RetrievalTier,
    SourceGone,
)
from gas.aws import Aws
from gas.dynamodb import code
from gas.job import Job, Output, StoredObject
from gas.objects import GONE, Objects, write
from gas.settings import GIB, MIB, Settings
from gas.storage_table import new_token

#: CopyObject takes at most 5 GiB, https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
COPY_BYTES = 5 * GIB
#: Of a larger copy's parts: at most 10,000 of them, so 5 TB.
PART_BYTES = 512 * MIB
PART_THREADS = 4
#: How long a restored copy can be read, in days; a thaw that is late asks again.
READABLE_DAYS = 2
#: Copies looked at in one turn of polling.
HEADS_A_TURN = 4


class StorageClass:
    """The S3 Glacier Flexible Retrieval storage class."""

    lists_copies = True

    def __init__(self, aws: Aws, settings: Settings, objects: Objects) -> None:
        self._aws = aws
        self._bucket = settings.results_bucket
        self._objects = objects

    def store(self, source: StoredObject, *, job_id: str, token: str) -> ColdCopy:
        """See :meth:`gas.archive.Archive.store`. The bytes stay within S3."""
        try:
            if source.size_bytes > COPY_BYTES:
                return self._copy_parts(source, key=cold_key(job_id, token))
            copied = self._aws.s3.copy_object(
                CopySource={"Bucket": source.bucket, "Key": source.key, "VersionId": source.version_id},
                Bucket=self._bucket,
                Key=cold_key(job_id, token),
                StorageClass="GLACIER",
                ChecksumAlgorithm="SHA256",
            )
        except ClientError as error:
            raise _source_gone(error, source) from error
        sha256 = _whole_sha256(copied["CopyObjectResult"]) or self._sha256(source)
        return ColdCopy(archive_id=copied["VersionId"], sha256=sha256, twin=_was_repeated(copied))

    def delete_copy(self, *, job_id: str, token: str, archive_id: str) -> None:
        """See :meth:`gas.archive.Archive.delete_copy`."""
        self._objects.delete_version(self._version(job_id, token, archive_id))

    def delete_claim(self, *, job_id: str, token: str, archive_id: str | None) -> None:
        """See :meth:`gas.archive.Archive.delete_claim`."""
        key = cold_key(job_id, token)
        self._delete(copy for copy in self._objects.versions_below(key) if copy.key == key)

    def delete_others(self, *, job_id: str, confirm: Callable[[], str | None]) -> None:
        """See :meth:`gas.archive.Archive.delete_others`."""
        copies = self._objects.versions_below(_prefix(job_id))
        if len(copies) > 1:
            named = confirm()
            if named is not None:
                self._delete(copy for copy in copies if copy.version_id != named)

    def delete_all(self, *, job_id: str, archive_ids: Collection[str]) -> None:
        """See :meth:`gas.archive.Archive.delete_all`."""
        self._objects.delete_prefix(self._bucket, _prefix(job_id))

    def is_missing(self, *, job_id: str, token: str, archive_id: str) -> bool:
        """See :meth:`gas.archive.Archive.is_missing`: one HEAD."""
        return not self._objects.exists(self._version(job_id, token, archive_id))

    def earlier(self) -> Earlier:
        """See :meth:`gas.archive.Archive.earlier`."""
        return {}

    def ask(self, job: Job, *, earlier: Earlier) -> tuple[str, RetrievalTier]:
        """See :meth:`gas.archive.Archive.ask`. S3 gives a restore no id, so the retrieval's is made here."""
        small = job.outputs[Output.VCF].size_bytes <= EXPEDITED_BYTES
        tier = RetrievalTier.EXPEDITED if small else RetrievalTier.STANDARD
        try:
            self._restore(job, tier)
        except ClientError as error:
            if code(error) != "GlacierExpeditedRetrievalNotAvailable":
                raise
            tier = RetrievalTier.STANDARD
            self._restore(job, tier)
        return new_token(), tier

    def status(self, retrieval: Retrieval) -> RetrievalStatus:
        """See :meth:`gas.archive.Archive.status`."""
        copy = self._version(retrieval.job_id, retrieval.token, retrieval.archive_id)
        try:
            head = self._aws.s3.head_object(Bucket=copy.bucket, Key=copy.key, VersionId=copy.version_id)
        except ClientError as error:
            if code(error) in GONE:
                return RetrievalStatus.GONE
            raise
        restore = head.get("Restore", "")
        if 'ongoing-request="true"' in restore:
            return RetrievalStatus.WAITING
        return RetrievalStatus.READY if restore else RetrievalStatus.GONE

    def statuses(self, waiting: Sequence[Retrieval], *, turn: int) -> Mapping[str, RetrievalStatus]:
        """See :meth:`gas.archive.Archive.statuses`."""
        first = turn * HEADS_A_TURN
        looked_at = {waiting[(first + n) % len(waiting)] for n in range(HEADS_A_TURN)} if waiting else set()
        return {retrieval.job_id: self.status(retrieval) for retrieval in looked_at}

    def fetch(self, retrieval: Retrieval, path: Path) -> str:
        """See :meth:`gas.archive.Archive.fetch`."""
        copy = self._version(retrieval.job_id, retrieval.token, retrieval.archive_id)
        try:
            return write(self._objects.stream(copy), path)
        except ClientError as error:
            if code(error) in GONE or code(error) == "InvalidObjectState":
                raise RetrievalGone(f"the copy of job {retrieval.job_id} cannot be read: {code(error)}") from error
            raise

    def _restore(self, job: Job, tier: RetrievalTier) -> None:
        copy = self._version(job.job_id, job.archive_token or "", job.archive_id or "")
        try:
            self._aws.s3.restore_object(
                Bucket=copy.bucket,
                Key=copy.key,
                VersionId=copy.version_id,
                RestoreRequest={"Days": READABLE_DAYS, "GlacierJobParameters": {"Tier": tier.value}},
            )
        except ClientError as error:
            if code(error) in GONE:
                raise ArchiveGone(f"the cold copy of job {job.job_id}, {copy.key}, does not exist") from error
            if code(error) != "RestoreAlreadyInProgress":
                raise

    def _version(self, job_id: str, token: str, archive_id: str) -> StoredObject:
        return StoredObject(
            bucket=self._bucket, key=cold_key(job_id, token), version_id=archive_id, sha256="", size_bytes=0
        )

    def _delete(self, copies: Iterable[StoredObject]) -> None:
        self._objects.delete_versions(copies)

    def _sha256(self, source: StoredObject) -> str:
        digest = hashlib.sha256()
        for chunk in self._objects.stream(source):
            digest.update(chunk)
        return digest.hexdigest()

    def _copy_parts(self, source: StoredObject, *, key: str) -> ColdCopy:
        """Above the bound of CopyObject. S3 gives such a copy no checksum of the whole, so the source is read once."""
        s3 = self._aws.s3
        upload_id = s3.create_multipart_upload(Bucket=self._bucket, Key=key, StorageClass="GLACIER")["UploadId"]

        def copy(number: int) -> dict[str, Any]:
            first = (number - 1) * PART_BYTES
            last = min(first + PART_BYTES, source.size_bytes) - 1
            answer = s3.upload_part_copy(
                CopySource={"Bucket": source.bucket, "Key": source.key, "VersionId": source.version_id},
                CopySourceRange=f"bytes={first}-{last}",
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
            )
            return {"ETag": answer["CopyPartResult"]["ETag"], "PartNumber": number}

        try:
            sha256 = self._sha256(source)
            with ThreadPoolExecutor(PART_THREADS) as threads:
                parts: Any = list(threads.map(copy, range(1, -(-source.size_bytes // PART_BYTES) + 1)))
            done = s3.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            s3.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            raise
        return ColdCopy(archive_id=done["VersionId"], sha256=sha256)


def _prefix(job_id: str) -> str:
    return f"archive/{job_id}/"


def cold_key(job_id: str, token: str) -> str:
    """Where the copies made under a claim lie in the results bucket."""
    return f"{_prefix(job_id)}{token}"


def _whole_sha256(result: Mapping[str, Any]) -> str | None:
    """The SHA-256 that S3 computed, in hex; ``None`` where it is one of parts, or absent."""
    said = str(result.get("ChecksumSHA256", ""))
    try:
        digest = base64.b64decode(said, validate=True)
    except binascii.Error:  # "...-3": of three parts
        return None
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else None


def _was_repeated(answer: Any) -> bool:
    return bool(answer["ResponseMetadata"].get("RetryAttempts"))


def _source_gone(error: ClientError, source: StoredObject) -> Exception:
    if code(error) in GONE:
        return SourceGone(f"{source.key}, version {source.version_id}, does not exist")
    return error
