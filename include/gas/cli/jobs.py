"""``gas login, submit, jobs, show, log, download``: a GAS server from the command line."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
