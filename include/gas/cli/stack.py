"""``gas up, down, status, demo, provision``: the local stack."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
