"""The web app's IAM policy grants what its pages and its API do, and nothing else."""

from __future__ import annotations

from typing import Any

import httpx

from gas.archive.transfer import archive_one
from gas.iam import Role
from gas.job import ArchiveBackend, Job, Output
from gas.mail import Mail
from gas.provision import provision
from gas.services import Services, build
from tests.conftest import AwsStandIn
from tests.permissions import unused
from tests.storage import Clock, completed_job
from tests.webui.conftest import ALICE, Browser, Jobs

VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def uploaded(alice: Browser) -> str:
    """The id of a job that Alice has made of a file."""
    asked = {"file_name": "my.vcf", "size_bytes": len(VCF), "reference": "sars-cov-2"}
    form = alice.call("POST", "uploads", json=asked).json
    httpx.post(form["url"], data=form["fields"], files={"file": VCF}).raise_for_status()
    new = {"job_id": form["job_id"], "file_name": "my.vcf", "reference": "sars-cov-2"}
    assert alice.call("POST", "jobs", json=new).status_code == 201
    return str(form["job_id"])


def left_by_attempts(services: Services, job: Job) -> None:
    """Uploads in parts that never ended, in both buckets."""
    key = services.objects.output_key(Output.LOG, user_id=ALICE, job_id=job.job_id, attempt="0000-z")
    for bucket in (services.settings.inputs_bucket, services.settings.results_bucket):
        services.objects._aws.s3.create_multipart_upload(Bucket=bucket, Key=key)


def in_the_vault(services: Services, aws: AwsStandIn) -> Job:
    """Alice's result, archived while the installation kept its cold copies in a vault."""
    where: dict[str, Any] = {"session": aws.session, "endpoint_url": aws.endpoint_url}
    settings = services.settings.model_copy(update={"archive": ArchiveBackend.VAULT})
    list(provision(settings, **where))
    clock = Clock()
    vaulted = build(settings, now=clock, **where)
    profile = vaulted.profiles.get(ALICE)
    assert profile is not None
    job = completed_job(vaulted, owner=profile)
    clock.ahead_s += settings.free_result_ttl_s + 1
    archive_one(vaulted, job.job_id)
    return vaulted.jobs.get(job.job_id)


def test_web_app_is_granted_what_it_does(
    alice: Browser, services: Services, jobs: Jobs, lasting_aws: AwsStandIn, monkeypatch: Any
) -> None:
    """Uploading, looking, downloading, running again, telling and deleting need each permission, and no other."""
    settings = services.settings.model_copy(update={"mail_from": "gas@gas.invalid"})
    mail = Mail(services.objects._aws, settings)
    monkeypatch.setattr(services.mail, "_sender", mail._sender)
    services.mail._aws.ses.verify_email_identity(EmailAddress="gas@gas.invalid")
    job_id = uploaded(alice)
    assert alice.get(f"/jobs/{job_id}").status_code == 200
    assert alice.get("/jobs/").status_code == 200
    assert alice.call("POST", f"jobs/{job_id}/cancel").status_code == 200
    assert alice.call("POST", f"jobs/{job_id}/rerun").status_code in (200, 201)
    done = jobs.annotated(ALICE)
    assert alice.get(f"/jobs/{done.job_id}").status_code == 200
    assert alice.get(f"/jobs/{done.job_id}/download/vcf").status_code in (302, 303, 404)
    assert alice.call("GET", f"jobs/{done.job_id}/log").status_code in (200, 404)
    wishes = {"mail": dict.fromkeys(("ended", "archive", "restored"), True), "webhook_url": None}
    assert alice.call("PUT", "notices", json=wishes).status_code == 200
    assert alice.call("POST", "notices/test").status_code == 200
    left_by_attempts(services, done)
    for job in (done, in_the_vault(services, lasting_aws)):
        assert alice.call("DELETE", f"jobs/{job.job_id}").status_code == 204
    assert unused(Role.WEB) == []
