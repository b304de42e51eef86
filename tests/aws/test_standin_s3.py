"""The AWS stand-in takes a browser's presigned POST as Amazon S3 does."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import pytest
from botocore.config import Config

WEB = "http://localhost:8800"
CORS = {"CORSRules": [{"AllowedOrigins": [WEB], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"]}]}


@pytest.fixture
def s3(aws: Any) -> Any:
    client = aws.session.client("s3", endpoint_url=aws.endpoint_url, config=Config(signature_version="s3v4"))
    client.create_bucket(Bucket="inputs")
    client.put_bucket_cors(Bucket="inputs", CORSConfiguration=CORS)
    return client


def _form(s3: Any, *, most: int = 100, expires_s: int = 60) -> dict[str, Any]:
    form: dict[str, Any] = s3.generate_presigned_post(
        "inputs", "me/1/input", Conditions=[["content-length-range", 1, most]], ExpiresIn=expires_s
    )
    return form


def _post(form: dict[str, Any], body: bytes, **changed: str) -> httpx.Response:
    return httpx.post(form["url"], data={**form["fields"], **changed}, files={"file": ("a.vcf", body)})


def test_a_good_form_is_taken(s3: Any) -> None:
    """A POST that keeps to its policy stores the file's bytes."""
    assert _post(_form(s3), b"##fileformat=VCFv4.2\n").status_code == 204
    assert s3.get_object(Bucket="inputs", Key="me/1/input")["Body"].read() == b"##fileformat=VCFv4.2\n"


@pytest.mark.parametrize(
    ("body", "changed", "status", "code"),
    [
        (b"x" * 101, {}, 400, "EntityTooLarge"),
        (b"", {}, 400, "EntityTooSmall"),
        (b"x", {"key": "somebody/else"}, 403, "AccessDenied"),
        (b"x", {"acl": "public-read"}, 403, "AccessDenied"),
        (b"x", {"x-amz-signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
        (b"x", {"policy": base64.b64encode(b"{}").decode()}, 403, "SignatureDoesNotMatch"),
    ],
)
def test_a_bad_form_is_refused(s3: Any, body: bytes, changed: dict[str, str], status: int, code: str) -> None:
    """A POST that breaks its policy is refused with S3's own code, and nothing is stored."""
    refused = _post(_form(s3), body, **changed)
    assert (refused.status_code, f"<Code>{code}</Code>" in refused.text) == (status, True)
    assert "Contents" not in s3.list_objects_v2(Bucket="inputs")


def test_an_old_form_is_refused(s3: Any) -> None:
    """A POST after the policy's expiry is refused."""
    form = _form(s3, expires_s=1)
    expiry = json.loads(base64.b64decode(form["fields"]["policy"]))["expiration"]
    while time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) <= expiry:
        time.sleep(0.1)
    refused = _post(form, b"x")
    assert (refused.status_code, "Policy expired" in refused.text) == (403, True)


def test_the_browser_may_post_from_the_web_app(s3: Any) -> None:
    """The preflight of the web app's origin is answered, and so is the POST itself."""
    form = _form(s3)
    asked = {"Origin": WEB, "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(form["url"], headers=asked)
    done = httpx.post(form["url"], data=form["fields"], files={"file": b"x"}, headers={"Origin": WEB})
    for answer in (preflight, done):
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] in ("*", WEB)


def test_list_of_versions_goes_on_behind_what_was_deleted(s3: Any) -> None:
    """Deleting each page before the next is asked for reaches every version."""
    s3.put_bucket_versioning(Bucket="inputs", VersioningConfiguration={"Status": "Enabled"})
    for number in range(5):
        for _ in range(2):
            s3.put_object(Bucket="inputs", Key=f"key {number}", Body=b"x")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket="inputs", PaginationConfig={"PageSize": 3})
    for page in pages:
        for version in page.get("Versions", []):
            s3.delete_object(Bucket="inputs", Key=version["Key"], VersionId=version["VersionId"])
    assert "Versions" not in s3.list_object_versions(Bucket="inputs")


def test_an_upload_in_parts_says_when_it_was_begun(s3: Any) -> None:
    """One that is under way is told from one that was abandoned."""
    for key in ("here/a", "there/b"):
        s3.create_multipart_upload(Bucket="inputs", Key=key)
    (upload,) = s3.list_multipart_uploads(Bucket="inputs", Prefix="here/")["Uploads"]
    assert upload["Key"] == "here/a"
    assert abs(upload["Initiated"].timestamp() - time.time()) < 300
