"""A provisioned AWS stand-in, a job that waits to be annotated, and a web app over all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from gas import annotate_job
from gas import reconcile as reconciling
from gas.archive import rebuild
from gas.job import ArchiveBackend, Job
from gas.provision import provision
from gas.services import build
from gas.settings import Settings
from tests.fakes import FakeReferences, fake_annotate
from tests.faults.ground import Ground
from tests.faults.harness import Installation
from tests.faults.stage import AwsWithin, Stage, aws_within
from tests.faults.web import WebApp
from tests.storage import DELAY_S, Clock, quick_make


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


@pytest.fixture(scope="session")
def web(postgres_url: str) -> Iterator[WebApp]:
    """The web app, made once: what it works on is set by each test."""
    with WebApp.running(build(Settings()), postgres_url) as app:
        yield app


@dataclass
class ClockModule:
    """In the place of the module ``time``."""

    time: Callable[[], float]


@pytest.fixture(params=list(ArchiveBackend))
def ground(
    request: Any, aws_in_process: None, web: WebApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    """GAS on an empty AWS, with each back end; retries wait for nothing, and reconcile's clock is the records'."""
    monkeypatch.setattr(rebuild, "make_index", quick_make)
    monkeypatch.setattr(rebuild, "make_table", quick_make)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    settings = Settings(
        aws_account="123456789012",
        work_dir=tmp_path / "work",
        references=tmp_path / "references",
        archive=request.param,
        free_result_ttl_s=DELAY_S,
    )
    aws = AwsWithin()
    list(provision(settings, session=aws.session))
    clock = Clock()
    monkeypatch.setattr(reconciling, "time", ClockModule(clock))
    made = Ground(Installation(settings=settings, aws=aws, now=clock), clock, web)
    web.serve(made.worker())
    yield made
    aws.reset()


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
