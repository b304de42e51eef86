"""``gas reference``: the reference genomes installed here."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
