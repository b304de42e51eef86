"""``gas migrate`` on a real PostgreSQL: Airflow's tables, the roles, the service user, the web app's tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from werkzeug.security import check_password_hash

from gas.local.layout import Layout
from gas_airflow.roles import SERVICE_PERMISSIONS, SERVICE_ROLE

GAS = str(Path(sys.executable).with_name("gas"))


@pytest.fixture(scope="module")
def databases(postgres_layout: Layout) -> Iterator[Mapping[str, str]]:
    """Two empty databases of one's own, as the environment names them."""
    names = {"airflow": "migrated_airflow", "web": "migrated_web"}
    server = create_engine(postgres_layout.database_url("postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        for name in names.values():
            connection.execute(text(f"CREATE DATABASE {name}"))
    yield {
        "airflow": postgres_layout.database_url(names["airflow"]),
        "web": postgres_layout.database_url(names["web"]),
    }
    with server.connect() as connection:
        for name in names.values():
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(scope="module")
def environment(databases: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow-home")),
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": databases["airflow"],
        "GAS_AIRFLOW_PASSWORD": "the first",
        "GAS_WEB_DATABASE_URL": databases["web"],
    }


def start(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [GAS, "migrate", "--json", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> dict[str, str]:
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return json.loads(out)


@pytest.fixture(scope="module")
def migrated(environment: dict[str, str]) -> list[dict[str, str]]:
    """What two said that were started at the same moment on empty databases."""
    return [end(process) for process in [start(environment, "airflow", "web") for _ in range(2)]]


@pytest.fixture
def airflow(migrated: object, databases: Mapping[str, str]) -> Iterator[Connection]:
    engine = create_engine(databases["airflow"])
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_two_at_once(migrated: list[dict[str, str]], airflow: Connection) -> None:
    """Two that start at once on empty databases both succeed, and there is one service user."""
    assert migrated[0] == migrated[1]
    users = airflow.execute(text("SELECT username FROM ab_user")).scalars().all()
    assert users == ["gas-service"]


def test_service_role(airflow: Connection) -> None:
    """The service user has one role, which holds what it needs and nothing else."""
    rows = airflow.execute(
        text(
            "SELECT r.name, p.name, v.name FROM ab_user u JOIN ab_user_role ur ON ur.user_id = u.id "
            "JOIN ab_role r ON r.id = ur.role_id JOIN ab_permission_view_role pvr ON pvr.role_id = r.id "
            "JOIN ab_permission_view pv ON pv.id = pvr.permission_view_id "
            "JOIN ab_permission p ON p.id = pv.permission_id JOIN ab_view_menu v ON v.id = pv.view_menu_id "
            "WHERE u.username = 'gas-service'"
        )
    ).all()
    assert {role for role, _, _ in rows} == {SERVICE_ROLE}
    assert {(action, resource) for _, action, resource in rows} == SERVICE_PERMISSIONS


def test_repeated_with_another_password(environment: dict[str, str], airflow: Connection) -> None:
    """Another password and a permission too many are set right by the next migration."""
    with airflow.begin():
        airflow.execute(
            text(
                "INSERT INTO ab_permission_view_role (id, permission_view_id, role_id) SELECT 999999, pv.id, r.id "
                "FROM ab_permission_view pv JOIN ab_permission p ON p.id = pv.permission_id "
                "JOIN ab_view_menu v ON v.id = pv.view_menu_id, ab_role r "
                "WHERE p.name = 'can_delete' AND v.name = 'DAGs' AND r.name = :role"
            ),
            {"role": SERVICE_ROLE},
        )
    end(start({**environment, "GAS_AIRFLOW_PASSWORD": "the second"}, "airflow"))
    with airflow.begin():
        (password,) = airflow.execute(text("SELECT password FROM ab_user WHERE username = 'gas-service'")).one()
    assert check_password_hash(password, "the second")
    test_service_role(airflow)


def test_without_a_password(environment: dict[str, str]) -> None:
    """Without the service user's password nothing is begun, and the variable is named."""
    process = start({**environment, "GAS_AIRFLOW_PASSWORD": ""}, "airflow")
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "GAS_AIRFLOW_PASSWORD" in said
