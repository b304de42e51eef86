"""Files of jobs as objects of GA4GH's Data Repository Service."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from gas.job import StorageState
from gas.services import Services
from tests.webui.conftest import ALICE, Browser, Jobs
from tests.webui.test_storage import archived, thawing

OBJECTS = "/ga4gh/drs/v1/objects"


def test_an_output_is_an_object(alice: Browser, jobs: Jobs) -> None:
    """Size, checksum, type, time and name are those of the record; the URI names this server."""
    job = jobs.done(ALICE, name="my cohort (1).vcf.gz")
    told = alice.get(f"{OBJECTS}/{job.job_id}.vcf").json
    stored = job.outputs["vcf"]
    assert told.pop("created_time").endswith("Z")
    assert told == {
        "id": f"{job.job_id}.vcf",
        "name": "my_cohort__1_.annot.vcf.gz",
        "self_uri": f"drs://localhost:8800/{job.job_id}.vcf",
        "size": stored.size_bytes,
        "mime_type": "application/gzip",
        "checksums": [{"type": "sha-256", "checksum": stored.sha256}],
        "access_methods": [{"type": "https", "access_id": "https", "availability": True}],
        "description": f"vcf of job {job.job_id}: my cohort (1).annot.vcf.gz",
    }


def test_the_bytes_are_fetched_by_a_link(alice: Browser, jobs: Jobs) -> None:
    """The access method leads to the object's bytes, without any header."""
    job = jobs.done(ALICE)
    for word, body in (("vcf", b"the vcf"), ("input", b"##fileformat=VCFv4.3\n")):
        told = alice.get(f"{OBJECTS}/{job.job_id}.{word}").json
        link = alice.get(f"{OBJECTS}/{told['id']}/access/{told['access_methods'][0]['access_id']}").json["url"]
        assert httpx.get(link).content == body
        assert len(body) == told["size"]


def test_an_upload_has_the_checksum_that_the_store_has(alice: Browser, jobs: Jobs) -> None:
    """An input that nobody has read yet is known by its ETag."""
    told = alice.get(f"{OBJECTS}/{jobs.pending(ALICE).job_id}.input").json
    assert [checksum["type"] for checksum in told["checksums"]] == ["etag"]


def test_what_is_not_there_is_not_found(alice: Browser, jobs: Jobs) -> None:
    """Ids that name nothing, or a file that the job does not have yet, are refused in the form of the standard."""
    done, pending = jobs.done(ALICE).job_id, jobs.pending(ALICE).job_id
    for path in (f"{pending}.vcf", f"{done}.secret", done, f"{done}.", "x.vcf", f"{done}.vcf/access/s3"):
        answer = alice.get(f"{OBJECTS}/{path}")
        assert (answer.status_code, answer.mimetype, answer.json["status_code"]) == (404, "application/json", 404)
        assert answer.json["msg"] == answer.json["detail"]


def test_an_archived_object_says_so(alice: Browser, jobs: Jobs, services: Services) -> None:
    """It is there, and not available; asked for its bytes, it says what brings them back."""
    job = archived(services, jobs)
    told = alice.get(f"{OBJECTS}/{job.job_id}.vcf").json
    assert told["access_methods"][0]["availability"] is False
    refused = alice.get(f"{OBJECTS}/{job.job_id}.vcf/access/https")
    assert (refused.status_code, refused.json["kind"]) == (409, "archived")
    assert "upgrade" in refused.json["msg"]
    assert alice.get(f"{OBJECTS}/{job.job_id}.summary/access/https").status_code == 200


def test_an_object_on_its_way_back_says_when_to_ask_again(alice: Browser, jobs: Jobs, services: Services) -> None:
    """The standard's 202 comes with the time after which asking again may help."""
    job = thawing(services, jobs)
    assert job.storage_state is StorageState.THAWING
    answer = alice.get(f"{OBJECTS}/{job.job_id}.vcf/access/https")
    assert answer.status_code == 202
    assert 1 <= int(answer.headers["Retry-After"]) <= 5 * 3600


def test_anybody_may_ask_which_service_this_is(visitor: Browser) -> None:
    """The service's description needs no sign-in; everything else does, in the standard's form."""
    told = visitor.get("/ga4gh/drs/v1/service-info").json
    assert told["type"] == {"group": "org.ga4gh", "artifact": "drs", "version": "1.2.0"}
    assert urlsplit(told["organization"]["url"]).netloc == "localhost:8800"
    refused = visitor.get(f"{OBJECTS}/x")
    assert (refused.status_code, refused.json["status_code"]) == (401, 401)
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="GAS"'
