"""Airflow's part of ``gas migrate``: ``python -m gas_airflow.migrate``.

Makes or upgrades the tables of Airflow and of its FAB provider, the roles, and the user with which GAS submits runs.
It may be repeated, and two at once do one's work: the second waits, and finds everything done. In one process,
because each of Airflow's own commands takes three seconds to begin.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gas.settings import Settings
from gas_airflow.roles import SERVICE_PERMISSIONS, SERVICE_ROLE

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

#: The key of the PostgreSQL advisory lock; any constant of our own will do, other than those of Airflow.
LOCK = 0x6A5_0002


def main() -> None:
    """Bring everything up to date; says in one line what it is now."""
    parser = argparse.ArgumentParser(prog="python -m gas_airflow.migrate", description=__doc__)
    parser.add_argument("--administrator", metavar="NAME", help="make this user too; the password is read from stdin")
    options = parser.parse_args()
    password = sys.stdin.readline().strip() if options.administrator else ""
    settings = Settings.from_environment()
    if not settings.airflow_password.get_secret_value():
        sys.exit("GAS_AIRFLOW_PASSWORD must be set: the service user's password")
    with _alone():
        _upgrade()
        _make_people(settings, administrator=options.administrator, password=password)
    from airflow import __version__

    print(f"Airflow's database is that of {__version__}, with the user {settings.airflow_user}")


@contextmanager
def _alone() -> Iterator[None]:
    from airflow import settings as airflow_settings
    from sqlalchemy import text

    # On a connection of its own, without a transaction: the lock is held as long as the connection lives.
    with airflow_settings.get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})


def _upgrade() -> None:
    from airflow.utils import db
    from airflow.utils.providers_configuration_loader import providers_configuration_loaded

    providers_configuration_loaded(db.upgradedb)()


def _make_people(settings: Settings, *, administrator: str | None, password: str) -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        builder.add_permissions(update_perms=True)
        manager = builder.sm
        manager.sync_roles()
        _set_permissions(manager, SERVICE_ROLE)
        secret = settings.airflow_password.get_secret_value()
        _ensure_user(manager, settings.airflow_user, names=("GAS", "service"), role=SERVICE_ROLE, password=secret)
        if administrator:
            _ensure_user(manager, administrator, names=("Airflow", "administrator"), role="Admin", password=password)


def _set_permissions(manager: FabAirflowSecurityManagerOverride, name: str) -> None:
    """Give the role exactly its permissions: what an earlier GAS gave it and this one does not goes."""
    role = manager.find_role(name) or manager.add_role(name)
    role.permissions = [manager.create_permission(*permission) for permission in sorted(SERVICE_PERMISSIONS)]
    manager.session.commit()


def _ensure_user(
    manager: FabAirflowSecurityManagerOverride, username: str, *, names: tuple[str, str], role: str, password: str
) -> None:
    """Make the user, or give the one that is there this role alone and this password."""
    user, wanted = manager.find_user(username=username), [manager.find_role(role)]
    if user is None:
        manager.add_user(username, *names, f"{username}@gas.invalid", wanted, password)
        return
    if user.roles != wanted:
        user.roles = wanted
        manager.update_user(user)
    if not manager.check_password(username, password):
        manager.reset_password(user.id, password)


if __name__ == "__main__":
    main()
