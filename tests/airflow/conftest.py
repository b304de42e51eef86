"""Airflow with a database of its own, and GAS's DAGs in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gas.iam import Role
from tests.permissions import marked

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

CHECKOUT = Path(__file__).parents[2]
DAGS = CHECKOUT / "dags"

#: Warnings that Airflow's own code gives about the libraries it uses; GAS can do nothing about them.
AIRFLOWS_OWN_WARNINGS = [
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`"),
]


@pytest.fixture(scope="session", autouse=True)
def airflow_home(_no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An Airflow home with a migrated SQLite database: enough for one process at a time.

    For every test here, asked for or not: Airflow takes the home that is there when it is first imported.
    """
    home = tmp_path_factory.mktemp("airflow")
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            check=True,
            capture_output=True,
            timeout=180,
        )
        yield home


@pytest.fixture(scope="session")
def dag_bag(airflow_home: Path) -> DagBag:
    """Every DAG that GAS ships, as Airflow reads them."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(DAGS))


@pytest.fixture
def connected(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GAS's tasks find an empty AWS through Airflow's connection to it."""
    credentials = aws.session.get_credentials()
    connection = {
        "conn_type": "aws",
        "login": credentials.access_key,
        "password": credentials.secret_key,
        "extra": {"region_name": "us-east-1", "endpoint_url": aws.endpoint_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("GAS_AWS_ACCOUNT", "123456789012")
    monkeypatch.setenv("GAS_WORK_DIR", str(tmp_path / "work"))
    from gas_airflow import connections, triggers

    connect = connections.connected_services
    monkeypatch.setattr(connections, "connected_services", lambda: marked(connect(), Role.WORKER))
    monkeypatch.setattr(triggers, "connected_services", lambda: marked(connect(), Role.TRIGGERER))
