"""The page on which a result's table is looked at. It works by links and plain forms; a script makes it quicker."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from flask import redirect, render_template, request
from flask_appbuilder import AppBuilder, BaseView, expose
from werkzeug.wrappers import Response

from gas.errors import Archived, InputError, NotFound
from gas.explore import xlsx
from gas.explore.export import FORMS, Format
from gas.explore.genotypes import Carriers
from gas.explore.table import Page, Table, Total
from gas.explore.view import OPERATORS, Column, Condition, Kind, Match, Operator, Schema, View, default_columns
from gas.job import Job
from webui.access import permitted
from webui.account import current_account, public_form
from webui.explore_api import asked_view, page_of, table_of, tables
from webui.pages import owned_job

#: What the genome view is opened at, whatever columns are shown.
PLACE = ("chrom", "pos")

#: What the form for one more filter sends.
ADDED = ("column", "operator", "value", "beside")
#: Characters of a link to a view, at most: a server need not take longer ones.
MAX_LINK = 6000

#: Samples that are named in a row.
CARRIERS = 5

#: The engine's columns in a person's words; a source's column keeps its name.
LABELS = {
    "rec": "Record",
    "chrom": "Contig",
    "pos": "Position",
    "id": "ID",
    "ref": "Ref",
    "alt": "Alt",
    "qual": "Quality",
    "filter": "Filter",
    "consequence": "Consequence",
    "impact": "Impact",
    "gene": "Gene",
    "transcript": "Transcript",
    "biotype": "Biotype",
    "strand": "Strand",
    "protein_change": "Protein",
    "amino_acid_change": "Amino acids",
    "dna_change": "DNA",
    "after_stop": "After a stop",
    "most_severe": "Most severe",
    "carriers": "Carriers",
    "type": "Type",
    "size": "Bases gained",
    "why_not": "Why not annotated",
    "known": "Known",
}
OPERATOR_WORDS = {
    Operator.IS: "is",
    Operator.IS_NOT: "is not",
    Operator.IN: "is one of",
    Operator.NOT_IN: "is none of",
    Operator.HAS: "has the term",
    Operator.CONTAINS: "contains",
    Operator.STARTS: "starts with",
    Operator.LESS: "is less than",
    Operator.AT_MOST: "is at most",
    Operator.MORE: "is more than",
    Operator.AT_LEAST: "is at least",
    Operator.BETWEEN: "is between",
    Operator.EMPTY: "is empty",
    Operator.FILLED: "is filled",
}
_JOINS = {Match.ALL: "and", Match.ANY: "or"}
_SORTED = {None: "none", False: "ascending", True: "descending"}


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A column of the page."""

    name: str
    label: str
    sorted: str
    """What ``aria-sort`` says."""
    href: str
    """The view sorted by it."""


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A filter that is in force."""

    text: str
    href: str
    """The view without it."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of what the view combines: a filter, or a group of them. One more filter can be put beside it."""

    number: int
    chips: list[Chip]
    text: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A column in the list of columns; a link is empty where it would change nothing."""

    label: str
    shown: bool
    toggle: str
    earlier: str = ""
    later: str = ""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A column that can be filtered by."""

    name: str
    label: str
    operators: str
    """Those that fit it, as JSON."""
    text: bool


@dataclass(frozen=True, kw_only=True)
class Shown:
    """All that the page says of a view."""

    headings: list[Heading]
    rows: list[tuple[Any, ...]]
    places: list[str]
    """Where each row's variant is seen in the genome."""
    carriers: list[str]
    """Who carries the variant of each row, where that is asked for."""
    genotypes_href: str
    """The view with or without them."""
    first: int
    total: Total
    parts: list[Part]
    match: Match
    other_match: str
    all_href: str
    here: str
    next_href: str
    first_href: str
    choices: list[Choice]
    columns_href: str
    fields: list[Field]
    hidden: list[tuple[str, str]]
    files: list[tuple[str, str, str]]
    """Title, link, and why there is none."""


def register(builder: AppBuilder) -> None:
    """Add the page to ``builder``."""
    builder.add_view_no_menu(ExploreView)


class ExploreView(BaseView):
    """The table of a job."""

    route_base = "/jobs"
    default_view = "table"

    @expose("/<job_id>/table")
    @permitted
    def table(self, job_id: str) -> Response | str:
        account = current_account()
        job = owned_job(job_id, account)
        form = public_form(job, account)
        try:
            stored = table_of(job, account)
        except (Archived, NotFound) as absent:
            return render_template("gas/explore.html", job=form, absent=str(absent), shown=None)
        with tables().open(stored) as table:
            try:
                if "column" in request.args:
                    return redirect(_link(job, _with_filter(table.schema), table.schema))
                view = asked_view(table.schema)
            except InputError as refusal:
                view = View(columns=default_columns(table.schema))
                shown = _shown(job, table, view)
                return render_template("gas/explore.html", job=form, shown=shown, refusal=str(refusal), **_WORDS), 422
            return render_template("gas/explore.html", job=form, shown=_shown(job, table, view), **_WORDS)


_WORDS = {"operators": {str(operator): words for operator, words in OPERATOR_WORDS.items()}}


def _with_filter(schema: Schema) -> View:
    """The view with the filter that the form says."""
    column, operator, value, beside = (request.args.get(name, "").strip() for name in ADDED)
    view = asked_view(schema, *ADDED)
    takes_value = operator in set(Operator) and Operator(operator).takes_value
    condition = Condition.parse(f"{column}:{operator}:{value}" if takes_value else f"{column}:{operator}", schema)
    part = int(beside) if beside.isascii() and beside.isdecimal() and len(beside) < 3 else None
    if part is None and beside:
        raise InputError("beside is the number of a filter, or empty")
    view = view.added(condition, to=part)
    if len(view.query(schema)) > MAX_LINK:
        raise InputError(
            f"With this filter the link to the view would have more than {MAX_LINK:,} characters: "
            "gas table and the API take longer ones"
        )
    return view


