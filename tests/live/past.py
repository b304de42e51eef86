"""Jobs of days ago on a running stack, and the commands of whoever operates it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from gas import annotate_job
from gas.job import Job, new_job_id
from gas.local import contents
from gas.local.stack import Stack
from gas.local.variables import process_environment, stack_settings
from gas.references import SARS_COV_2, demo_vcf
from gas.services import Services, build
from gas.submission import submit
from tests.fakes import FakeAirflow

GAS = str(Path(sys.executable).parent / "gas")
SECONDS = 120


class Past:
    """Somebody who was here days ago: what they submitted then."""

    def __init__(self, stack: Stack) -> None:
        self._layout = stack.layout
        self._user_id = str(uuid.uuid4())

    def submitted(self, when: datetime) -> Job:
        """A job that was submitted at that time; Airflow was never told."""
        services, content, job_id = self._services(when), demo_vcf().read_bytes(), new_job_id()
        profile = services.profiles.ensure(
            self._user_id, name="Past", email="p@example.org", now=int((when - timedelta(days=5)).timestamp())
        )
        form = services.objects.presigned_upload(user_id=self._user_id, job_id=job_id, max_bytes=len(content))
        httpx.post(form["url"], data=form["fields"], files={"file": content}).raise_for_status()
        return submit(
            services,
            profile=profile,
            job_id=job_id,
            file_name="past.vcf",
            reference=SARS_COV_2,
            now=when.timestamp,
        )

    def completed(self, when: datetime) -> Job:
        """A job that was submitted at that time, and whose result came due then."""
        job = self.submitted(when)
        services = self._services(when)
        annotate_job.run(services, job_id=job.job_id, attempt="0001-a")
        return services.jobs.get(job.job_id)

    def _services(self, when: datetime) -> Services:
        made = build(
            stack_settings(self._layout),
            session=contents.session(self._layout),
            endpoint_url=self._layout.aws_url,
            now=when.timestamp,
        )
        return replace(made, airflow=FakeAirflow())  # type: ignore[arg-type]  # the tests start the runs themselves


def gas(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command beside the server, with its settings."""
    environment = process_environment(stack.layout)
    return subprocess.run(
        [GAS, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
