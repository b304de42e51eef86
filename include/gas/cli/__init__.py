"""The ``gas`` command. Each group of subcommands is a module here; heavy imports happen inside the commands."""

from __future__ import annotations

import sys

import click
import typer

from gas.cli import (
    account,
    annotate,
    backfill,
    doctor,
    iam,
    jobs,
    migrate,
    notices,
    provision,
    references,
    stack,
    storage,
    table,
    tokens,
    variants,
)
from gas.cli.server import EXIT_CODES
from gas.errors import GasError


def build_app() -> typer.Typer:
    """Put the command together from its groups."""
    app = typer.Typer(
        name="gas",
        help="GAS: annotate variants, here or on a GAS server.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    groups = (
        annotate,
        references,
        account,
        tokens,
        notices,
        jobs,
        table,
        variants,
        provision,
        migrate,
        iam,
        doctor,
        storage,
        backfill,
        stack,
    )
    for group in groups:
        group.register(app)
    return app


def main() -> None:
    """Entry point: one sentence on stderr and the error's exit code, never a traceback for what GAS foresaw."""
    try:
        build_app()()
    except GasError as error:
        click.echo(f"gas: {error}", err=True)
        sys.exit(error.exit_code)
