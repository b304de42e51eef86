"""GAS's services on a freshly provisioned AWS stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gas.archive import rebuild
from gas.job import ArchiveBackend, Job
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from tests.storage import DELAY_S, Clock, completed_job, quick_make


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an installation of its own."""
    return Settings(aws_account="123456789012", work_dir=tmp_path / "work", references=tmp_path / "references")


@pytest.fixture
def clock() -> Clock:
    """The clock of ``storage_services``."""
    return Clock()


@pytest.fixture(params=list(ArchiveBackend))
def storage_services(
    request: Any, aws: Any, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Services:
    """GAS with each back end and a short delay; index and table are made again by something quick."""
    monkeypatch.setattr(rebuild, "make_index", quick_make)
    monkeypatch.setattr(rebuild, "make_table", quick_make)
    chosen = settings.model_copy(update={"archive": request.param, "free_result_ttl_s": DELAY_S})
    list(provision(chosen, session=aws.session, endpoint_url=aws.endpoint_url))
    return build(chosen, session=aws.session, endpoint_url=aws.endpoint_url, now=clock)


@pytest.fixture
def due_job(storage_services: Services, clock: Clock) -> Job:
    """Alice's COMPLETED job, whose delay is over."""
    job = completed_job(storage_services)
    clock.ahead_s += DELAY_S + 1
    return job


@pytest.fixture
def services(aws: Any, settings: Settings) -> Services:
    """The real adapters on everything that ``gas provision`` makes."""
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    return build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
