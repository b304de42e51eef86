"""``gas provision``: everything GAS keeps in AWS."""

from __future__ import annotations

import typer

from gas.cli.server import JsonOption, print_json


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""

    @app.command()
    def provision(*, as_json: JsonOption = False) -> None:
        """Make the tables, buckets, topics and queues that are missing. Safe to repeat; deletes nothing."""
        from gas.provision import provision as make  # boto3 is slow to import
        from gas.settings import Settings

        lines = make(Settings.from_environment())
        if as_json:
            print_json({"stands": list(lines)})
            return
        for line in lines:
            typer.echo(line)
