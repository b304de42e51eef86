"""``gas annotate``: the engine on its own, with no server."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
