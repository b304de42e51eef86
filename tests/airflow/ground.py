"""GAS in an empty AWS, as its DAGs find it, and jobs of Alice's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx

from gas.annotate_job import run
from gas.job import Job, new_job_id
from gas.provision import provision
from gas.references import demo_vcf
from gas.services import Services, build
from gas.settings import Settings
from gas.submission import submit
from tests.fakes import ALICE, FakeAirflow


def installed(aws: Any, *, now: Callable[[], float] = time.time) -> Services:
    """What the environment says, made. Runs are started by the tests themselves.

    :param now: the clock of the records, in POSIX seconds.
    """
    settings = Settings.from_environment()
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    made = build(settings, session=aws.session, endpoint_url=aws.endpoint_url, now=now)
    return replace(made, airflow=FakeAirflow())  # type: ignore[arg-type]  # as much of it as is asked


def submitted(services: Services, body: bytes | None = None) -> Job:
    """A job of Alice's on this file, or on the one that ships with GAS."""
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
    job_id = new_job_id()
    form = services.objects.presigned_upload(user_id=ALICE.user_id, job_id=job_id, max_bytes=1 << 20)
    httpx.post(form["url"], data=form["fields"], files={"file": body or demo_vcf().read_bytes()}).raise_for_status()
    return submit(services, profile=ALICE, job_id=job_id, file_name="lineage.vcf", reference="sars-cov-2")


def annotated(services: Services) -> Job:
    """One with a real result."""
    job = submitted(services)
    run(services, job_id=job.job_id, attempt="0001-a")
    return services.jobs.get(job.job_id)
