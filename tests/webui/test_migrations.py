"""The web app's database: made, taken over from before its changes were numbered, and upgraded whole or not at all."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_appbuilder import Model
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from gas.local import postgres
from gas.local.layout import Layout
from gas.services import Services
from tests.webui.conftest import ALICE, WEB_URL, Globus
from webui.app import create_app
from webui.database import MIGRATIONS, VERSION_TABLE, LaterDatabase, upgrade

#: As the web app left it before its changes were numbered: three people, their sessions, tokens and a shared result.
BEFORE = Path(__file__).with_name("data") / "web_database_0.sql"
TOKEN = "gas_9Lnwz1QXB2e75tHAULBhRuWXlforr4yD_Vy8TBOINVc"

STEP = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None
def upgrade():
    op.add_column("gas_api_token", sa.Column("colour", sa.String(10)))
    {then}
"""


@pytest.fixture
def database(postgres_layout: Layout, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An empty database of its own."""
    name = "migrations_web"
    server = create_engine(postgres_layout.database_url("postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(postgres_layout.database_url(name))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def before(database: Engine) -> Engine:
    """The database of the state before."""
    connection = database.raw_connection()
    with connection.cursor() as cursor:
        cursor.execute(BEFORE.read_text())
    connection.commit()
    connection.invalidate()  # the dump leaves its search path behind
    return database


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str], Path]:
    """The changes with one more, which ends in these words."""

    def make(then: str) -> Path:
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "0002_colour.py").write_text(STEP.format(then=then))
        return folder

    return make


def upgraded(database: Engine, **options: Any) -> None:
    with database.begin() as transaction:
        upgrade(transaction, **options)


def revision(connection: Connection) -> str | None:
    return connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant


def differences(database: Engine) -> list[Any]:
    """Between the tables as they are and as the code describes them."""

    def ours(name: str | None, kind: str) -> bool:
        return kind != "table" or (str(name).startswith("gas_") and name != VERSION_TABLE)

    with database.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: ours(name, kind),
                "include_object": lambda thing, name, kind, *_: ours(name, kind),
            },
        )
        return compare_metadata(context, Model.metadata)


def test_new_database_has_the_tables_of_the_code(database: Engine) -> None:
    """All changes together make what the code describes: whoever changes a table must write a change."""
    upgraded(database)
    assert differences(database) == []
    tables = inspect(database).get_table_names()
    assert {table.name for table in Model.metadata.sorted_tables} <= set(tables)


def test_database_of_the_state_before_is_taken_over(before: Engine, wired: Services, globus_server: Globus) -> None:
    """The app starts on it, and people, tokens and links are what they were."""
    url = SecretStr(before.url.render_as_string(hide_password=False))
    settings = wired.settings.model_copy(update={"web_database_url": url})
    app = create_app(services=dataclasses.replace(wired, settings=settings))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    told = app.test_client().get("/api/v1/me", base_url=WEB_URL, headers=headers)
    assert (told.status_code, told.json and told.json["user_id"]) == (200, ALICE)
    with before.connect() as connection:
        assert revision(connection) == "0001"
        assert connection.scalar(text("SELECT count(*) FROM ab_user")) == 3
        assert connection.scalar(text("SELECT count(*) FROM gas_share_link")) == 1
    assert differences(before) == []
    with app.app_context():
        app.appbuilder.session.remove()
        app.extensions["sqlalchemy"].engine.dispose()


def test_change_reaches_a_database_with_people_in_it(before: Engine, changed: Callable[[str], Path]) -> None:
    """A later change is made to the tables as they are, rows and all; a second time there is nothing to do."""
    folder = changed("op.execute(\"UPDATE gas_api_token SET colour = 'red'\")")
    upgraded(before, migrations=folder)
    upgraded(before, migrations=folder)
    with before.connect() as connection:
        assert connection.execute(text("SELECT DISTINCT colour FROM gas_api_token")).scalars().all() == ["red"]
        assert revision(connection) == "0002"


def test_failed_change_leaves_everything_as_it_was(before: Engine, changed: Callable[[str], Path]) -> None:
    """When a step fails, what it and the steps before it did is undone."""
    with pytest.raises(ZeroDivisionError):
        upgraded(before, migrations=changed("1 / 0"))
    columns = {column["name"] for column in inspect(before).get_columns("gas_api_token")}
    assert "colour" not in columns
    assert VERSION_TABLE not in inspect(before).get_table_names()


def test_database_of_a_later_gas_is_left_alone(before: Engine, changed: Callable[[str], Path]) -> None:
    """A GAS that does not know a change that was made does not touch the database, and says what to do."""
    upgraded(before, migrations=changed(""))
    with pytest.raises(LaterDatabase, match="later GAS"):
        upgraded(before)
    with before.connect() as connection:
        assert revision(connection) == "0002"


def test_database_comes_back_from_a_backup(before: Engine, postgres_layout: Layout, tmp_path: Path) -> None:
    """The commands of docs/upgrades.md, in PostgreSQL's container: people and tokens are there again, once."""
    said = (Path(__file__).parents[2] / "docs" / "upgrades.md").read_text()
    written = re.findall(r"^docker compose exec -T postgres (pg_(?:dump|restore) .*)$", said, flags=re.MULTILINE)
    dump, restore = (line for line in written if "gas_web" in line)
    assert written == [dump.replace("gas_web", "airflow"), dump, restore.replace("gas_web", "airflow"), restore]
    environment = {
        "PATH": os.pathsep.join([str(postgres._binaries()), os.environ["PATH"]]),
        "PGHOST": str(postgres_layout.sockets),
        "PGPASSWORD": postgres_layout.secrets.postgres_password,
    }

    def run(command: str) -> None:
        line = re.sub(r"\bgas_web(?!\.dump)", str(before.url.database), command)
        subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, env=environment, check=True, timeout=60)

    def people() -> list[Any]:
        with before.connect() as connection:
            return list(connection.execute(text("SELECT id, username FROM ab_user ORDER BY id")))

    kept = people()
    assert len(kept) == 3
    run(dump)
    with before.begin() as lost:
        lost.execute(text("DROP TABLE gas_api_token"))
        lost.execute(text("UPDATE ab_user SET username = 'nobody' || id"))
    before.dispose()
    run(restore)
    assert people() == kept
    assert "gas_api_token" in inspect(before).get_table_names()
