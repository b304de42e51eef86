"""What tests of a running stack have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gas.local import contents
from gas.local.stack import Stack
from gas.services import Services
from tests.live.past import Past

DAYS_AGO = itertools.count(3, 2)


@pytest.fixture
def services(stack: Stack) -> Iterator[Services]:
    """GAS's services on the running stack."""
    made = contents.services(stack.layout)
    with closing(made.airflow):
        yield made


@pytest.fixture
def airflow(stack: Stack) -> Iterator[httpx.Client]:
    """Airflow's API as its administrator."""
    with httpx.Client(base_url=stack.layout.airflow_url, timeout=30, trust_env=False) as client:
        who = {"username": "admin", "password": stack.layout.secrets.airflow_admin_password}
        token = client.post("/auth/token", json=who).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture
def past(stack: Stack) -> Past:
    """A person of the past."""
    return Past(stack)


@pytest.fixture
def days_ago() -> datetime:
    """A time of which nobody but this test has jobs: each test has two days of its own."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=next(DAYS_AGO))
