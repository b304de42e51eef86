"""``gas migrate``: what is kept, brought to the form that this GAS knows."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from gas.cli.server import JsonOption, print_json
from gas.migration import Part


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""

    @app.command(rich_help_panel="Operating a server")
    def migrate(
        parts: Annotated[list[Part] | None, typer.Argument(help="Only these; all of them unless given.")] = None,
        *,
        as_json: JsonOption = False,
    ) -> None:
        """Bring databases, roles, the service user and job records up to date. Safe to repeat, or twice at once."""
        from gas.migration import migrate as bring_up_to_date

        done = bring_up_to_date(parts or list(Part), environment=os.environ)
        if as_json:
            print_json({part.value: line for part, line in done})
            return
        for _, line in done:
            typer.echo(line)
