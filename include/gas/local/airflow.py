"""Airflow in the local stack: its tables, its users, and whether it knows GAS's workflows. All by its own commands."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from gas import migration
from gas.local.layout import Layout, write_private

COMMAND = str(Path(sys.executable).parent / "airflow")

_TIMEOUT_S = 30.0


def is_prepared(layout: Layout) -> bool:
    """Whether the tables, roles and users are those of the installed Airflow and of this GAS."""
    done = _done(layout)
    return done.exists() and done.read_text() == _wanted(layout)


def prepare(layout: Layout, environment: Mapping[str, str]) -> None:
    """Make or upgrade Airflow's tables, its roles, the service user, and an administrator for programs on this machine.

    :raises MigrationFailed: with the end of what was said.
    """
    password = f"{layout.secrets.airflow_admin_password}\n"
    migration.run("gas_airflow.migrate", "--administrator", "admin", environment=environment, typed=password)
    write_private(_done(layout), _wanted(layout))


def knows_dag(layout: Layout, dag_id: str) -> bool:
    """Whether Airflow has read a DAG and would run it."""
    with _administrator(layout) as airflow:
        found = airflow.get(f"/api/v2/dags/{dag_id}")
    return found.is_success and not found.json()["is_paused"]


@contextmanager
def _administrator(layout: Layout) -> Iterator[httpx.Client]:
    who = {"username": "admin", "password": layout.secrets.airflow_admin_password}
    with httpx.Client(base_url=layout.airflow_url, timeout=_TIMEOUT_S, trust_env=False) as client:
        signed_in = client.post("/auth/token", json=who).raise_for_status()
        client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
        yield client


def _done(layout: Layout) -> Path:
    return layout.airflow_home / "prepared"


def _wanted(layout: Layout) -> str:
    """What the migration depends on, as one digest: it takes seconds, which are saved where nothing has changed."""
    plugin = layout.checkout / "plugins" / "gas_airflow"
    code = b"".join((plugin / name).read_bytes() for name in ("migrate.py", "roles.py"))
    versions = [version(name) for name in ("apache-airflow", "apache-airflow-providers-fab")]
    return hashlib.sha256("\n".join(versions).encode() + code).hexdigest()
