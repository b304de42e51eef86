"""``gas table``: look at the annotated variants of a job on a GAS server, or write them to a file."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gas.cli.jobs import JobArgument, print_table
from gas.cli.server import EXIT_CODES, JsonOption, ServerOption, connect, print_json, say
from gas.errors import InputError

if TYPE_CHECKING:
    from gas.client import Client

#: Rows that are asked for at a time.
_PAGE = 500


class Shape(StrEnum):
    """How ``gas table`` says what it found."""

    TABLE = "table"
    JSON = "json"
    TSV = "tsv"
    JSONL = "jsonl"
    VCF = "vcf"
    PARQUET = "parquet"
    XLSX = "xlsx"


#: What no terminal should be sent.
_BINARY = frozenset({Shape.VCF, Shape.PARQUET, Shape.XLSX})


def register(app: typer.Typer) -> None:
    """Add the command to the ``gas`` command."""
    app.command("table", epilog=EXIT_CODES, rich_help_panel="A GAS server")(table)


def table(
    job_id: JobArgument,
    *,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            "-f",
            metavar="FILTER",
            help="Such as gene=S, pos>=100, 'impact in HIGH,MODERATE', 'id filled', or "
            "'impact=HIGH and (gene=S or gene=N)'; may be repeated, and all must hold.",
        ),
    ] = None,
    any_is_enough: Annotated[bool, typer.Option("--any", help="Rows that pass one filter are enough.")] = False,
    sort: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Sort by it, -COLUMN from the last; may be repeated.")
    ] = None,
    columns: Annotated[str | None, typer.Option(metavar="A,B,...", help="The columns to show, in this order.")] = None,
    shape: Annotated[
        Shape, typer.Option("--format", help="All but table and json hold every row.", case_sensitive=False)
    ] = Shape.TABLE,
    csq: Annotated[bool, typer.Option("--csq", help="A VCF also gets INFO/CSQ in the form of Ensembl VEP.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Of table and json: at most so many rows.")] = 50,
    to: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="Write there instead of to the terminal.")
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at the annotated variants of a job: filter, sort, or write them to a file.

    One row is one consequence of one variant. A VCF holds each record once that has a matching row.
    """
    from gas.explore.expressions import filters as view_of

    view = view_of(filters or (), any_is_enough=any_is_enough)
    view += [("sort", ",".join(sort))] if sort else []
    view += [("columns", columns)] if columns else []
    if csq and shape is not Shape.VCF:
        raise InputError("--csq goes with --format vcf")
    with connect(server) as client:
        if shape in (Shape.TABLE, Shape.JSON):
            if to is not None:
                raise InputError("-o goes with the formats that hold every row: tsv, jsonl, vcf, parquet, xlsx")
            _print(client, job_id, view, limit=limit, as_json=as_json or shape is Shape.JSON)
        elif to is not None:
            from gas.client import written_whole

            with written_whole(to) as stream:
                size_bytes = client.export_table(job_id, stream, form=shape, view=view, csq=csq)
            if as_json:
                print_json({"job_id": job_id, "path": str(to), "size_bytes": size_bytes})
            else:
                typer.echo(to)
        elif as_json:
            raise InputError("--json needs -o FILE: the file itself would go where the document does")
        elif shape in _BINARY and sys.stdout.isatty():
            raise InputError(f"{shape} is no text for a terminal: give -o FILE, or send it on with | or >")
        else:
            client.export_table(job_id, sys.stdout.buffer, form=shape, view=view, csq=csq)


def _print(client: Client, job_id: str, view: list[tuple[str, str]], *, limit: int, as_json: bool) -> None:
    """The first rows, for a person or as one document."""
    rows: list[dict[str, Any]] = []
    asked = [*view, ("limit", str(min(limit, _PAGE)))]
    page = client.table(job_id, asked)
    while True:
        rows += page["rows"][: limit - len(rows)]
        if len(rows) >= limit or page["next_cursor"] is None:
            break
        page = client.table(job_id, [*asked, ("cursor", page["next_cursor"])])
    total = page["total"]
    if as_json:
        print_json({"job_id": job_id, "total": total, "rows": rows})
        return
    names = tuple(page["shown"])
    print_table(names, [tuple(_cell(row[name]) for name in names) for row in rows])
    shown = f"{len(rows):,} of {total['rows']:,} rows" if len(rows) < total["rows"] else f"{total['rows']:,} rows"
    say(f"{shown}, {total['variants']:,} variants")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
