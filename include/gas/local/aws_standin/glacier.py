"""Amazon S3 Glacier vaults as AWS has them, where moto 5.2 differs.

In moto an archive's id is the MD5 of its body, so that equal files share one archive and die together; a job's
description, topic and tree hash are lost, no topic hears of its completion, ranges are ignored, making a vault again
empties it, a missing archive is an HTTP 500, all jobs come in one page, an inventory lists what there is when it is
read, and there are no uploads in parts. Each function below takes the place of moto's of the same name.
"""

from __future__ import annotations

import io
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.utils import calculate_tree_hash
from moto.core.exceptions import JsonRESTError
from moto.glacier import models, responses, urls

from gas.local.aws_standin.gate import Gate

_TIMESTAMP = "%Y-%m-%dT%H:%M:%S.000Z"
_POLL_S = 0.2
_UPLOADS = "{0}/(?P<account_number>[^/]+)/vaults/(?P<vault_name>[^/]+)/multipart-uploads"
_PAGE = 50

Answer = tuple[int, dict[str, str | int], str | bytes]


class _NotFound(JsonRESTError):
    code = 404

    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFoundException", message)


class _Invalid(JsonRESTError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("InvalidParameterValueException", message)


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long a retrieval takes, in seconds: minutes to hours in AWS."""

    expedited_s: float
    standard_s: float


def mend(waits: Waits) -> None:
    """Put these functions in moto's place."""

    def timed(job: Any, tier: str) -> None:
        original_init(job, tier)
        wait_s = waits.expedited_s if tier.lower() == "expedited" else waits.standard_s
        job.et = job.st + timedelta(seconds=wait_s)

    original_init = models.Job.__init__
    replacements: list[tuple[Any, str, Any]] = [
        (models.Job, "__init__", timed),
        (models.Vault, "create_archive", _create_archive),
        (models.Vault, "delete_archive", _delete_archive),
        (models.GlacierBackend, "create_vault", _create_vault),
        (models.GlacierBackend, "describe_vault", _describe_vault),
        (responses.GlacierResponse, "upload_archive", _upload_archive(responses.GlacierResponse.upload_archive)),
        (responses.GlacierResponse, "initiate_job", _initiate_job(responses.GlacierResponse.initiate_job)),
        (responses.GlacierResponse, "list_jobs", _list_jobs),
        (responses.GlacierResponse, "list_multipart_uploads", _list_multipart_uploads),
        (responses.GlacierResponse, "initiate_multipart_upload", _initiate_multipart_upload),
        (responses.GlacierResponse, "upload_multipart_part", _upload_multipart_part),
        (responses.GlacierResponse, "complete_multipart_upload", _complete_multipart_upload),
        (responses.GlacierResponse, "abort_multipart_upload", _abort_multipart_upload),
        (responses.GlacierResponse, "describe_job", _describe_job),
        (responses.GlacierResponse, "get_job_output", _get_job_output),
        (models.ArchiveJob, "to_dict", _told(models.ArchiveJob.to_dict)),
        (models.InventoryJob, "to_dict", _told(models.InventoryJob.to_dict)),
    ]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)
    for path in (_UPLOADS, f"{_UPLOADS}/(?P<upload_id>[^/]+)"):
        urls.url_paths[f"{path}$"] = responses.GlacierResponse.dispatch


def publish_completions(gate: Gate, stopped: threading.Event) -> None:
    """Tell each job's topic that it completed, until ``stopped``."""
    while not stopped.wait(_POLL_S):
        with gate.shared():
            for account, region, job in _jobs_to_tell():
                job.told = True
                _publish(account, region, job)


def _jobs_to_tell() -> Iterator[tuple[str, str, Any]]:
    for account, regions in list(models.glacier_backends.items()):
        for region, backend in list(regions.items()):
            for vault in list(backend.vaults.values()):
                for job in list(vault.jobs.values()):
                    topic, told = getattr(job, "topic", None), getattr(job, "told", True)
                    if topic and not told and job.to_dict()["Completed"]:
                        yield account, region, job


def _publish(account: str, region: str, job: Any) -> None:
    from moto.core.exceptions import ServiceException
    from moto.sns.models import sns_backends

    try:
        sns_backends[account][region].publish(message=json.dumps(job.to_dict()), arn=job.topic)
    except (JsonRESTError, ServiceException) as error:  # AWS too drops a message to a topic that is gone
        print(f"Glacier job {job.job_id}: its topic {job.topic} was not told: {error}", flush=True)


def _tree_hash(body: bytes) -> str:
    return str(calculate_tree_hash(io.BytesIO(body)))  # type: ignore[arg-type]  # its stub says str; it reads a file


def _create_archive(vault: Any, body: bytes, description: str) -> dict[str, Any]:
    archive_id = secrets.token_urlsafe(104)[:138]  # AWS's ids have 138 characters, and each upload has its own
    vault.archives[archive_id] = {
        "archive_id": archive_id,
        "body": body,
        "size": len(body),
        "sha256": _tree_hash(body),
        "creation_date": _now(),
        "description": description,
    }
    created: dict[str, Any] = vault.archives[archive_id]
    return created


