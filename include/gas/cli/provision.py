"""``gas provision``: everything GAS keeps in AWS."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gas.cli.server import JsonOption, print_json

if TYPE_CHECKING:
    from gas.provision import Change


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""

    @app.command(rich_help_panel="Operating a server")
    def provision(
        *,
        plan: Annotated[
            bool, typer.Option("--plan", help="Only tell what differs: + new, ~ changed, = as it is.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only print the calls that would change something, with all they set.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Make the tables, buckets, topics and queues that are missing, and set what differs.

        Safe to repeat; deletes nothing. It ends with 1 where GAS cannot work before a person has done something.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        from gas.errors import GasError

        if plan and dry_run:
            raise typer.BadParameter("--plan and --dry-run: one at a time")
        try:
            _provision(plan=plan, dry_run=dry_run, as_json=as_json)
        except (BotoCoreError, ClientError) as error:
            raise GasError(f"AWS: {error}; `gas iam operator` prints what this takes") from error


def _provision(*, plan: bool, dry_run: bool, as_json: bool) -> None:
    from gas.provision import changes  # boto3 is slow to import
    from gas.provision import provision as make
    from gas.settings import Settings

    found: list[Change] = []
    for change in (changes if plan or dry_run else make)(Settings.from_environment()):
        found.append(change)
        if not as_json:
            for line in _lines(change, plan=plan, dry_run=dry_run):
                typer.echo(line)
    if as_json:
        print_json(
            {"changes": [_form(change) for change in found]} if plan or dry_run else {"stands": [*map(str, found)]}
        )
    elif plan:
        numbers = Counter(change.action.value for change in found)
        typer.echo(f"{numbers['make']} to make, {numbers['change']} to change, {numbers['nothing']} as they should be")
    if any(change.trouble for change in found):
        raise typer.Exit(1)


def _lines(change: Change, *, plan: bool, dry_run: bool) -> list[str]:
    if dry_run:
        return [str(call) for call in change.calls]
    return [change.plan if plan else str(change)]


def _form(change: Change) -> dict[str, Any]:
    return {
        "thing": change.thing,
        "action": change.action.value,
        "what": list(change.what),
        "trouble": change.trouble or None,
        "note": change.note or None,
        "calls": [
            {"service": call.service, "operation": call.operation, "parameters": call.parameters}
            for call in change.calls
        ],
    }
