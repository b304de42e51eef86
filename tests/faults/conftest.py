"""A provisioned AWS stand-in, and a job that waits to be annotated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gas import annotate_job
from gas.archive import rebuild
from gas.job import ArchiveBackend, Job
from gas.provision import provision
from gas.settings import Settings
from tests.fakes import FakeReferences, fake_annotate
from tests.faults.harness import Installation
from tests.faults.stage import Stage, aws_within
from tests.storage import quick_make


@pytest.fixture(scope="module")
def aws_in_process() -> Iterator[None]:
    """An AWS without a server, for tests that make very many calls."""
    with aws_within():
        yield


@pytest.fixture(params=list(ArchiveBackend))
def stage(request: Any, aws_in_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """GAS with each back end on an AWS in this process; index and table are made again by something quick."""
    monkeypatch.setattr(rebuild, "make_index", quick_make)
    monkeypatch.setattr(rebuild, "make_table", quick_make)
    return Stage.of(request.param, tmp_path)


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
