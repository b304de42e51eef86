"""Inputs and results in S3: keys, presigned links, and streaming with checksums.

Both buckets are versioned, and whatever GAS reads or deletes it names by VersionId. A key is made of ids alone; the
name a person gave the file is only ever a header of a download link.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, ResponseStreamingError

from gas.aws import Aws
from gas.dynamodb import code
from gas.errors import InputError, Unavailable
from gas.job import Output, StoredObject
from gas.settings import MIB, Settings

if TYPE_CHECKING:
    from botocore.response import StreamingBody

CHUNK_BYTES = MIB
#: Above this a file goes up in parts of this size, of which some are in memory at a time. S3 takes up to 10,000 parts:
#: those of a file above 160 GB are larger.
PART_BYTES = 16 * MIB
PARTS = 10_000
PART_THREADS = 4
#: No link lives shorter, or a slow click would find it dead.
SHORTEST_LINK_S = 60
#: How often a download that breaks off is taken up where it stopped.
DOWNLOAD_RESUMES = 4
#: Versions that one DeleteObjects takes.
DELETE_BATCH = 1000
#: S3's words for a version that is not there.
GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound"})

_SAFE_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")

#: What each output is called in its attempt's folder, and the type it is served as.
OUTPUT_KEYS: dict[Output, tuple[str, str]] = {
    Output.VCF: ("annotated.vcf.gz", "application/gzip"),
    Output.INDEX: ("annotated.vcf.gz.tbi", "application/octet-stream"),
    Output.LOG: ("annotated.vcf.count.log", "text/plain; charset=utf-8"),
    Output.SUMMARY: ("annotated.summary.json", "application/json"),
    Output.TABLE: ("annotated.parquet", "application/vnd.apache.parquet"),
    Output.DIGEST: ("annotated.digest.parquet", "application/vnd.apache.parquet"),
}
DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedUpload:
    """An upload in parts that has not ended."""

    bucket: str
    key: str
    upload_id: str
    begun_at: float
    """POSIX seconds."""


class Objects:
    """The two buckets of one installation."""

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._aws = aws
        self._settings = settings

    def input_key(self, *, user_id: str, job_id: str) -> str:
        """Where the upload of a job lies in the inputs bucket."""
        return f"{_safe(user_id)}/{_safe(job_id)}/input"

    def attempt_prefix(self, *, user_id: str, job_id: str, attempt: str) -> str:
        """What every key of one attempt of a job begins with in the results bucket."""
        return f"{_safe(user_id)}/{_safe(job_id)}/{_safe(attempt)}/"

    def output_key(self, output: Output, *, user_id: str, job_id: str, attempt: str) -> str:
        """Where one attempt puts one output; no two attempts share a key."""
        return self.attempt_prefix(user_id=user_id, job_id=job_id, attempt=attempt) + OUTPUT_KEYS[output][0]

    def presigned_upload(self, *, user_id: str, job_id: str, max_bytes: int) -> dict[str, Any]:
        """A form that lets a browser put this one key, up to ``max_bytes``, for ``upload_link_s`` seconds.

        :returns: ``url`` and ``fields``; the file goes last in the form, as ``file``.
        """
        return self._aws.s3.generate_presigned_post(
            Bucket=self._settings.inputs_bucket,
            Key=self.input_key(user_id=user_id, job_id=job_id),
            Fields={"Content-Type": DEFAULT_TYPE},
            Conditions=[{"Content-Type": DEFAULT_TYPE}, ["content-length-range", 1, max_bytes]],
            ExpiresIn=self._settings.upload_link_s,
        )

    def head_input(self, *, user_id: str, job_id: str) -> StoredObject | None:
        """The newest upload for this job as S3 has it; ``None`` where nothing has arrived."""
        bucket, key = self._settings.inputs_bucket, self.input_key(user_id=user_id, job_id=job_id)
        try:
            head = self._aws.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return StoredObject(
            bucket=bucket, key=key, version_id=head["VersionId"], sha256="", size_bytes=head["ContentLength"]
        )

    def copy_input(self, stored: StoredObject, *, user_id: str, job_id: str) -> None:
        """Have S3 copy exactly this version to where the upload of another job lies; nothing passes through here.

        :raises InputError: when that version is no longer there.
        """
        try:
            self._aws.s3.copy(
                CopySource={"Bucket": stored.bucket, "Key": stored.key, "VersionId": stored.version_id},
                Bucket=self._settings.inputs_bucket,
                Key=self.input_key(user_id=user_id, job_id=job_id),
            )
        except ClientError as error:
            if code(error) in GONE:
                raise InputError("the uploaded file is no longer there; upload it again") from error
            raise

    def stream_input(self, stream: BinaryIO, *, user_id: str, job_id: str) -> None:
        """Put a person's file to where the upload of a job lies; in parts, so that memory does not grow with it."""
        self._aws.s3.upload_fileobj(
            stream,
            self._settings.inputs_bucket,
            self.input_key(user_id=user_id, job_id=job_id),
            ExtraArgs={"ContentType": DEFAULT_TYPE},
            Config=TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PART_THREADS
            ),
        )

    def etag(self, stored: StoredObject) -> str:
        """S3's own word for the bytes of this version.

        :raises InputError: when that version is no longer there.
        """
        try:
            head = self._aws.s3.head_object(Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id)
        except ClientError as error:
            if code(error) in GONE:
                raise InputError("the uploaded file is no longer there; upload it again") from error
            raise
        return head["ETag"].strip('"')

    def presigned_download(
        self,
        stored: StoredObject,
        *,
        file_name: str,
        content_type: str | None = None,
        inline: bool = False,
        at_most_s: int | None = None,
    ) -> str:
        """A link to exactly this version, good for ``download_link_s`` seconds.

        :param file_name: what the browser saves it as; any text is safe here.
        :param inline: shown in the browser rather than saved.
        :param at_most_s: how long the version is sure to be there; a link lives no longer, but a minute at least.
        """
        life_s = self._settings.download_link_s
        if at_most_s is not None:
            life_s = min(life_s, max(at_most_s, SHORTEST_LINK_S))
        return self._aws.s3.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": stored.bucket,
                "Key": stored.key,
                "VersionId": stored.version_id,
                "ResponseContentDisposition": content_disposition(file_name, inline=inline),
                "ResponseContentType": content_type or DEFAULT_TYPE,
            },
            ExpiresIn=life_s,
        )

    def read_text(self, stored: StoredObject, max_bytes: int) -> str:
        """The first ``max_bytes`` bytes as UTF-8; what is not UTF-8 is shown as the replacement character."""
        if stored.size_bytes == 0:
            return ""
        last = min(max_bytes, stored.size_bytes) - 1
        body = self._aws.s3.get_object(
            Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id, Range=f"bytes=0-{last}"
        )["Body"]
        return body.read().decode("utf-8", errors="replace")

    def read_range(self, stored: StoredObject, first: int, last: int) -> bytes:
        """The bytes from ``first`` to ``last``, both included, or to the end where that comes before."""
        body = self._aws.s3.get_object(
            Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id, Range=f"bytes={first}-{last}"
        )["Body"]
        return body.read()

    def download(self, stored: StoredObject, path: Path) -> str:
        """Stream the object into ``path``; a transfer that breaks off is taken up where it stopped.

        :returns: the hex SHA-256 of what was written.
        :raises InputError: when that version is no longer there.
        """
        try:
            return write(self.stream(stored), path)
        except ClientError as error:
            if code(error) in GONE:
                raise InputError("the uploaded file is no longer there; upload it again") from error
            raise

    def stream(self, stored: StoredObject) -> Iterator[bytes]:
        """The bytes of exactly this version; a transfer that breaks off is taken up where it stopped."""

        def body(offset: int) -> StreamingBody:
            optional: dict[str, Any] = {"Range": f"bytes={offset}-"} if offset else {}
            return self._aws.s3.get_object(
                Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id, **optional
            )["Body"]

        return resumed(body)

    def upload(self, path: Path, key: str, *, content_type: str = DEFAULT_TYPE, alone: bool = True) -> StoredObject:
        """Put a file into the results bucket. S3 checks the bytes it received against their checksum.

        :param alone: nobody else puts to this key, so what a try whose answer was lost has left there is deleted.
        :returns: the version that this very call made.
        """
        bucket = self._settings.results_bucket
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            file.seek(0)
            if size <= PART_BYTES:
                put = self._aws.s3.put_object(
                    Bucket=bucket,
                    Key=key,
                    Body=file,
                    ContentType=content_type,
                    ContentLength=size,
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                )
                version = put["VersionId"]
                if (
                    alone and put["ResponseMetadata"]["RetryAttempts"]
                ):  # a put whose answer was lost has left its own version
                    self._delete_other_versions(bucket, key, version)
            else:
                version = self._upload_parts(path, bucket=bucket, key=key, size=size, content_type=content_type)
        return StoredObject(bucket=bucket, key=key, version_id=version, sha256=digest.hexdigest(), size_bytes=size)

    def exists(self, stored: StoredObject) -> bool:
        """Whether this version is there."""
        try:
            self._aws.s3.head_object(Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id)
        except ClientError as error:
            if code(error) in GONE:
                return False
            raise
        return True

    def delete_version(self, stored: StoredObject) -> None:
        """Delete this version for good; that it is gone already is no error."""
        self._aws.s3.delete_object(Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id)

    def delete_versions(self, versions: Iterable[StoredObject]) -> None:
        """Delete these versions for good, in few calls; those that are gone already are no error.

        :raises Unavailable: when S3 did not delete each of them.
        """
        for bucket, keys in _batches(versions):
            answer = self._aws.s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            for error in answer.get("Errors", []):
                if error.get("Code") not in GONE:
                    raise Unavailable(f"S3 did not delete {error.get('Key')}: {error.get('Code')}; try again")

    def result_versions(self, *, user_id: str, job_id: str) -> list[StoredObject]:
        """Every version of a job's results, whether or not its record names it; not those in the archive."""
        return list(self._versions(self._settings.results_bucket, f"{_safe(user_id)}/{_safe(job_id)}/"))

    def delete_results(self, *, user_id: str, job_id: str) -> None:
        """Delete everything that a job's attempts have put, named or not; the input stays."""
        self.delete_prefix(self._settings.results_bucket, f"{_safe(user_id)}/{_safe(job_id)}/")

    def delete_job(self, *, user_id: str, job_id: str) -> None:
        """Delete everything of a job in both buckets, whether or not its record names it; not its cold copies."""
        for bucket in (self._settings.inputs_bucket, self._settings.results_bucket):
            self.delete_prefix(bucket, f"{_safe(user_id)}/{_safe(job_id)}/")

    def delete_prefix(self, bucket: str, prefix: str) -> None:
        """Delete every version and delete marker below a prefix, and the parts of uploads that never ended there."""
        self.delete_versions(self._versions(bucket, prefix, markers=True))
        for upload in self.unfinished_uploads(bucket, prefix):
            self.abort_upload(upload)

    def everything(self, bucket: str) -> Iterator[tuple[StoredObject, float]]:
        """Every version and delete marker of a bucket, a page of keys at a time, and when it was made (POSIX seconds).

        Memory does not grow with the bucket.
        """
        for page in self._aws.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                stored = _listed(bucket, version["Key"], version["VersionId"], version["Size"])
                yield stored, version["LastModified"].timestamp()
            for marker in page.get("DeleteMarkers", []):
                stored = _listed(bucket, marker["Key"], marker["VersionId"], 0)
                yield stored, marker["LastModified"].timestamp()

    def unfinished_uploads(self, bucket: str, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """Uploads in parts below a prefix that have not ended."""
        for page in self._aws.s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            for upload in page.get("Uploads", []):
                yield UnfinishedUpload(
                    bucket=bucket,
                    key=upload["Key"],
                    upload_id=upload["UploadId"],
                    begun_at=upload["Initiated"].timestamp(),
                )

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Give up an upload, and its parts. Ended already is no error."""
        try:
            self._aws.s3.abort_multipart_upload(Bucket=upload.bucket, Key=upload.key, UploadId=upload.upload_id)
        except ClientError as error:
            if code(error) != "NoSuchUpload":
                raise

    def attempt_versions(self, *, user_id: str, job_id: str, attempt: str) -> Iterator[StoredObject]:
        """Every version that one attempt has put, whether or not a record names it."""
        return self._versions(
            self._settings.results_bucket, self.attempt_prefix(user_id=user_id, job_id=job_id, attempt=attempt)
        )

    def _delete_other_versions(self, bucket: str, key: str, version_id: str) -> None:
        for version in list(self._versions(bucket, key)):
            if version.key == key and version.version_id != version_id:
                self.delete_version(version)

    def versions_below(self, prefix: str) -> list[StoredObject]:
        """Every version below a prefix of the results bucket."""
        return list(self._versions(self._settings.results_bucket, prefix))

    def _versions(self, bucket: str, prefix: str, *, markers: bool = False) -> Iterator[StoredObject]:
        for page in self._aws.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for version in page.get("Versions", []):
                yield _listed(bucket, version["Key"], version["VersionId"], version["Size"])
            for marker in page.get("DeleteMarkers", []) if markers else ():
                yield _listed(bucket, marker["Key"], marker["VersionId"], 0)

    def _upload_parts(self, path: Path, *, bucket: str, key: str, size: int, content_type: str) -> str:
        s3 = self._aws.s3
        part_bytes = max(PART_BYTES, -(-size // PARTS))
        upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type)["UploadId"]

        def put(number: int) -> dict[str, Any]:
            with path.open("rb") as part:
                part.seek((number - 1) * part_bytes)
                body = part.read(part_bytes)
            answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body)
            return {"ETag": answer["ETag"], "PartNumber": number}

        try:
            with ThreadPoolExecutor(PART_THREADS) as threads:
                parts: Any = list(threads.map(put, range(1, -(-size // part_bytes) + 1)))
            return s3.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )["VersionId"]
        except BaseException:
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
            raise


def resumed(body: Callable[[int], StreamingBody]) -> Iterator[bytes]:
    """The bytes of a body; one that breaks off is asked for again from where it stopped.

    :param body: opens it at an offset.
    """
    done = 0
    for resumes in range(DOWNLOAD_RESUMES + 1):
        try:
            for chunk in body(done).iter_chunks(CHUNK_BYTES):
                done += len(chunk)
                yield chunk
        except (ConnectionError, HTTPClientError, ResponseStreamingError):
            if resumes == DOWNLOAD_RESUMES:
                raise
        else:
            return


def write(chunks: Iterable[bytes], path: Path) -> str:
    """Write bytes into a new file; returns their hex SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def _listed(bucket: str, key: str, version_id: str, size_bytes: int) -> StoredObject:
    return StoredObject(bucket=bucket, key=key, version_id=version_id, sha256="", size_bytes=size_bytes)


def _batches(versions: Iterable[StoredObject]) -> Iterator[tuple[str, list[Any]]]:
    """Buckets, and as many of their versions as one DeleteObjects takes."""
    for bucket, group in itertools.groupby(versions, key=lambda version: version.bucket):
        keys = ({"Key": version.key, "VersionId": version.version_id} for version in group)
        while batch := list(itertools.islice(keys, DELETE_BATCH)):
            yield bucket, batch


def content_disposition(file_name: str, *, inline: bool = False) -> str:
    """The header that names a download, after RFC 6266: a plain ASCII name for all, the full one for browsers."""
    full = "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in file_name).strip() or "download"
    plain = re.sub(r"[^A-Za-z0-9 ._+()-]", "_", full)
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='')}"


def _safe(part: str) -> str:
    if not _SAFE_ID.fullmatch(part) or ".." in part:
        raise ValueError(f"not usable in a key: {part!r}")
    return part