def _link(job: Job, view: View, schema: Schema, *, cursor: str | None = None) -> str:
    query = view.query(schema)
    if cursor:
        query = f"{query}&cursor={cursor}" if query else f"cursor={cursor}"
    return f"/jobs/{job.job_id}/table{f'?{query}' if query else ''}"


def _shown(job: Job, table: Table, view: View) -> Shown:
    schema, total = table.schema, table.total(view)
    with_place = replace(view, columns=(*view.columns, *PLACE))
    page, carried = page_of(table, with_place, job)

    def link(other: View) -> str:
        return _link(job, other, schema)

    def chip(condition: Condition) -> Chip:
        return Chip(text=_said(condition), href=link(view.without(condition)))

    return Shown(
        headings=[_heading(name, view, link(view.sorted_by(name))) for name in view.columns],
        rows=[row[: -len(PLACE)] for row in page.rows],
        places=[genome_href(job.job_id, f"{chrom}:{pos}") for *_, chrom, pos in page.rows],
        carriers=[_carriers(one) for one in carried],
        genotypes_href=link(replace(view, genotypes=not view.genotypes, cursor=None)),
        first=page.first,
        total=total,
        parts=[
            Part(
                number=number,
                chips=[chip(condition) for condition in part],
                text=f" {_JOINS[view.match.other]} ".join(map(_said, part)),
            )
            for number, part in enumerate(view.parts)
        ],
        match=view.match,
        other_match=link(replace(view, match=view.match.other, cursor=None)),
        all_href=link(replace(view, conditions=(), groups=(), cursor=None)),
        here=link(view),
        next_href=_next(job, page, view, schema),
        first_href=link(view) if view.cursor else "",
        choices=_choices(view, schema, link),
        columns_href=link(view.shown(default_columns(schema))) if view.columns != default_columns(schema) else "",
        fields=[_field(column) for column in schema.values()],
        hidden=view.pairs(schema),
        files=_files(job, view, schema, total),
    )


def genome_href(job_id: str, place: str) -> str:
    """The address of the genome view of a job at ``contig:position``."""
    return f"/jobs/{job_id}/genome?{urlencode({'locus': place}, safe=':')}"


def _carriers(carriers: Carriers | None) -> str:
    """The first samples with their genotypes, and how many more there are."""
    if carriers is None:
        return "too many records here to look them up"
    said = [f"{sample} {genotype}" for sample, genotype in islice(carriers.items(), CARRIERS)]
    more = len(carriers) - len(said)
    return ", ".join(said) + (f" and {more:,} more" if more else "")


def _next(job: Job, page: Page, view: View, schema: Schema) -> str:
    return _link(job, view, schema, cursor=page.next_cursor) if page.next_cursor else ""


def _heading(name: str, view: View, href: str) -> Heading:
    order = next((order.descending for order in view.sort if order.column == name), None)
    return Heading(name=name, label=LABELS.get(name, name), sorted=_SORTED[order], href=href)


def _choices(view: View, schema: Schema, link: Any) -> list[Choice]:
    """The shown columns in their order, then the others in the file's."""
    chosen = list(view.columns)
    choices = []
    for at, name in enumerate(chosen):
        rest = [other for other in chosen if other != name]

        def moved(to: int, name: str = name, rest: list[str] = rest) -> str:
            return link(view.shown([*rest[:to], name, *rest[to:]]))

        choices.append(
            Choice(
                label=LABELS.get(name, name),
                shown=True,
                toggle=link(view.shown(rest)) if rest else "",
                earlier=moved(at - 1) if at else "",
                later=moved(at + 1) if at + 1 < len(chosen) else "",
            )
        )
    return choices + [
        Choice(label=LABELS.get(name, name), shown=False, toggle=link(view.shown([*chosen, name])))
        for name in schema
        if name not in chosen
    ]


def _field(column: Column) -> Field:
    return Field(
        name=column.name,
        label=LABELS.get(column.name, column.name),
        operators=json.dumps([str(operator) for operator in OPERATORS[column.kind]]),
        text=column.kind is Kind.TEXT,
    )


def _files(job: Job, view: View, schema: Schema, total: Total) -> list[tuple[str, str, str]]:
    base = f"/api/v1/jobs/{job.job_id}/table/export"
    pairs = [(key, value) for key, value in view.pairs(schema) if key not in ("limit", "genotypes")]

    def href(form: Format, **more: str) -> str:
        return f"{base}?{urlencode([('format', form), *more.items(), *pairs], safe=':,')}"

    too_long = f"a spreadsheet holds {xlsx.MAX_ROWS:,} rows" if total.rows > xlsx.MAX_ROWS else ""
    return [
        ("VCF", href(Format.VCF), ""),
        ("VCF with CSQ", href(Format.VCF, csq="1"), ""),
        *((FORMS[form].title, href(form), "") for form in (Format.TSV, Format.PARQUET, Format.JSONL)),
        (FORMS[Format.XLSX].title, href(Format.XLSX), too_long),
    ]


def _said(condition: Condition) -> str:
    """A filter in words."""
    label, words = LABELS.get(condition.column, condition.column), OPERATOR_WORDS[condition.operator]
    if not condition.operator.takes_value:
        return f"{label} {words}"
    values = str(condition).split(":", 2)[2]
    if condition.operator is Operator.BETWEEN:
        values = values.replace("..", " and ")
    elif condition.operator in (Operator.IN, Operator.NOT_IN):
        values = values.replace(",", ", ")
    return f"{label} {words} {values}"