def _delete_archive(vault: Any, archive_id: str) -> None:
    vault.archives.pop(archive_id, None)  # AWS answers 204 however often it is asked


def _create_vault(backend: Any, vault_name: str) -> None:
    if vault_name not in backend.vaults:
        backend.vaults[vault_name] = models.Vault(vault_name, backend.account_id, backend.region_name)


def _describe_vault(backend: Any, vault_name: str) -> Any:
    if vault_name not in backend.vaults:
        raise _NotFound(f"Vault not found for ARN: {vault_name}")
    return backend.vaults[vault_name]


def _upload_archive(original: Any) -> Any:
    def upload_archive(response: Any) -> Answer:
        said = response.headers.get("x-amz-sha256-tree-hash")
        body = response.body if isinstance(response.body, bytes) else response.body.encode()
        if not body:
            raise _Invalid("Invalid archive size: 0")
        if said and said != _tree_hash(body):
            raise _Invalid("Checksum mismatch: the tree hash is not that of the body")
        answer: Answer = original(response)
        return answer

    return upload_archive


def _initiate_job(original: Any) -> Any:
    def initiate_job(response: Any) -> Answer:
        asked = json.loads(response.body)
        vault = response.glacier_backend.describe_vault(response.parsed_url.path.split("/")[-2])
        archive = vault.archives.get(asked.get("ArchiveId"))
        if asked["Type"] == "archive-retrieval" and archive is None:
            raise _NotFound(f"The archive ID was not found: {asked.get('ArchiveId')}")
        if asked["Type"] == "inventory-retrieval" and asked.get("Format", "JSON") != "JSON":
            raise _Invalid("Invalid format: this stand-in lists archives as JSON alone")
        answer: Answer = original(response)
        job = vault.jobs[answer[1]["x-amz-job-id"]]
        job.description, job.topic, job.told = asked.get("Description"), asked.get("SNSTopic"), False
        job.archive = archive and dict(archive)  # the output outlives the archive, as in AWS
        if asked["Type"] == "inventory-retrieval":
            job.inventory = _inventory(vault)
        return answer

    return initiate_job


def _inventory(vault: Any) -> bytes:
    """What the vault holds now; AWS's own inventory may be a day old."""
    taken = {"VaultARN": vault.arn, "InventoryDate": _now(), "ArchiveList": vault.get_archive_list()}
    return json.dumps(taken).encode()


def _now() -> str:
    return datetime.now(UTC).strftime(_TIMESTAMP)


def _told(original: Any) -> Any:
    def to_dict(job: Any) -> dict[str, Any]:
        said: dict[str, Any] = original(job)
        said["CreationDate"] = job.st.astimezone(UTC).strftime(_TIMESTAMP)  # moto gives local time and calls it UTC
        said["JobDescription"], said["SNSTopic"] = getattr(job, "description", None), getattr(job, "topic", None)
        archive = getattr(job, "archive", None)
        if archive:
            said["ArchiveSizeInBytes"] = archive["size"]
            said["SHA256TreeHash"] = said["ArchiveSHA256TreeHash"] = archive["sha256"]
            said["RetrievalByteRange"] = f"0-{archive['size'] - 1}"
        inventory = getattr(job, "inventory", None)
        said["InventorySizeInBytes"] = len(inventory) if inventory and said["Completed"] else None
        if said["Completed"]:
            said["CompletionDate"] = job.et.astimezone(UTC).strftime(_TIMESTAMP)
            said["StatusMessage"] = "Succeeded"
        return said

    return to_dict


def _job(response: Any, *, vault_name: str, job_id: str) -> tuple[Any, Any]:
    vault = response.glacier_backend.describe_vault(vault_name)
    if job_id not in vault.jobs:
        raise _NotFound(f"The job ID was not found: {job_id}")
    return vault, vault.jobs[job_id]


def _describe_job(response: Any) -> str:
    path = response.parsed_url.path.split("/")
    return json.dumps(_job(response, vault_name=path[-3], job_id=path[-1])[1].to_dict())


def _get_job_output(response: Any) -> Answer:
    path = response.parsed_url.path.split("/")
    _, job = _job(response, vault_name=path[-4], job_id=path[-2])
    if not job.to_dict()["Completed"]:
        raise _Invalid("The job is not currently available for download")
    archive = getattr(job, "archive", None)
    if archive is None:
        return _part(response, job.inventory, {"content-type": "application/json"})
    headers = {"content-type": "application/octet-stream", "x-amz-archive-description": archive["description"]}
    return _part(response, archive["body"], headers, tree_hash=archive["sha256"])


def _part(response: Any, body: bytes, headers: dict[str, str], *, tree_hash: str | None = None) -> Answer:
    """The whole body with its tree hash, or the range of it that is asked for."""
    asked = response.headers.get("Range")
    if not asked:
        return 200, {**headers, **({"x-amz-sha256-tree-hash": tree_hash} if tree_hash else {})}, body
    first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
    if first >= len(body) or last < first:
        raise _Invalid(f"Invalid range: {asked}")
    part = body[first : last + 1]
    span = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
    return 206, {**headers, "Content-Range": span, "status": 206}, part  # moto answers with the header's status


