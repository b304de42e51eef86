"""``gas variants``: what a GAS server says of a few variants, at once and without a job."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gas.cli.jobs import print_table
from gas.cli.server import EXIT_CODES, JsonOption, ServerOption, connect, print_json, say
from gas.errors import InputError

#: Characters that are read from the terminal or a pipe; the server takes fewer.
_MOST = 1 << 20


def register(app: typer.Typer) -> None:
    """Add the command to the ``gas`` command."""
    app.command("variants", epilog=EXIT_CODES, rich_help_panel="A GAS server")(variants)


def variants(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VARIANT]...",
            help="Such as chr21-25891784-C-T, 21:25891784:C:T or 'chr21:25891784C>T'; from standard input when none "
            "is given, one a line, VCF lines too.",
            show_default=False,
        ),
    ] = None,
    *,
    reference: Annotated[
        str | None, typer.Option("--reference", "-r", help="The reference genome; else the server's only one.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Annotate a few variants at once, up to 100; no job is made and nothing is kept.

    The exit code is 2 when one of them could not be annotated; the others are all the same.
    """
    lines = given or _read().splitlines()
    with connect(server) as client:
        answer = client.annotate(lines, reference=reference or _only(client.references()))
    if as_json:
        print_json(answer)
    else:
        shown = ("line", *answer["columns"])
        if answer["rows"]:
            print_table(shown, [tuple(_cell(row[name]) for name in shown) for row in answer["rows"]])
        for problem in answer["problems"]:
            say(f"line {problem['line']}, {problem['text']}: {problem['sentence']}")
    if answer["problems"]:
        raise typer.Exit(InputError.exit_code)


def _read() -> str:
    if sys.stdin.isatty():
        say("Type or paste variants, one a line; end with Ctrl-D.")
    return sys.stdin.read(_MOST)


def _only(references: list[Any]) -> str:
    if len(references) == 1:
        return str(references[0]["name"])
    names = ", ".join(reference["name"] for reference in references)
    raise InputError(f"which reference? Give --reference with one of: {names or 'none is installed on the server'}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
