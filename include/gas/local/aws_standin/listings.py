"""S3's lists as AWS gives them, where moto 5.2 differs.

In moto every upload in parts was begun in 2010, so that one that is under way looks abandoned; and a list of versions
ends where the last version of a page is deleted before the next page is asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.s3 import models, responses


def mend() -> None:
    """Put these functions in moto's place."""
    replacements: list[tuple[Any, str, Any]] = [
        (models.FakeMultipart, "__init__", _dated(models.FakeMultipart.__init__)),
        (responses.S3Response, "list_multipart_uploads", _list_multipart_uploads),
        (models.S3Backend, "list_object_versions", _list_object_versions(models.S3Backend.list_object_versions)),
    ]
    for owner, name, replacement in replacements:
        setattr(owner, name, replacement)


def _dated(original: Any) -> Any:
    def initialise(upload: Any, *args: Any, **more: Any) -> None:
        original(upload, *args, **more)
        upload.begun = datetime.now(UTC)

    return initialise


def _list_multipart_uploads(response: Any) -> Any:
    """Uploads below a prefix, all in one page."""
    prefix = response.querystring.get("prefix", [""])[0]
    there = response.backend.list_multipart_uploads(response.bucket_name)
    uploads = [
        {
            "Key": upload.key_name,
            "UploadId": upload.id,
            "StorageClass": "STANDARD",
            "Initiated": getattr(upload, "begun", datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        for upload in list(there.values())
        if upload.key_name.startswith(prefix)
    ]
    response.data["Action"] = "ListMultipartUploads"
    answer = {"Bucket": response.bucket_name, "MaxUploads": 1000, "IsTruncated": False, "Uploads": uploads}
    return response.serialized(ActionResult(answer))


def _list_object_versions(original: Any) -> Any:
    """A marker that is gone gives way to the last version before its key: some of that key may come twice."""

    def list_object_versions(
        backend: Any,
        bucket_name: str,
        *,
        key_marker: str | None = None,
        version_id_marker: str | None = None,
        **more: Any,
    ) -> Any:
        if key_marker and version_id_marker:
            keys = backend.get_bucket(bucket_name).keys
            if all(version.version_id != version_id_marker for version in keys.getlist(key_marker, [])):
                before = max((name for name in list(keys) if name < key_marker), default=None)
                key_marker, version_id_marker = before, None
                if before is not None:
                    oldest = min(keys.getlist(before), key=lambda version: version.last_modified)
                    version_id_marker = oldest.version_id
        return original(backend, bucket_name, key_marker=key_marker, version_id_marker=version_id_marker, **more)

    return list_object_versions
