"""``gas provision``: everything GAS keeps in AWS."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""

    @app.command()
    def provision() -> None:
        """Make the tables, buckets, topics and queues that are missing. Safe to repeat; deletes nothing."""
        from gas.provision import provision as make  # boto3 is slow to import
        from gas.settings import Settings

        for line in make(Settings.from_environment()):
            typer.echo(line)
