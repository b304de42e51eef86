"""Looking at a result from a program: pages of its table, suggestions for a filter, the filtered view as a file.

A view is said in the query, the same way in every call and on the page: see :mod:`gas.explore.view`. One that is too
long for that is the body of a POST.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from apispec import APISpec
from flask import Flask, Response, current_app, request
from flask_appbuilder import AppBuilder
from flask_appbuilder.api import expose
from pydantic import BaseModel, ConfigDict, Field

from gas.errors import InputError, NotFound, Unavailable
from gas.explore import export, genotypes, vcf
from gas.explore.cache import TableCache
from gas.explore.export import FORMS, Format
from gas.explore.genotypes import Carriers, Variant
from gas.explore.table import Page, Table, Tables
from gas.explore.view import LIMIT, MAX_CONDITIONS, MAX_GROUPS, MAX_LIMIT, Schema, View
from gas.job import Job, Output, StoredObject
from gas.objects import content_disposition
from gas.subscription import why_unavailable
from webui import openapi
from webui.access import needs_scope, permitted
from webui.account import Account, current_account, services
from webui.api import GasApi, body_as
from webui.pages import owned_job
from webui.tokens import Scope

#: Exports that one process writes at once: its other threads answer everybody else.
EXPORTS = 4

_exports = threading.BoundedSemaphore(EXPORTS)


def install(app: Flask) -> None:
    """Give the app its copies of tables; nothing is made before the first is looked at."""
    wired = app.extensions["gas"]
    settings = wired.settings
    cache = TableCache(wired.objects, settings.table_cache_folder, limit_bytes=settings.table_cache_bytes)
    app.extensions["gas.tables"] = Tables(cache)


def register(builder: AppBuilder) -> None:
    """Add the calls to ``builder``."""
    builder.add_api(ExploreApi)


def tables() -> Tables:
    """This process's tables."""
    return current_app.extensions["gas.tables"]


def table_of(job: Job, account: Account) -> StoredObject:
    """The stored table of a job that the account may see.

    :raises NotFound: when there is none yet.
    :raises Archived: saying what brings it back.
    """
    stored = job.outputs.get(Output.TABLE)
    if stored is None:
        raise NotFound("This job has no table yet: it is there once the job is COMPLETED.")
    if not job.readable(Output.TABLE):
        raise why_unavailable(job, account.profile)
    return stored


def asked_view(schema: Schema, *also: str) -> View:
    """The view that the request's query says; ``also`` are keys that mean something else."""
    return View.parse(request.args.items(multi=True), schema, also=also)


