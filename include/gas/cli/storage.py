"""``gas restore, reconcile, inventory``: what an operator does about stored results, with the server's settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gas.cli.server import JsonOption, print_json

if TYPE_CHECKING:
    from gas.findings import Finding

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    for command in (restore, reconcile, inventory):
        app.command(rich_help_panel="Operating a server")(command)


def duration_s(text: str) -> int:
    """``90s``, ``30m``, ``12h``, ``7d`` or ``2w`` in seconds.

    :raises typer.BadParameter: when it is none of these.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration like 90s, 30m, 12h, 7d or 2w")
    return int(match[1]) * _UNITS[match[2]]


def restore(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    *,
    keep: Annotated[
        int | None,
        typer.Option(parser=duration_s, metavar="DURATION", help="Keep it at least so long, like 12h or 7d."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring one job's result back from the archive, whatever its owner's plan; prints the DAG run that does it."""
    from gas.services import build  # boto3 is slow to import
    from gas.settings import Settings
    from gas.subscription import restore_job

    services = build(Settings.from_environment())
    run_id = restore_job(services, services.jobs.get(job_id), keep_s=keep)
    if as_json:
        print_json({"job_id": job_id, "run_id": run_id})
    else:
        typer.echo(run_id)


def reconcile(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare every open record with what is, and repair what differs; prints a line for each.

    Airflow does this every few minutes. The command ends with 1 when something could not be repaired.
    """
    from gas.reconcile import reconcile as look
    from gas.services import build
    from gas.settings import Settings

    _tell(look(build(Settings.from_environment()), dry_run=dry_run), as_json=as_json)


def inventory(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find what lies in the buckets and in the vault that no record names, and delete it; prints a line for each.

    Airflow does this every day, after asking the vault for its inventory; the command takes the one completed last.
    It ends with 1 when something could not be looked at or deleted.
    """
    from gas.inventory import inventory as look
    from gas.services import build
    from gas.settings import Settings

    services = build(Settings.from_environment())
    completed = services.vault_inventory.latest()
    if completed is None:
        typer.echo(
            f"No completed inventory of vault {services.vault_inventory.name}: only the buckets are looked at.",
            err=True,
        )
    _tell(look(services, vault_inventory=completed, dry_run=dry_run), as_json=as_json)


def _tell(findings: Iterable[Finding], *, as_json: bool) -> None:
    told = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            typer.echo(finding)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in told]})
    if any(finding.trouble for finding in told):
        raise typer.Exit(1)
