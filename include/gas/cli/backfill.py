"""``gas backfill``: past intervals of a scheduled DAG, by Airflow's REST API and with the server's settings."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gas.airflow_api import Reprocess
from gas.cli.server import EXIT_CODES, JsonOption, print_json, say

if TYPE_CHECKING:
    from gas.airflow_api import AirflowApi, Backfill, BackfillRuns

#: What a shell says of a program that Ctrl-C ended.
INTERRUPTED = 130
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    app.command(epilog=EXIT_CODES, rich_help_panel="Operating a server")(backfill)


def first_moment(text: str) -> datetime:
    """A day's midnight, or the time itself; UTC where no offset is given.

    :raises typer.BadParameter: when it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day like 2026-11-25 or a time like 2026-11-25T14:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def last_moment(text: str) -> datetime:
    """A day's last moment, or the time itself; UTC where no offset is given.

    :raises typer.BadParameter: when it is neither.
    """
    moment = first_moment(text)
    return moment + timedelta(days=1, microseconds=-1) if _DAY.fullmatch(text) else moment


def params(text: str) -> dict[str, Any]:
    """The runs' Params, a JSON object.

    :raises typer.BadParameter: when it is not one.
    """
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{text!r} is not a JSON object")
    return document


def backfill(
    dag_id: Annotated[str, typer.Argument(metavar="DAG", help="A scheduled DAG: archive, reconcile, reannotate.")],
    *,
    start: Annotated[
        datetime | None,
        typer.Option("--from", parser=first_moment, metavar="TIME", help="The first interval begins then (UTC)."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", parser=last_moment, metavar="TIME", help="None begins later; a day counts to its end."),
    ] = None,
    reprocess: Annotated[
        Reprocess, typer.Option(help="Which runs that were there before are done again.")
    ] = Reprocess.COMPLETED,
    at_once: Annotated[int, typer.Option(min=1, max=32, help="So many of its runs at a time at most.")] = 4,
    conf: Annotated[
        dict[str, Any] | None, typer.Option(parser=params, metavar="JSON", help="The runs' Params.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the intervals that would run.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show the backfill that is running already.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Start none of the running one's runs any more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do past intervals of a DAG again, beside live work and as often as you like; shows how far it is.

    Ctrl-C leaves it running. The command ends with 1 when one of the runs failed.
    """
    from gas.airflow_api import AirflowApi
    from gas.settings import Settings

    if sum((watch, cancel, start is not None or end is not None)) != 1 or (start is None) != (end is None):
        raise typer.BadParameter("give --from and --to, or --watch, or --cancel")
    settings = Settings.from_environment()
    airflow = AirflowApi(url=settings.airflow_url, user=settings.airflow_user, password=settings.airflow_password)
    try:
        if start is None or end is None:
            _running_one(airflow, dag_id, cancel=cancel, as_json=as_json)
            return
        from gas.backfill import begin, plan

        dates = plan(airflow, dag_id, start=start, end=end, reprocess=reprocess)
        if dry_run or not dates:
            _tell_plan(dag_id, dates, as_json=as_json)
            return
        with _going_on(dag_id):
            begun = begin(
                airflow, dag_id, start=start, end=end, reprocess=reprocess, at_once=at_once, conf=conf, told=say
            )
            _follow(airflow, begun, as_json=as_json)
    finally:
        airflow.close()


def _running_one(airflow: AirflowApi, dag_id: str, *, cancel: bool, as_json: bool) -> None:
    from gas.backfill import running

    found = running(airflow, dag_id)
    if not cancel:
        with _going_on(dag_id):
            _follow(airflow, found, as_json=as_json)
        return
    airflow.cancel_backfill(found)
    runs = airflow.backfill_runs(found)
    if as_json:
        print_json(_document(found, runs))
    else:
        typer.echo(f"No more runs of {dag_id} are started; {runs.at_work} at work go on.")


def _tell_plan(dag_id: str, dates: list[datetime], *, as_json: bool) -> None:
    if as_json:
        print_json({"dag_id": dag_id, "dates": [date.isoformat() for date in dates]})
        return
    for date in dates:
        typer.echo(date.isoformat())
    say(f"{len(dates):,} intervals of {dag_id} would run." if dates else f"There is nothing to run of {dag_id}.")


def _follow(airflow: AirflowApi, backfill: Backfill, *, as_json: bool) -> None:
    from gas.backfill import progress

    with _bar(backfill.dag_id) as show:
        for runs in progress(airflow, backfill):
            show(runs)
    if as_json:
        print_json(_document(backfill, runs))
    else:
        typer.echo(f"{runs.ended:,} runs of {backfill.dag_id} have ended, {runs.failed:,} of them failed.")
    if runs.failed:
        raise typer.Exit(1)


@contextmanager
def _going_on(dag_id: str) -> Iterator[None]:
    """Ctrl-C ends the looking on and nothing else; says so."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            f"The backfill of {dag_id} goes on. `gas backfill {dag_id} --watch` shows it again, "
            f"`gas backfill {dag_id} --cancel` starts none of its runs any more.",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None


def _document(backfill: Backfill, runs: BackfillRuns) -> dict[str, Any]:
    return {
        "backfill_id": backfill.backfill_id,
        "dag_id": backfill.dag_id,
        "from": backfill.start.isoformat(),
        "to": backfill.end.isoformat(),
        "at_work": runs.at_work,
        "succeeded": runs.succeeded,
        "failed": runs.failed,
    }


@contextmanager
def _bar(dag_id: str) -> Iterator[Callable[[BackfillRuns], None]]:
    """A progress bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(dag_id, total=None)

        def show(runs: BackfillRuns) -> None:
            failed = f", {runs.failed} failed" if runs.failed else ""
            bar.update(task, description=f"{dag_id}{failed}", completed=runs.ended, total=runs.ended + runs.at_work)

        yield show
