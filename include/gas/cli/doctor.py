"""``gas doctor``: whether everything that GAS stands on is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gas.cli.server import JsonOption, print_json
from gas.iam import Role


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""

    @app.command(rich_help_panel="Operating a server")
    def doctor(
        role: Annotated[
            Role | None, typer.Argument(help="Look as this part, at what it needs and may do; else at everything.")
        ] = None,
        *,
        as_json: JsonOption = False,
    ) -> None:
        """Look at settings, disk, references, AWS, Airflow, Globus, database, clocks, versions and permissions.

        Each line says how a thing was found and, where something is wrong, what to do.

        It changes nothing, and ends with 1 where something failed.
        """
        from gas.doctor import Health, examine
        from gas.settings import Settings

        checks = []
        for check in examine(Settings.from_environment(), role=role):
            checks.append(check)
            if not as_json:
                typer.echo(check)
        if as_json:
            print_json({"checks": [asdict(check) for check in checks]})
        if any(check.health is Health.FAILED for check in checks):
            raise typer.Exit(1)
