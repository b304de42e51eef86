"""A few variants pasted into a page, or sent by a program, and annotated while the caller waits: see gas.pasted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from io import BytesIO
from typing import Annotated, Any

from apispec import APISpec
from flask import current_app, redirect, render_template, request
from flask_appbuilder import AppBuilder, BaseView
from flask_appbuilder.api import expose
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from werkzeug.wrappers import Response

from gas import pasted, submission
from gas.errors import InputError, ReferenceProblem, Unavailable
from gas.explore.export import plain
from gas.job import JOB_ID, new_job_id
from gas.pasted import MAX_BYTES, MAX_LINES, Answer, Pasted
from webui.access import needs_scope, permitted
from webui.account import current_account, services
from webui.api import GasApi, Text, body_as
from webui.explore import LABELS
from webui.tokens import Scope

#: What a job made of pasted variants calls its file.
FILE_NAME = "pasted-variants.vcf"
#: What the form's second button asks for.
KEEP = "keep"

Lines = Annotated[str, StringConstraints(max_length=MAX_BYTES)]


class Paste(BaseModel):
    """Variants to be annotated at once."""

    model_config = ConfigDict(extra="forbid", strict=True)
    reference: Text
    variants: Lines | Annotated[list[Lines], Field(max_length=MAX_BYTES)]


def register(builder: AppBuilder) -> None:
    """Add the page and the call to ``builder``."""
    builder.add_view_no_menu(VariantsView)
    builder.add_api(VariantsApi)


class VariantsView(BaseView):
    """The page for pasting variants: a plain form whose answer is the page itself."""

    route_base = "/variants"
    default_view = "ask"

    @expose("/")
    @permitted
    def ask(self) -> str:
        return _page()

    @expose("/", methods=("POST",))
    @permitted
    def answer(self) -> Response | str | tuple[str, int]:
        text, name = request.form.get("variants", ""), request.form.get("reference", "")
        try:
            read = _read(text.splitlines(), name)
            if request.form.get("do") == KEEP:
                return redirect(f"/jobs/{_kept(read, request.form.get('job_id', ''))}")
            return _page(text, name, answer=pasted.answer(read, services().settings))
        except (InputError, ReferenceProblem) as refusal:
            return _page(text, name, refusal=str(refusal)), HTTPStatus.UNPROCESSABLE_ENTITY
        except Unavailable as busy:  # what was pasted stays in the form
            return _page(text, name, refusal=str(busy)), HTTPStatus.SERVICE_UNAVAILABLE


class VariantsApi(GasApi):
    """The same for programs."""

    route_base = "/api/v1"
    openapi_spec_tag = "Variants"

    @expose("/annotate", methods=("POST",))
    @permitted
    @needs_scope(Scope.READ)  # it makes nothing that lasts
    def annotate(self) -> dict[str, Any]:
        """Annotate a few variants at once
        ---
        post:
          summary: Annotate up to 100 variants while you wait; no job is made and nothing is kept
          description: >-
            A variant is chrom-pos-ref-alt (or with colons or spaces between, or such as chr1:100A>G), or a VCF line of
            which the first five columns count. Each is annotated on its own, without regard to genotypes. A line that
            cannot be used is told in problems and costs none of the others.
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/Paste'}}}
          responses:
            200:
              description: A row for each consequence of each variant, and the lines that could not be used
              content: {application/json: {schema: {$ref: '#/components/schemas/AnnotatedVariants'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            413: {$ref: '#/components/responses/TooLarge'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        wanted = body_as(Paste)
        lines = wanted.variants if isinstance(wanted.variants, list) else wanted.variants.splitlines()
        answer = pasted.answer(_read(lines, wanted.reference), services().settings)
        return {
            "reference": answer.reference,
            "columns": list(answer.columns),
            "rows": [{name: plain(value) for name, value in row.items()} for row in answer.rows],
            "problems": [asdict(problem) for problem in answer.problems],
        }

    def add_apispec_components(self, api_spec: APISpec) -> None:
        super().add_apispec_components(api_spec)
        for name, schema in SCHEMAS.items():
            api_spec.components.schema(name, schema)


def _read(lines: list[str], reference: str) -> Pasted:
    return pasted.read(lines, services().references.get(reference))


def _kept(read: Pasted, job_id: str) -> str:
    """The id of the job made of the variants that could be read; sending the form twice makes one."""
    if not JOB_ID.fullmatch(job_id):
        raise InputError("The form is not whole: open the page anew.")
    if not read.records:
        raise InputError("No line of it can be annotated, so there is nothing to make a job of.")
    profile = current_account().profile
    objects = services().objects
    if objects.head_input(user_id=profile.user_id, job_id=job_id) is None:
        objects.stream_input(BytesIO(read.vcf), user_id=profile.user_id, job_id=job_id)
    with suppress(submission.NotStarted):  # the job's page offers to start it again
        submission.submit(
            services(), profile=profile, job_id=job_id, file_name=FILE_NAME, reference=read.reference.name
        )
    return job_id


def _page(text: str = "", reference: str = "", *, answer: Answer | None = None, refusal: str = "") -> str:
    return render_template(
        "gas/variants.html",
        references=services().references.list(),
        reference=reference,
        text=text,
        max_lines=MAX_LINES,
        # A form is larger than its text: every byte of it may be escaped.
        max_characters=current_app.config["MAX_CONTENT_LENGTH"] // 2,
        answer=answer,
        refusal=refusal,
        labels=LABELS,
        new_job_id=new_job_id(),
    )


_TEXT: dict[str, Any] = {"type": "string"}
_LINE: dict[str, Any] = {"type": "integer", "minimum": 1, "description": "Of what was sent, from 1"}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Paste": {
        "type": "object",
        "required": ["reference", "variants"],
        "additionalProperties": False,
        "properties": {
            "reference": {**_TEXT, "minLength": 1, "maxLength": 1000},
            "variants": {
                "oneOf": [{**_TEXT, "maxLength": MAX_BYTES}, {"type": "array", "items": _TEXT}],
                "example": ["NC_045512.2-23403-A-G"],
            },
        },
    },
    "AnnotatedVariants": {
        "type": "object",
        "required": ["reference", "columns", "rows", "problems"],
        "properties": {
            "reference": _TEXT,
            "columns": {"type": "array", "items": _TEXT, "description": "Those worth showing, in their order"},
            "rows": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["line", "text"],
                    "properties": {"line": _LINE, "text": _TEXT},
                    "description": "Every column of a result's table besides",
                },
            },
            "problems": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["line", "text", "sentence"],
                    "properties": {"line": _LINE, "text": _TEXT, "sentence": _TEXT},
                },
            },
        },
    },
}
