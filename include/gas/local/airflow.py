"""Airflow in the local stack: its tables, its users, and whether it knows GAS's workflows. All by its own commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from gas.local.layout import Layout, StackError, write_private
from gas.local.variables import SERVICE_ROLE

COMMAND = str(Path(sys.executable).parent / "airflow")

_SAID_LINES = 15
_TIMEOUT_S = 30.0


def is_prepared(layout: Layout) -> bool:
    """Whether the tables are those of the installed version of Airflow, and the administrator exists."""
    done = _done(layout)
    return done.exists() and done.read_text() == version("apache-airflow")


def prepare(layout: Layout, environment: Mapping[str, str]) -> None:
    """Make or upgrade Airflow's tables and make its administrator.

    :raises StackError: with the end of what Airflow said.
    """
    _run(environment, "db", "migrate")
    password = f"{layout.secrets.airflow_admin_password}\n"
    person = ("--firstname", "Airflow", "--lastname", "Administrator", "--email", "admin@gas.invalid")
    admin = ("--username", "admin", "--role", "Admin", *person)
    _run(environment, "users", "create", *admin, typed=password * 2)  # an argument would show in the list of processes
    write_private(_done(layout), version("apache-airflow"))


def make_service_user(layout: Layout) -> None:
    """Make the user with which GAS submits runs, if it is not there. The API server must be up."""
    user = {
        "username": "gas-service",
        "password": layout.secrets.airflow_service_password,
        "email": "gas-service@gas.invalid",
        "first_name": "GAS",
        "last_name": "service",
        "roles": [{"name": SERVICE_ROLE}],
    }
    with _administrator(layout) as airflow:
        made = airflow.post("/auth/fab/v1/users", json=user)
    if made.status_code != httpx.codes.CONFLICT:
        made.raise_for_status()


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


def _run(environment: Mapping[str, str], *arguments: str, typed: str = "") -> None:
    done = subprocess.run(
        [COMMAND, *arguments],
        input=typed,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # without a terminal a password is read from what is typed here
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-_SAID_LINES:])
        raise StackError(f"airflow {' '.join(arguments[:2])} failed:\n{said}")