class AskedView(BaseModel):
    """A view as the body of a call: as in a link, and as long as it has to be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    where: list[str] = []
    groups: list[list[str]] = Field([], max_length=MAX_GROUPS)
    match: Literal["all", "any"] = "all"
    sort: list[str] = []
    columns: list[str] = []
    limit: int = LIMIT
    genotypes: bool = False
    cursor: str | None = None

    def view(self, schema: Schema) -> View:
        """:raises InputError: naming what cannot be used."""
        pairs = [("where", text) for text in self.where]
        pairs += [(f"where.{number}", text) for number, group in enumerate(self.groups, 1) for text in group]
        pairs += [("sort", text) for text in self.sort] + [("columns", text) for text in self.columns]
        pairs += [("match", self.match), ("limit", str(self.limit)), ("genotypes", str(int(self.genotypes)))]
        return View.parse([*pairs, ("cursor", self.cursor or "")], schema)


class AskedExport(AskedView):
    """A view, and the kind of file that it is wanted as."""

    format: str
    csq: bool = False


def page_of(table: Table, view: View, job: Job) -> tuple[Page, list[Carriers | None]]:
    """The rows of a view, and where it asks for genotypes who carries the variant of each."""
    if not view.genotypes:
        return table.page(view), []
    page = table.page(replace(view, columns=(*view.columns, *Variant._fields)))
    shown = len(view.columns)
    variants = [Variant(*row[shown:]) for row in page.rows]
    found = genotypes.carriers(
        variants, vcf=job.outputs[Output.VCF], index=job.outputs[Output.INDEX], objects=services().objects
    )
    return replace(page, rows=[row[:shown] for row in page.rows]), [found.get(variant) for variant in variants]


class ExploreApi(GasApi):
    """The table of a job."""

    route_base = "/api/v1/jobs"
    openapi_spec_tag = "Tables"

    @expose("/<job_id>/table", methods=("GET", "POST"))
    @permitted
    @needs_scope(Scope.READ)
    def table(self, job_id: str) -> dict[str, Any]:
        """A page of a job's table
        ---
        get:
          summary: The annotated variants, filtered and sorted, a page at a time
          description: One row is one consequence of one variant.
          parameters:
          - JobId
          - Where
          - Match
          - Sort
          - Columns
          - {in: query, name: limit, schema: {type: integer, minimum: 1, maximum: 500, default: 50}}
          - {in: query, name: cursor, schema: {type: string}, description: next_cursor of the page before}
          - in: query
            name: genotypes
            schema: {type: string, enum: ["0", "1"]}
            description: >-
              With "1" each row has genotypes, an object of the samples that carry the variant with their genotypes;
              null where the file is too dense there to be looked at
          responses:
            200:
              description: The rows, how many the filter lets through, and the cursor of the next page or null
              content: {application/json: {schema: {$ref: '#/components/schemas/TablePage'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Archived'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        post:
          summary: The same for a view that is too long for an address, such as a list of many genes
          parameters:
          - JobId
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/View'}}}
          responses:
            200:
              description: As for GET
              content: {application/json: {schema: {$ref: '#/components/schemas/TablePage'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Archived'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        account = current_account()
        job = owned_job(job_id, account)
        asked = body_as(AskedView) if request.method == "POST" else None
        with tables().open(table_of(job, account)) as table:
            view = asked.view(table.schema) if asked else asked_view(table.schema)
            page, carried = page_of(table, view, job)
            total = table.total(view)
            rows = [dict(zip(view.columns, map(export.plain, row), strict=True)) for row in page.rows]
            for row, carriers in zip(rows, carried, strict=False):
                row["genotypes"] = carriers
            return {
                "columns": [{"name": column.name, "kind": column.kind} for column in table.schema.values()],
                "shown": list(view.columns),
                "rows": rows,
                "total": {"rows": total.rows, "variants": total.variants},
                "view": view.query(table.schema),
                "next_cursor": page.next_cursor,
            }

    @expose("/<job_id>/table/suggest")
    @permitted
    def suggest(self, job_id: str) -> dict[str, Any]:
        """Values of a column that begin as typed
        ---
        get:
          summary: Values of a text column that begin so, the most frequent first
          parameters:
          - JobId
          - {in: query, name: column, required: true, schema: {type: string}, description: One that holds text}
          - {in: query, name: prefix, schema: {type: string, maxLength: 1000}, description: In whatever case}
          responses:
            200:
              description: At most 20 values, and in how many rows each stands
              content: {application/json: {schema: {$ref: '#/components/schemas/Suggestions'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Archived'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        account = current_account()
        with tables().open(table_of(owned_job(job_id, account), account)) as table:
            found = table.suggest(request.args.get("column", ""), request.args.get("prefix", "")[:1000])
            return {"values": [{"value": one.value, "rows": one.rows} for one in found]}

    @expose("/<job_id>/table/export", methods=("GET", "POST"))
    @permitted
    @needs_scope(Scope.READ)
    def export(self, job_id: str) -> Response:
        """The filtered view as a file
        ---
        get:
          summary: The whole filtered view as a file, with as many rows as the table says
          description: >-
            A VCF holds each record once that has a matching row, in the result's order and under its header; the other
            formats hold the rows in the view's order and columns. In TSV and XLSX no text becomes a formula where a
            spreadsheet opens the file: a text of a TSV that could be one has an apostrophe before it. Numbers and all
            other texts are as they are, and so is everything in VCF, Parquet and JSON lines: programs read those.
          parameters:
          - JobId
          - in: query
            name: format
            required: true
            schema: {type: string, enum: [vcf, tsv, parquet, jsonl, xlsx]}
          - in: query
            name: csq
            schema: {type: string, enum: ["0", "1"]}
            description: With "1" a VCF also has INFO/CSQ in the form of Ensembl VEP
          - Where
          - Match
          - Sort
          - Columns
          responses:
            200:
              description: The file, as it is made
              content:
                application/gzip: {schema: {type: string, format: binary}}
                text/tab-separated-values: {schema: {type: string}}
                application/vnd.apache.parquet: {schema: {type: string, format: binary}}
                application/jsonl: {schema: {type: string}}
                application/vnd.openxmlformats-officedocument.spreadsheetml.sheet:
                  schema: {type: string, format: binary}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Archived'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        post:
          summary: The same for a view that is too long for an address
          parameters:
          - JobId
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/ViewAsFile'}}}
          responses:
            200:
              description: As for GET
              content:
                application/gzip: {schema: {type: string, format: binary}}
                text/tab-separated-values: {schema: {type: string}}
                application/vnd.apache.parquet: {schema: {type: string, format: binary}}
                application/jsonl: {schema: {type: string}}
                application/vnd.openxmlformats-officedocument.spreadsheetml.sheet:
                  schema: {type: string, format: binary}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Archived'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        asked = body_as(AskedExport) if request.method == "POST" else None
        word = asked.format if asked else request.args.get("format", "")
        csq = str(int(asked.csq)) if asked else request.args.get("csq", "0")
        if word not in set(Format):
            raise InputError(f"format must be one of {', '.join(Format)}")
        if csq not in ("0", "1") or (csq == "1" and word != Format.VCF):
            raise InputError("csq is 0 or 1, and only a VCF can have it")
        account = current_account()
        job = owned_job(job_id, account)
        with tables().open(table_of(job, account)) as table:
            view = asked.view(table.schema) if asked else asked_view(table.schema, "format", "csq")
        form = FORMS[Format(word)]
        chunks = _chunks(tables(), job, view, Format(word), csq=csq == "1", objects=services().objects)
        first = next(chunks, b"")  # what cannot be written is refused before the answer begins
        response = Response(_after(first, chunks), content_type=form.content_type)
        response.headers["Content-Disposition"] = content_disposition(f"{job.stem}.view{form.ending}")
        response.call_on_close(chunks.close)  # also when the caller goes away half way
        return response

    def add_apispec_components(self, api_spec: APISpec) -> None:
        super().add_apispec_components(api_spec)
        for name, schema in SCHEMAS.items():
            api_spec.components.schema(name, schema)
        for name, parameter in PARAMETERS.items():
            api_spec.components.parameter(name, "query", parameter)
        if "JobId" not in api_spec.components.parameters:
            api_spec.components.parameter("JobId", "path", openapi.JOB_ID)


def _chunks(held: Tables, job: Job, view: View, form: Format, *, csq: bool, objects: Any) -> Iterator[bytes]:
    """The file; needs no request around it any more."""
    with _slot(), held.open(job.outputs[Output.TABLE]) as table:
        if form is Format.VCF:
            yield from vcf.chunks(table, view, objects.stream(job.outputs[Output.VCF]), csq=csq)
        else:
            yield from export.chunks(table, view, form, scratch=held.cache.folder)


@contextmanager
def _slot() -> Iterator[None]:
    if not _exports.acquire(blocking=False):
        raise Unavailable("Several tables are being written to files just now. Try again in a minute.")
    try:
        yield
    finally:
        _exports.release()


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXTS = {"type": "array", "items": _TEXT}
_CONDITIONS = {
    **_TEXTS,
    "maxItems": MAX_CONDITIONS,
    "description": "Each column:operator:value, as where in an address",
}
_VIEW: dict[str, dict[str, Any]] = {
    "where": _CONDITIONS,
    "groups": {
        "type": "array",
        "maxItems": MAX_GROUPS,
        "items": _CONDITIONS,
        "description": "Conditions that are combined the other way about; each group counts as one condition",
    },
    "match": {"type": "string", "enum": ["all", "any"], "default": "all"},
    "sort": {**_TEXTS, "description": "Columns, with - before one for descending"},
    "columns": {**_TEXTS, "description": "Columns to show, in their order"},
}
_PAGE: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": LIMIT},
    "genotypes": {"type": "boolean", "default": False},
    "cursor": {**_TEXT, "nullable": True},
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "View": {"type": "object", "additionalProperties": False, "properties": _VIEW | _PAGE},
    "ViewAsFile": {
        "type": "object",
        "additionalProperties": False,
        "required": ["format"],
        "properties": _VIEW
        | _PAGE
        | {
            "format": {"type": "string", "enum": [str(form) for form in Format]},
            "csq": {"type": "boolean", "default": False, "description": "A VCF also has INFO/CSQ"},
        },
    },
    "TablePage": _object(
        columns={"type": "array", "items": _object(name=_TEXT, kind=_TEXT)},
        shown={"type": "array", "items": _TEXT, "description": "The columns of the rows, in their order"},
        rows={"type": "array", "items": {"type": "object"}},
        total=_object(rows=_NUMBER, variants=_NUMBER),
        view={**_TEXT, "description": "The view as a query, without the page: what a stable link holds"},
        next_cursor={**_TEXT, "nullable": True},
    ),
    "Suggestions": _object(values={"type": "array", "items": _object(value=_TEXT, rows=_NUMBER)}),
}

PARAMETERS: dict[str, dict[str, Any]] = {
    "Where": {
        "name": "where",
        "schema": {"type": "array", "items": _TEXT},
        "description": "column:operator:value, such as gene:is:S, impact:in:HIGH,MODERATE, pos:between:100..200, "
        "id:filled; may be repeated. where.1 to where.9 are groups, combined the other way about.",
    },
    "Match": {"name": "match", "schema": {"type": "string", "enum": ["all", "any"], "default": "all"}},
    "Sort": {"name": "sort", "schema": _TEXT, "description": "Columns, with - before one for descending: -pos,gene"},
    "Columns": {"name": "columns", "schema": _TEXT, "description": "Columns to show, in their order: chrom,pos,gene"},
}
