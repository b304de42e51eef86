"""``gas iam``: what each part of GAS may do in AWS."""

from __future__ import annotations

from typing import Annotated

import typer

from gas.cli.server import print_json
from gas.iam import Role


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""

    @app.command(rich_help_panel="Operating a server")
    def iam(
        role: Annotated[Role, typer.Argument(help="Who calls AWS.")],
        *,
        vault: Annotated[
            bool | None,
            typer.Option("--vault/--no-vault", help="Cold copies may lie in a vault; else GAS_ARCHIVE says."),
        ] = None,
    ) -> None:
        """Print the IAM policy that lets a part of GAS do its work, and nothing else, as JSON."""
        from gas.iam import policy
        from gas.settings import Settings

        print_json(policy(role, Settings.from_environment(), vault=vault))
