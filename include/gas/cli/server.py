"""Which server the commands speak to, with whose token, and how they print."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gas.client import Client
    from gas.login import Credentials

EXIT_CODES = (
    "Exit codes: 0 done, 1 error, 2 bad input or usage, 3 not signed in or not allowed, 4 no such job, "
    "5 server out of reach, 6 a job that was waited for failed."
)
"""The closing line of each command's help; the numbers are those of ``gas.errors``."""

ServerOption = Annotated[
    str | None,
    typer.Option("--server", envvar="GAS_SERVER", metavar="URL", help="The server; else the one signed in to last."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and talk on stderr only.")]


def credentials() -> Credentials:
    """The person's stored tokens, in their configuration folder."""
    from gas.login import Credentials

    return Credentials(Path(typer.get_app_dir("gas")) / "credentials.json")


def address(server: str | None) -> str:
    """The server meant: the one named, else the one signed in to last, else the local stack's."""
    from gas.client import DEFAULT_SERVER, server_address

    return server_address(server or credentials().server or DEFAULT_SERVER)


def connect(server: str | None) -> Client:
    """A client for the server, with ``GAS_TOKEN`` or else the token stored for that very server.

    :raises NotAllowed: there is neither.
    """
    from gas.client import Client
    from gas.errors import NotAllowed

    url = address(server)
    token = os.environ.get("GAS_TOKEN") or credentials().token(url)
    if token is None:
        raise NotAllowed(f"not signed in at {url}: run `gas login`, or set GAS_TOKEN")
    return Client(url, token=token)


def print_json(document: Any) -> None:
    """The one document of a ``--json`` run."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Talk for a person, kept apart from what the command prints."""
    typer.echo(printable(text), err=True)


def printable(text: str) -> str:
    """The text with nothing in it that a terminal would act upon: a file's name can hold anything."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
