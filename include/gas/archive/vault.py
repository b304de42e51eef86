"""Cold copies as archives of a Glacier vault, as the original service kept them.

A vault gives each archive an id that only its uploader learns; nothing can be listed but by an inventory, which takes
hours. New AWS accounts can make no vaults any more.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from gas.archive.tree_hash import leaves, tree_hash
from gas.aws import Aws
from gas.dynamodb import code
from gas.events import Events
from gas.job import Job, Output, StoredObject
from gas.objects import GONE, Objects, resumed, write
from gas.settings import MIB, Settings

if TYPE_CHECKING:
    from botocore.response import StreamingBody

#: Up to this size an archive goes up in one request; above it in parts of a power of two MiB, at most 10,000 of them.
#: https://docs.aws.amazon.com/amazonglacier/latest/dev/api-multipart-initiate-upload.html
PART_BYTES = 8 * MIB
PARTS = 10_000
#: What was retrieved can be read for 24 hours. What has less than four of them left is asked for again.
READABLE = timedelta(hours=20)

#: AWS's word for a vault, an archive or a job that is not there.
MISSING = "ResourceNotFoundException"
#: The account of the credentials.
OUR_ACCOUNT = "-"
#: How a job stands, by AWS's word for it.
STATUS = {
    "InProgress": RetrievalStatus.WAITING,
    "Succeeded": RetrievalStatus.READY,
    "Failed": RetrievalStatus.GONE,
}


class Vault:
    """One vault."""

    lists_copies = False

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        objects: Objects,
        events: Events,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._aws = aws
        self._name = settings.vault
        self._topic = settings.thaw_topic
        self._objects = objects
        self._events = events
        self._now = now

    def store(self, source: StoredObject, *, job_id: str, token: str) -> ColdCopy:
        """See :meth:`gas.archive.Archive.store`. Holds one part in memory."""
        description = json.dumps({"job": job_id, "key": source.key, "token": token})
        digest = hashlib.sha256()
        size = PART_BYTES
        while size * PARTS < source.size_bytes:
            size *= 2
        try:
            parts = _parts(self._objects.stream(source), size, digest.update)
            archive_id, twin = (
                self._upload(next(parts, b""), description)
                if source.size_bytes <= size
                else self._upload_parts(parts, size, description)
            )
        except ClientError as error:
            if code(error) in GONE:
                raise SourceGone(f"{source.key}, version {source.version_id}, does not exist") from error
            raise
        return ColdCopy(archive_id=archive_id, sha256=digest.hexdigest(), twin=twin)

    def delete_copy(self, *, job_id: str, token: str, archive_id: str) -> None:
        """See :meth:`gas.archive.Archive.delete_copy`."""
        try:
            self._aws.glacier.delete_archive(accountId=OUR_ACCOUNT, vaultName=self._name, archiveId=archive_id)
        except ClientError as error:
            if code(error) != MISSING:
                raise

    def delete_claim(self, *, job_id: str, token: str, archive_id: str | None) -> None:
        """See :meth:`gas.archive.Archive.delete_claim`."""
        if archive_id is not None:
            self.delete_copy(job_id=job_id, token=token, archive_id=archive_id)

    def delete_others(self, *, job_id: str, confirm: Callable[[], str | None]) -> None:
        """See :meth:`gas.archive.Archive.delete_others`: a vault cannot."""

    def delete_all(self, *, job_id: str, archive_ids: Collection[str]) -> None:
        """See :meth:`gas.archive.Archive.delete_all`."""
        for archive_id in archive_ids:
            self.delete_copy(job_id=job_id, token="", archive_id=archive_id)

    def is_missing(self, *, job_id: str, token: str, archive_id: str) -> bool:
        """See :meth:`gas.archive.Archive.is_missing`: never known here."""
        return False

    def earlier(self) -> Earlier:
        """See :meth:`gas.archive.Archive.earlier`: one call for each 50 retrievals of the last day."""
        oldest = datetime.fromtimestamp(self._now(), UTC) - READABLE
        return {
            job["ArchiveId"]: (job["JobId"], RetrievalTier(job["Tier"]))
            for job in self._jobs()
            if job["StatusCode"] == "InProgress"
            or (job["StatusCode"] == "Succeeded" and datetime.fromisoformat(job["CompletionDate"]) > oldest)
        }

    def ask(self, job: Job, *, earlier: Earlier) -> tuple[str, RetrievalTier]:
        """See :meth:`gas.archive.Archive.ask`."""
        archive_id = job.archive_id or ""
        if archive_id in earlier:
            return earlier[archive_id]
        small = job.outputs[Output.VCF].size_bytes <= EXPEDITED_BYTES
        tier = RetrievalTier.EXPEDITED if small else RetrievalTier.STANDARD
        try:
            return self._initiate(job, tier), tier
        except ClientError as error:
            if code(error) == MISSING:
                raise ArchiveGone(f"the archive of job {job.job_id}, {archive_id}, does not exist") from error
            if code(error) != "InsufficientCapacityException":
                raise
        return self._initiate(job, RetrievalTier.STANDARD), RetrievalTier.STANDARD

    def status(self, retrieval: Retrieval) -> RetrievalStatus:
        """See :meth:`gas.archive.Archive.status`."""
        try:
            job = self._aws.glacier.describe_job(
                accountId=OUR_ACCOUNT, vaultName=self._name, jobId=retrieval.retrieval_job_id
            )
        except ClientError as error:
            if code(error) == MISSING:
                return RetrievalStatus.GONE
            raise
        return STATUS[job["StatusCode"]]

    def statuses(self, waiting: Sequence[Retrieval], *, turn: int) -> Mapping[str, RetrievalStatus]:
        """See :meth:`gas.archive.Archive.statuses`: one call for each 50 retrievals of the last day."""
        if not waiting:
            return {}
        there = {job["JobId"]: STATUS[job["StatusCode"]] for job in self._jobs()}
        return {retrieval.job_id: there.get(retrieval.retrieval_job_id, RetrievalStatus.GONE) for retrieval in waiting}

    def fetch(self, retrieval: Retrieval, path: Path) -> str:
        """See :meth:`gas.archive.Archive.fetch`."""

        def body(offset: int) -> StreamingBody:
            optional = {"range": f"bytes={offset}-{retrieval.size_bytes - 1}"} if offset else {}
            output: StreamingBody = self._aws.glacier.get_job_output(
                accountId=OUR_ACCOUNT, vaultName=self._name, jobId=retrieval.retrieval_job_id, **optional
            )["body"]
            return output

        try:
            return write(resumed(body), path)
        except ClientError as error:
            if code(error) in (MISSING, "InvalidParameterValueException"):  # the latter before it is completed
                raise RetrievalGone(f"the retrieval of job {retrieval.job_id} cannot be read: {code(error)}") from error
            raise

    def _initiate(self, job: Job, tier: RetrievalTier) -> str:
        return str(
            self._aws.glacier.initiate_job(
                accountId=OUR_ACCOUNT,
                vaultName=self._name,
                jobParameters={
                    "Type": "archive-retrieval",
                    "ArchiveId": job.archive_id,
                    "Description": job.outputs[Output.VCF].key,
                    "SNSTopic": self._events.arn(self._topic),
                    "Tier": tier.value,
                },
            )["jobId"]
        )

    def _jobs(self) -> Iterator[Mapping[str, Any]]:
        pages = self._aws.glacier.get_paginator("list_jobs").paginate(accountId=OUR_ACCOUNT, vaultName=self._name)
        for page in pages:
            for job in page["JobList"]:
                if job["Action"] == "ArchiveRetrieval":
                    yield job

    def _upload(self, body: bytes, description: str) -> tuple[str, bool]:
        done = self._aws.glacier.upload_archive(
            accountId=OUR_ACCOUNT,
            vaultName=self._name,
            archiveDescription=description,
            checksum=tree_hash(leaves(body)),
            body=body,
        )
        return str(done["archiveId"]), bool(done["ResponseMetadata"].get("RetryAttempts"))

    def _upload_parts(self, parts: Iterable[bytes], size: int, description: str) -> tuple[str, bool]:
        glacier = self._aws.glacier
        upload_id = glacier.initiate_multipart_upload(
            accountId=OUR_ACCOUNT, vaultName=self._name, archiveDescription=description, partSize=str(size)
        )["uploadId"]
        hashes: list[bytes] = []
        done = 0
        try:
            for part in parts:
                part_hashes = leaves(part)
                hashes += part_hashes
                glacier.upload_multipart_part(
                    accountId=OUR_ACCOUNT,
                    vaultName=self._name,
                    uploadId=upload_id,
                    checksum=tree_hash(part_hashes),
                    range=f"bytes {done}-{done + len(part) - 1}/*",
                    body=part,
                )
                done += len(part)
            completed = glacier.complete_multipart_upload(
                accountId=OUR_ACCOUNT,
                vaultName=self._name,
                uploadId=upload_id,
                archiveSize=str(done),
                checksum=tree_hash(hashes),
            )
        except BaseException:
            glacier.abort_multipart_upload(accountId=OUR_ACCOUNT, vaultName=self._name, uploadId=upload_id)
            raise
        return str(completed["archiveId"]), bool(completed["ResponseMetadata"].get("RetryAttempts"))


def _parts(chunks: Iterable[bytes], size: int, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    """The same bytes in parts of ``size``, the last one shorter; ``seen`` is told each chunk."""
    held = bytearray()
    for chunk in chunks:
        seen(chunk)
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
