"""``gas annotate``: the engine on its own, with no server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gas.annotation import Result
    from gas.job import Progress

_STAGES = {
    "check": "Checking",
    "sort": "Sorting",
    "annotate": "Annotating",
    "write": "Writing",
}


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    app.command("annotate")(annotate)


def annotate(
    file: Annotated[Path, typer.Argument(help="A VCF (plain, gzip or bgzip) or a BCF.", dir_okay=False)],
    reference: Annotated[str, typer.Option("--reference", "-r", help="An installed reference: gas reference list.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="NAME.vcf.gz; index, log, summary and table come beside it.")
    ],
    processors: Annotated[
        int | None, typer.Option(min=1, help="Processes at once; GAS_PROCESSORS, or all, by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the head of the summary as JSON.")] = False,
) -> None:
    """Annotate the variants of a file with their consequences and with what the reference's sources know."""
    from gas import annotation
    from gas.references import ReferenceStore
    from gas.settings import Settings

    settings = Settings.from_environment()
    store = ReferenceStore(settings.references)
    chosen = store.get(reference)
    with _progress(shown=sys.stderr.isatty()) as progress:
        result = annotation.annotate(
            file,
            output,
            reference=chosen,
            processors=processors or settings.processors,
            limits=annotation.Limits(
                memory_bytes=settings.engine_memory_bytes,
                timeout_s=settings.engine_timeout_s,
                max_inflated_bytes=settings.max_inflated_bytes,
                max_inflation_ratio=settings.max_inflation_ratio,
            ),
            progress=progress,
            work_dir=settings.work_dir,
            others=store.list(),
        )
    if as_json:
        typer.echo(json.dumps(_head(result), indent=1))
    else:
        _print_summary(result)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on standard error, where that is a terminal."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=None)

        def show(said: Any) -> None:
            bar.update(task, description=_STAGES[said.stage], completed=said.done, total=said.total or None)

        yield show


def _head(result: Result) -> dict[str, Any]:
    return {
        "vcf": str(result.vcf),
        "index": str(result.index),
        "log": str(result.log),
        "summary": str(result.summary),
        "table": str(result.table),
        "counts": result.counts,
        "notes": list(result.notes),
        "timings": result.timings,
    }


def _print_summary(result: Result) -> None:
    counts = result.counts
    typer.echo(
        f"{counts['records']:,} records, {counts['variants']:,} variants: {counts['annotated']:,} with a consequence, "
        f"{counts['unannotated']:,} without, in {result.timings['total']:.1f} s"
    )
    for impact, count in counts["by_impact"].items():
        typer.echo(f"  {impact:<9} {count:>12,}")
    for note in result.notes:
        typer.echo(f"Note: {note}")
    for path in (result.vcf, result.index, result.log, result.summary, result.table):
        typer.echo(str(path))
