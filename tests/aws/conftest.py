"""GAS's services on a freshly provisioned AWS stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an installation of its own."""
    return Settings(aws_account="123456789012", work_dir=tmp_path / "work", references=tmp_path / "references")


@pytest.fixture
def services(aws: Any, settings: Settings) -> Services:
    """The real adapters on everything that ``gas provision`` makes."""
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    return build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
