"""A provisioned AWS stand-in, and a job that waits to be annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gas import annotate_job
from gas.job import Job
from gas.provision import provision
from gas.settings import Settings
from tests.fakes import FakeReferences, fake_annotate
from tests.faults.harness import Installation


@pytest.fixture
def installation(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """GAS on an empty AWS, its engine replaced by a quick one."""
    monkeypatch.setattr(annotate_job.annotation, "annotate", fake_annotate, raising=False)
    monkeypatch.setattr("gas.services.ReferenceStore", lambda _: FakeReferences())
    settings = Settings(aws_account="123456789012", work_dir=tmp_path / "work")
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    return Installation(settings=settings, aws=aws)


@pytest.fixture
def job(installation: Installation) -> Job:
    """A PENDING job of Alice's whose file was uploaded."""
    return installation.submitted()
