"""Inputs and results in S3."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gas import objects as objects_module
from gas.errors import InputError
from gas.job import Output, StoredObject
from gas.objects import content_disposition
from gas.services import Services
from gas.settings import Settings

IDS = {"user_id": "alice", "job_id": "job-1"}


def post(form: dict[str, Any], body: bytes) -> None:
    """What a browser does with an upload form."""
    httpx.post(form["url"], data=form["fields"], files={"file": ("any name", body)}).raise_for_status()


def put(services: Services, tmp_path: Path, body: bytes, *, key: str = "alice/job-1/a/x") -> StoredObject:
    path = tmp_path / "file"
    path.write_bytes(body)
    return services.objects.upload(path, key)


def test_upload_policy_admits_one_key_up_to_a_size(services: Services, settings: Settings) -> None:
    """The signed policy names the bucket, the exact key, the type, the size range and the expiry, and nothing else."""
    form = services.objects.presigned_upload(**IDS, max_bytes=1234)
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    conditions = policy["conditions"]
    assert {"bucket": settings.inputs_bucket} in conditions
    assert {"key": "alice/job-1/input"} in conditions
    assert {"Content-Type": "application/octet-stream"} in conditions
    assert ["content-length-range", 1, 1234] in conditions
    assert not [c for c in conditions if isinstance(c, list) and c[0] == "starts-with"]
    signed = {name for condition in conditions if isinstance(condition, dict) for name in condition}
    assert set(form["fields"]) - {"policy", "x-amz-signature"} <= signed
    expires = datetime.fromisoformat(policy["expiration"])
    assert 0 < (expires - datetime.now(UTC)).total_seconds() <= settings.upload_link_s


def test_posted_upload_is_seen(services: Services) -> None:
    """What the browser posts is there for the job, with its version and size; before, there is nothing."""
    assert services.objects.head_input(**IDS) is None
    post(services.objects.presigned_upload(**IDS, max_bytes=100), b"##fileformat=VCFv4.2\n")
    stored = services.objects.head_input(**IDS)
    assert stored is not None
    assert (stored.size_bytes, stored.key) == (21, "alice/job-1/input")
    assert stored.version_id not in ("", "null")


def test_file_travels_there_and_back(services: Services, tmp_path: Path) -> None:
    """Upload and download agree on the bytes and on their SHA-256."""
    body = bytes(range(256)) * 9000
    stored = put(services, tmp_path, body)
    assert stored.sha256 == hashlib.sha256(body).hexdigest()
    assert stored.size_bytes == len(body)
    back = tmp_path / "back"
    assert services.objects.download(stored, back) == stored.sha256
    assert back.read_bytes() == body


def test_large_file_goes_up_in_parts(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the part size comes back whole, and its one version is the one reported."""
    monkeypatch.setattr(objects_module, "PART_BYTES", 5 * 1024 * 1024)
    body = b"0123456789abcdef" * (11 * 1024 * 1024 // 16)
    stored = put(services, tmp_path, body)
    assert services.objects.download(stored, tmp_path / "back") == hashlib.sha256(body).hexdigest()
    versions = list(services.objects.attempt_versions(user_id="alice", job_id="job-1", attempt="a"))
    assert [version.version_id for version in versions] == [stored.version_id]


def test_links_and_deletes_name_the_version(services: Services, tmp_path: Path) -> None:
    """A link to a version gives that version after a newer one came, and deleting one leaves the other."""
    old, new = put(services, tmp_path, b"old"), put(services, tmp_path, b"new")
    link = services.objects.presigned_download(old, file_name="x.vcf.gz")
    assert httpx.get(link).content == b"old"
    services.objects.delete_version(old)
    services.objects.delete_version(old)
    assert httpx.get(link).status_code == 404
    assert services.objects.read_text(new, 2) == "ne"


def test_missing_upload_is_the_persons_sentence(services: Services, tmp_path: Path) -> None:
    """A version that is gone is told as something the person can act on."""
    stored = put(services, tmp_path, b"x")
    services.objects.delete_version(stored)
    with pytest.raises(InputError, match="upload it again"):
        services.objects.download(stored, tmp_path / "back")


def test_text_that_is_not_utf8_is_shown(services: Services, tmp_path: Path) -> None:
    """Reading a log never fails on its bytes; an empty object is an empty text."""
    assert services.objects.read_text(put(services, tmp_path, b"a\xffb"), 100) == "a\ufffdb"
    assert services.objects.read_text(put(services, tmp_path, b""), 100) == ""


@pytest.mark.parametrize("part", ["", "..", "a/b", "a\n", "é", "-x"])
def test_key_is_made_of_ids_alone(services: Services, part: str) -> None:
    """Nothing that could leave its folder becomes part of a key."""
    with pytest.raises(ValueError, match="key"):
        services.objects.output_key(Output.VCF, user_id="alice", job_id="job-1", attempt=part)


@pytest.mark.parametrize("file_name", ['a"b.vcf', "a\r\nX-Evil: 1.vcf", "Ärzte.vcf", "a;b=c.vcf", "", "x" * 200])
def test_download_name_cannot_inject_a_header(services: Services, tmp_path: Path, file_name: str) -> None:
    """Any name gives one well-formed header: no line break, no quote that ends the name early, ASCII only."""
    header = content_disposition(file_name)
    assert header.isascii()
    assert "\r" not in header
    assert "\n" not in header
    assert header.count('"') == 2
    answer = httpx.get(services.objects.presigned_download(put(services, tmp_path, b"x"), file_name=file_name))
    assert "x-evil" not in answer.headers
    assert answer.headers["content-disposition"] == header
