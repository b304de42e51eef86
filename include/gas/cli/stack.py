"""``gas up, down, demo, status, restart, env``: the local stack."""

from __future__ import annotations

import json
import os
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gas.cli.server import JsonOption, print_json
from gas.errors import SettingsError

if TYPE_CHECKING:
    from gas.local.stack import Stack


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    panel = "The local stack"
    for command in (up, down, demo, status, restart, env):
        app.command(rich_help_panel=panel)(command)


def up(*, as_json: JsonOption = False) -> None:
    """Start the local stack and leave it running."""
    from rich.console import Console

    from gas.local.console import Narrator
    from gas.local.signals import interruptible

    stack = _stack()
    narrator = Narrator(Console(highlight=False, soft_wrap=True, stderr=as_json))
    with interruptible(), narrator:
        started = stack.up(told=narrator.told, waiting=narrator.waiting)
    if as_json:
        print_json({"started": started, "web_url": stack.layout.web_url, "airflow_url": stack.layout.airflow_url})
        return
    if not started:
        narrator.say("The stack is up already.")
    narrator.sign_in_hints(stack.layout)


def down(*, as_json: JsonOption = False) -> None:
    """Stop the local stack; jobs, results and sign-ups are kept."""
    stopped = _stack().down()
    if as_json:
        print_json({"stopped": stopped})
    else:
        typer.echo("The stack is stopped." if stopped else "The stack was not running.")


def restart(
    components: Annotated[list[str], typer.Argument(help="Names as in gas status --json.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Restart components of the running stack, to take up changed code."""
    from rich.console import Console

    from gas.local.console import Narrator

    narrator = Narrator(Console(highlight=False, soft_wrap=True, stderr=as_json))
    _stack().restart(components, told=narrator.told)
    if as_json:
        print_json({"restarted": components})


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show each part of the local stack: its state, its address, since when it runs."""
    from gas.local.console import Narrator

    stack = _stack()
    found = stack.status()
    if as_json:
        parts = [
            {
                "name": part.name,
                "state": part.state,
                "address": part.address,
                "since": part.since and datetime.fromtimestamp(part.since).astimezone().isoformat(),
            }
            for part in found
        ]
        typer.echo(json.dumps({"up": stack.is_up(), "web_url": stack.layout.web_url, "components": parts}))
        return
    narrator = Narrator()
    narrator.status(found)
    if stack.is_up():
        narrator.sign_in_hints(stack.layout)


def env(*, as_json: JsonOption = False) -> None:
    """Print the stack's environment for a shell: eval "$(gas env)". It holds the stack's secrets."""
    from gas.local.variables import stack_variables

    variables = stack_variables(_stack().layout)
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def demo(
    once: Annotated[
        bool, typer.Option("--once", envvar="DEMO_ONCE", help="Stop after the job; the exit code is its outcome.")
    ] = False,
) -> None:
    """Start the stack, annotate a real VCF that ships with GAS, show the result, and stay until Ctrl-C."""
    from gas.local.demo import demonstrate

    raise typer.Exit(0 if demonstrate(_stack(), once=once) else 1)


def _stack() -> Stack:
    """The stack that GAS_STATE (the checkout's ``.gas`` without it) and GAS_PORT name."""
    from gas.local.stack import Stack, find

    checkout = Path(__file__).resolve().parents[3]
    state = Path(os.environ.get("GAS_STATE") or checkout / ".gas")
    said = os.environ.get("GAS_PORT")
    try:
        port = int(said) if said else None
    except ValueError:
        raise SettingsError(f"GAS_PORT: {said!r} is not a number") from None
    return Stack(find(state=state, port=port))