def _list_jobs(response: Any) -> Answer:
    """Jobs in pages of at most 50, filtered as asked."""
    vault = response.glacier_backend.describe_vault(response.parsed_url.path.split("/")[-2])
    asked = {name: values[0] for name, values in response.querystring.items()}
    jobs = [job.to_dict() for job in list(vault.jobs.values())]
    if "completed" in asked:
        jobs = [job for job in jobs if str(job["Completed"]).lower() == asked["completed"]]
    if "statuscode" in asked:
        jobs = [job for job in jobs if job["StatusCode"] == asked["statuscode"]]
    return _page(jobs, asked, name="JobList", key="JobId")


def _page(items: list[dict[str, Any]], asked: dict[str, str], *, name: str, key: str) -> Answer:
    first = next((at for at, item in enumerate(items) if item[key] == asked.get("marker")), 0)
    end = first + min(int(asked.get("limit", _PAGE)), _PAGE)
    marker = items[end][key] if end < len(items) else None
    answer = json.dumps({name: items[first:end], "Marker": marker})
    return 200, {"content-type": "application/json"}, answer


def _uploads(vault: Any) -> dict[str, dict[str, Any]]:
    """Uploads in parts that have not ended; kept with the vault, so that a snapshot has them."""
    uploads: dict[str, dict[str, Any]] = vault.__dict__.setdefault("uploads", {})
    return uploads


def _upload(response: Any) -> tuple[Any, str, dict[str, Any]]:
    path = response.parsed_url.path.split("/")
    vault = response.glacier_backend.describe_vault(path[-3])
    if path[-1] not in _uploads(vault):
        raise _NotFound(f"The upload ID was not found: {path[-1]}")
    return vault, path[-1], _uploads(vault)[path[-1]]


def _list_multipart_uploads(response: Any) -> Answer:
    """Uploads in pages of at most 50."""
    vault = response.glacier_backend.describe_vault(response.parsed_url.path.split("/")[-2])
    uploads = [
        {
            "MultipartUploadId": upload_id,
            "ArchiveDescription": upload["description"],
            "CreationDate": upload["creation_date"],
            "PartSizeInBytes": upload["size"],
            "VaultARN": vault.arn,
        }
        for upload_id, upload in list(_uploads(vault).items())
    ]
    asked = {name: values[0] for name, values in response.querystring.items()}
    return _page(uploads, asked, name="UploadsList", key="MultipartUploadId")


def _initiate_multipart_upload(response: Any) -> Answer:
    vault = response.glacier_backend.describe_vault(response.parsed_url.path.split("/")[-2])
    size = int(response.headers["x-amz-part-size"])
    mebibytes, rest = divmod(size, 1 << 20)
    if rest or mebibytes & (mebibytes - 1) or not 1 <= mebibytes <= 4096:
        raise _Invalid(f"Invalid part size: {size}")
    upload_id = secrets.token_urlsafe(69)
    description = response.headers.get("x-amz-archive-description") or ""
    _uploads(vault)[upload_id] = {"size": size, "description": description, "parts": {}, "creation_date": _now()}
    return 201, {"x-amz-multipart-upload-id": upload_id, "status": 201}, ""


def _upload_multipart_part(response: Any) -> Answer:
    _, _, upload = _upload(response)
    body = response.body if isinstance(response.body, bytes) else response.body.encode()
    span = response.headers["Content-Range"].removeprefix("bytes ").partition("/")[0]
    first, last = (int(number) for number in span.split("-"))
    if first % upload["size"] or last - first + 1 != len(body) or len(body) > upload["size"]:
        raise _Invalid(f"Invalid Content-Range: {span}")
    wanted = _tree_hash(body)
    if response.headers.get("x-amz-sha256-tree-hash") != wanted:
        raise _Invalid("Checksum mismatch: the tree hash is not that of the part")
    upload["parts"][first] = body
    return 204, {"x-amz-sha256-tree-hash": wanted, "status": 204}, ""


def _complete_multipart_upload(response: Any) -> Answer:
    vault, upload_id, upload = _upload(response)
    body = b"".join(upload["parts"][first] for first in sorted(upload["parts"]))
    if int(response.headers["x-amz-archive-size"]) != len(body):
        raise _Invalid("Invalid archive size: it is not that of the parts")
    if response.headers.get("x-amz-sha256-tree-hash") != _tree_hash(body):
        raise _Invalid("Checksum mismatch: the tree hash is not that of the parts")
    archive = _create_archive(vault, body, upload["description"])
    del _uploads(vault)[upload_id]
    return (
        201,
        {"x-amz-archive-id": archive["archive_id"], "x-amz-sha256-tree-hash": archive["sha256"], "status": 201},
        "",
    )


def _abort_multipart_upload(response: Any) -> Answer:
    vault, upload_id, _ = _upload(response)
    del _uploads(vault)[upload_id]
    return 204, {"status": 204}, ""
