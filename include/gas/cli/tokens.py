"""``gas token create, list, revoke``: tokens for programs that act for the person who is signed in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gas.cli.jobs import print_table
from gas.cli.server import EXIT_CODES, JsonOption, ServerOption, connect, print_json, say


class Scope(StrEnum):
    """What a token may do."""

    READ = "read"
    JOBS = "jobs"


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    group = typer.Typer(no_args_is_help=True, help="API tokens: make one for a program, list them, revoke one.")
    for name, command in (("create", create), ("list", listing), ("revoke", revoke)):
        group.command(name, epilog=EXIT_CODES)(command)
    app.add_typer(group, name="token", rich_help_panel="A GAS server")


def create(
    name: Annotated[str, typer.Argument(help="What is to use it, such as the name of a pipeline.")],
    *,
    scope: Annotated[Scope, typer.Option(help="read: see, explore, download. jobs: everything about your jobs.")] = (
        Scope.READ
    ),
    days: Annotated[int, typer.Option(metavar="7|30|90|365", help="For how many days it is good.")] = 90,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token, which is shown this once. Needs a sign-in by `gas login`."""
    with connect(server) as client:
        made = client.create_token(name, scope=scope.value, days=days)
    if as_json:
        print_json(made)
        return
    typer.echo(made["token"])
    say(f"good until {made['expires_at']}; `gas token revoke {made['id']}` ends it. It is not shown again.")


def listing(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the tokens that act for you; the tokens themselves are not kept."""
    with connect(server) as client:
        tokens = client.tokens()
    if as_json:
        print_json({"tokens": tokens})
        return
    print_table(
        ("ID", "NAME", "SCOPES", "GOOD UNTIL", "LAST USED"),
        [
            (
                str(token["id"]),
                token["name"],
                " ".join(token["scopes"]),
                token["expires_at"],
                token["last_used_at"] or "never",
            )
            for token in tokens
        ],
    )


def revoke(
    token_id: Annotated[int, typer.Argument(metavar="ID", min=0, help="As `gas token list` tells it.")],
    *,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token worthless."""
    with connect(server) as client:
        client.revoke_token(token_id)
    if as_json:
        print_json({"id": token_id, "revoked": True})
