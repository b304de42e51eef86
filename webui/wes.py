"""GA4GH's Workflow Execution Service (WES 1.1): annotation for workflow clients that know nothing of GAS.

A run is a job, and every job of a person is a run, however it was submitted. There is one workflow, ``gas:annotate``,
of type ``GAS``; its parameters name a VCF, which is attached or an object of this server's repository
(:mod:`webui.drs`), and a reference genome.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any

from apispec import APISpec
from flask import Flask, current_app, request
from flask_appbuilder import AppBuilder
from flask_appbuilder.api import expose
from flask_login import current_user
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest

from gas import cancellation, submission
from gas.errors import EngineError, InputError, NotFound, ReferenceProblem, Unavailable
from gas.job import Job, JobStatus, Output, job_to_json
from webui import drs
from webui.access import GA4GH_PREFIX, permitted
from webui.account import Account, current_account, services
from webui.api import INPUT
from webui.ga4gh import Ga4ghApi, ref, schema, service
from webui.idempotency import KeyReused, idempotent, made_id
from webui.openapi import JOB_ID
from webui.pages import owned_job

VERSION = "1.1.0"
WORKFLOW = "gas:annotate"
WORKFLOW_TYPE = "GAS"
WORKFLOW_TYPE_VERSION = "1.0"
ENGINE = "gas"
#: The one task of a run.
TASK = "annotate"

ROUTE = f"{GA4GH_PREFIX}wes/v1"
PAGE_DEFAULT = 50
PAGE_MOST = 100
#: Bytes of a submitted form beside its files.
FORM_BYTES = 64 << 10
FORM_PARTS = 50
#: Files that one process receives at once: its other threads answer everybody else.
RECEIVED_AT_ONCE = 4

_receiving = threading.BoundedSemaphore(RECEIVED_AT_ONCE)

STATES: Mapping[JobStatus, str] = {
    JobStatus.PENDING: "QUEUED",
    JobStatus.RUNNING: "RUNNING",
    JobStatus.COMPLETED: "COMPLETE",
    JobStatus.FAILED: "EXECUTOR_ERROR",
    JobStatus.CANCELLED: "CANCELED",
}
#: Kinds of failure that the input is not to blame for.
OUR_FAULT = frozenset({"internal", EngineError.kind, Unavailable.kind})

Word = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class Busy(Unavailable):
    """As many files are being received as this process receives at once."""

    retry_after_s = 10


class Parameters(BaseModel):
    """What ``workflow_params`` says."""

    model_config = ConfigDict(extra="forbid", strict=True)
    vcf: Word
    reference: Word | None = None


class RunRequest(BaseModel):
    """The fields of a submitted form beside its files; those in JSON are strings here."""

    model_config = ConfigDict(extra="forbid", strict=True)
    workflow_params: str
    workflow_type: Word
    workflow_type_version: Word
    workflow_url: Word
    tags: str = "{}"
    workflow_engine: str = ENGINE
    workflow_engine_version: str = ""
    workflow_engine_parameters: str = "{}"


Tags = TypeAdapter(
    Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=200)],
            Annotated[str, StringConstraints(max_length=1000)],
        ],
        Field(max_length=20),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A run that is asked for."""

    parameters: Parameters
    reference: str
    tags: Mapping[str, str]


def install(app: Flask) -> None:
    """Let larger requests through to where a run is submitted; before anything reads a form."""
    app.before_request(_make_room)


def register(builder: AppBuilder) -> None:
    """Add the calls to ``builder``."""
    builder.add_api(WesApi)


def _make_room() -> None:
    if request.method == "POST" and request.path == f"{ROUTE}/runs" and current_user.is_authenticated:
        request.max_content_length = services().settings.premium_upload_limit_bytes + FORM_BYTES
        request.max_form_memory_size = FORM_BYTES
        request.max_form_parts = FORM_PARTS


def sized(method: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse before it is read what is larger than the person's plan allows, and what comes beside too much else.

    Files are spooled to disk.
    """

    @functools.wraps(method)
    def within(*args: Any, **kwargs: Any) -> Any:
        limit = current_account().upload_limit_bytes
        size_bytes = (request.content_length or 0) - FORM_BYTES
        if size_bytes > limit:
            submission.check_size(services(), current_account().profile, size_bytes)
        request.max_content_length = limit + FORM_BYTES
        if not _receiving.acquire(blocking=False):
            raise Busy("Several files are being received just now. Try again in a minute.")
        try:
            return method(*args, **kwargs)
        finally:
            _receiving.release()

    return within


def malformed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Answer 400, as WES has it, where input cannot be used."""

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except KeyReused:
            raise
        except (InputError, ReferenceProblem) as error:
            raise BadRequest(str(error)) from error

    return checked


class WesApi(Ga4ghApi):
    """GA4GH Workflow Execution Service."""

    route_base = ROUTE
    openapi_spec_tag = "GA4GH WES"

    @expose("/service-info")
    def service_info(self) -> dict[str, Any]:
        """Which service answers
        ---
        get:
          summary: GetServiceInfo
          security: []
          responses:
            200:
              description: The service, and the workflow it runs
              content: {application/json: {schema: {$ref: '#/components/schemas/WesServiceInfo'}}}
        """
        return {
            **service("wes", VERSION, description=f"Annotates variants: the workflow {WORKFLOW}"),
            "workflow_type_versions": {WORKFLOW_TYPE: {"workflow_type_version": [WORKFLOW_TYPE_VERSION]}},
            "supported_wes_versions": [VERSION],
            "supported_filesystem_protocols": ["drs"],
            "workflow_engine_versions": {ENGINE: {"workflow_engine_version": [_engine_version()]}},
            "default_workflow_engine_parameters": [],
            "system_state_counts": {},
            "auth_instructions_url": f"{current_app.config['WEB_URL']}/login/",
            "tags": {
                "workflow_url": WORKFLOW,
                "workflow_params": "vcf: attachment or drs:// URI; reference: name",
            },
        }

    @expose("/runs")
    @permitted
    @malformed
    def listing(self) -> dict[str, Any]:
        """One's own runs, newest first
        ---
        get:
          summary: ListRuns
          parameters:
          - PageSize
          - PageToken
          responses:
            200:
              description: A page of runs; next_page_token is empty on the last one
              content: {application/json: {schema: {$ref: '#/components/schemas/RunListResponse'}}}
            400: {$ref: '#/components/responses/Ga4ghBadRequest'}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
        """
        cursor = request.args.get("page_token") or None
        page = services().jobs.of_user(current_account().user_id, limit=_page_size(), cursor=cursor)
        return {"runs": [summary_form(job) for job in page.items], "next_page_token": page.cursor or ""}

    @expose("/runs", methods=("POST",))
    @permitted
    @sized
    @idempotent()
    @malformed
    def run(self) -> dict[str, Any]:
        """Annotate a VCF
        ---
        post:
          summary: RunWorkflow
          description: >-
            workflow_params is a JSON object of vcf, the name of an attached file or the drs:// URI of an object of this
            server, and reference, the name of a reference genome (the server's default where it is left out).
          parameters:
          - IdempotencyKey
          requestBody:
            required: true
            content:
              multipart/form-data:
                schema:
                  type: object
                  required: [workflow_params, workflow_type, workflow_type_version, workflow_url]
                  properties:
                    workflow_params: {type: string, description: 'Such as {"vcf": "a.vcf.gz", "reference": "grch38"}'}
                    workflow_type: {type: string, enum: [GAS]}
                    workflow_type_version: {type: string, enum: ["1.0"]}
                    workflow_url: {type: string, enum: ['gas:annotate']}
                    workflow_engine: {type: string, enum: [gas]}
                    workflow_engine_version: {type: string}
                    workflow_engine_parameters: {type: string, description: There are none}
                    tags: {type: string, description: A JSON object of texts to remember the run by}
                    workflow_attachment: {type: array, items: {type: string, format: binary}}
          responses:
            200:
              description: The run has begun, or waits for its turn
              content: {application/json: {schema: {$ref: '#/components/schemas/RunId'}}}
            400: {$ref: '#/components/responses/Ga4ghBadRequest'}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
            409: {$ref: '#/components/responses/Ga4ghConflict'}
            413: {$ref: '#/components/responses/Ga4ghTooLarge'}
            422: {$ref: '#/components/responses/Ga4ghUnprocessable'}
            503: {$ref: '#/components/responses/Ga4ghUnavailable'}
        """
        wanted = asked_run()
        account, job_id = current_account(), made_id()
        file_name = _bring_attached(wanted, account, job_id) or _bring_object(wanted, account, job_id)
        with suppress(submission.NotStarted):  # recorded: it waits for its turn
            submission.submit(
                services(),
                profile=account.profile,
                job_id=job_id,
                file_name=file_name,
                reference=wanted.reference,
                tags=wanted.tags,
            )
        return {"run_id": job_id}

    @expose("/runs/<run_id>")
    @permitted
    def one(self, run_id: str) -> dict[str, Any]:
        """One run
        ---
        get:
          summary: GetRunLog
          parameters:
          - RunId
          responses:
            200:
              description: The run; its outputs are drs:// URIs
              content: {application/json: {schema: {$ref: '#/components/schemas/RunLog'}}}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
        """
        return run_form(owned_job(run_id, current_account()))

    @expose("/runs/<run_id>/status")
    @permitted
    def status(self, run_id: str) -> dict[str, str]:
        """The state of a run
        ---
        get:
          summary: GetRunStatus
          parameters:
          - RunId
          responses:
            200:
              description: The state
              content: {application/json: {schema: {$ref: '#/components/schemas/RunStatus'}}}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
        """
        job = owned_job(run_id, current_account())
        return {"run_id": job.job_id, "state": state_of(job)}

    @expose("/runs/<run_id>/cancel", methods=("POST",))
    @permitted
    def cancel(self, run_id: str) -> dict[str, str]:
        """Cancel a run
        ---
        post:
          summary: CancelRun
          description: Repeating it is safe. A run that has ended otherwise meanwhile is a conflict.
          parameters:
          - RunId
          responses:
            200:
              description: The run is cancelled
              content: {application/json: {schema: {$ref: '#/components/schemas/RunId'}}}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
            409: {$ref: '#/components/responses/Ga4ghConflict'}
        """
        job = owned_job(run_id, current_account())
        cancellation.cancel(services(), job_id=job.job_id, user_id=job.user_id)
        return {"run_id": job.job_id}

    @expose("/runs/<run_id>/tasks")
    @permitted
    @malformed
    def tasks(self, run_id: str) -> dict[str, Any]:
        """The tasks of a run
        ---
        get:
          summary: ListTasks
          description: A run has one task once it has begun.
          parameters:
          - RunId
          - PageSize
          - PageToken
          responses:
            200:
              description: The tasks
              content: {application/json: {schema: {$ref: '#/components/schemas/TaskListResponse'}}}
            400: {$ref: '#/components/responses/Ga4ghBadRequest'}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
        """
        job = owned_job(run_id, current_account())
        _page_size()
        if request.args.get("page_token"):
            raise InputError("there is one page of tasks: leave page_token out")
        return {"task_logs": tasks_of(job), "next_page_token": ""}

    @expose("/runs/<run_id>/tasks/<task_id>")
    @permitted
    def task(self, run_id: str, task_id: str) -> dict[str, Any]:
        """One task of a run
        ---
        get:
          summary: GetTask
          parameters:
          - RunId
          - {in: path, name: task_id, required: true, schema: {type: string, enum: [annotate]}}
          responses:
            200:
              description: The task
              content: {application/json: {schema: {$ref: '#/components/schemas/TaskLog'}}}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
        """
        found = [task for task in tasks_of(owned_job(run_id, current_account())) if task["id"] == task_id]
        if not found:
            raise NotFound(f"this run has no such task, or not yet; its task is {TASK}")
        return found[0]

    def add_apispec_components(self, api_spec: APISpec) -> None:
        super().add_apispec_components(api_spec)
        for name, form in SCHEMAS.items():
            api_spec.components.schema(name, form)
        for name, (place, parameter) in PARAMETERS.items():
            api_spec.components.parameter(name, place, parameter)


def asked_run() -> Wanted:
    """The run that the request's form asks for.

    :raises InputError: saying what of it cannot be used.
    :raises ReferenceProblem: when there is no such reference; the sentence says which there are.
    """
    form = request.form.to_dict()
    try:
        asked = RunRequest.model_validate(form)
        parameters = Parameters.model_validate_json(asked.workflow_params)
        tags = Tags.validate_json(asked.tags or "{}", strict=True)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'workflow_params, tags'}: {e['msg']}"
            for e in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise InputError(f"The request cannot be used: {said}.") from None
    for name, given, known in (
        ("workflow_type", asked.workflow_type, WORKFLOW_TYPE),
        ("workflow_type_version", asked.workflow_type_version, WORKFLOW_TYPE_VERSION),
        ("workflow_url", asked.workflow_url, WORKFLOW),
        ("workflow_engine", asked.workflow_engine or ENGINE, ENGINE),
        ("workflow_engine_version", asked.workflow_engine_version or _engine_version(), _engine_version()),
    ):
        if given != known:
            raise InputError(f"{name} must be {known}, not {given[:100]!r}.")
    if _document(asked.workflow_engine_parameters or "{}") != {}:
        raise InputError("workflow_engine_parameters must be an empty object: there are none.")
    return Wanted(parameters=parameters, reference=_reference(parameters.reference), tags=tags)


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _reference(name: str | None) -> str:
    """The name of the reference meant; the server's default where none is."""
    installed = services().references
    if name is not None:
        return installed.get(name).name
    there = installed.list()
    if not there:
        raise ReferenceProblem("This server has no reference genome yet; ask its operator.")
    return there[0].name


def _bring_attached(wanted: Wanted, account: Account, job_id: str) -> str | None:
    """Store the attached file that is meant as the upload of a job; its name, ``None`` where none is attached."""
    file = next((f for f in request.files.getlist("workflow_attachment") if f.filename == wanted.parameters.vcf), None)
    if file is None:
        return None
    name = submission.clean_file_name(wanted.parameters.vcf)
    size_bytes = _size(file)
    submission.check_size(services(), account.profile, size_bytes)
    objects, place = services().objects, {"user_id": account.user_id, "job_id": job_id}
    there = objects.head_input(**place)
    if there is None or there.size_bytes != size_bytes:
        objects.stream_input(file.stream, **place)
    return name


def _bring_object(wanted: Wanted, account: Account, job_id: str) -> str:
    """Have the object that is meant copied to where the upload of a job lies; its file's name."""
    if not wanted.parameters.vcf.startswith("drs:"):
        raise InputError(
            "workflow_params.vcf must be the name of an attached file (workflow_attachment) or a drs:// URI, "
            f"not {wanted.parameters.vcf[:100]!r}."
        )
    source = drs.object_of(drs.id_in(wanted.parameters.vcf), account)
    if source.output not in (None, Output.VCF):
        raise InputError(f"{source.word} is no VCF: only {INPUT} and {Output.VCF} of a job can be annotated.")
    source.check_available(account)
    submission.check_size(services(), account.profile, source.stored.size_bytes)
    place = {"user_id": account.user_id, "job_id": job_id}
    if services().objects.head_input(**place) is None:
        services().objects.copy_input(source.stored, **place)
    return source.file_name


def _size(file: FileStorage) -> int:
    size_bytes = file.stream.seek(0, 2)
    file.stream.seek(0)
    return size_bytes


def state_of(job: Job) -> str:
    """The job's state in WES's words."""
    if job.job_status is JobStatus.FAILED and job.error_kind in OUR_FAULT:
        return "SYSTEM_ERROR"
    return STATES[job.job_status]


def summary_form(job: Job) -> dict[str, Any]:
    """A run in a list."""
    return {"run_id": job.job_id, "state": state_of(job), "tags": dict(job.tags), **_times(job)}


def run_form(job: Job) -> dict[str, Any]:
    """A run with everything about it."""
    here = f"{current_app.config['WEB_URL']}{ROUTE}/runs/{job.job_id}/tasks"
    return {
        "run_id": job.job_id,
        "request": {
            "workflow_params": {"vcf": drs.object_uri(job, INPUT), "reference": job.reference},
            "workflow_type": WORKFLOW_TYPE,
            "workflow_type_version": WORKFLOW_TYPE_VERSION,
            "workflow_url": WORKFLOW,
            "workflow_engine": ENGINE,
            "workflow_engine_parameters": {},
            "tags": dict(job.tags),
        },
        "state": state_of(job),
        "run_log": _log(job, WORKFLOW),
        "task_logs_url": here,
        "task_logs": tasks_of(job),
        "outputs": {output.value: drs.object_uri(job, output) for output in Output if output in job.outputs},
    }


def tasks_of(job: Job) -> list[dict[str, Any]]:
    """What was begun of the job's work."""
    return [{"id": TASK, **_log(job, TASK)}] if job.attempts else []


def _log(job: Job, name: str) -> dict[str, Any]:
    log: dict[str, Any] = {"name": name, "cmd": [WORKFLOW, "--reference", job.reference], **_times(job)}
    if job.readable(Output.LOG):
        log["stdout"] = f"{current_app.config['WEB_URL']}/api/v1/jobs/{job.job_id}/log"
    if job.job_status in (JobStatus.COMPLETED, JobStatus.FAILED):
        log["exit_code"] = int(job.job_status is JobStatus.FAILED)
    if said := [*job.notes, *([job.error] if job.error else [])]:
        log["system_logs"] = said
    return log


def _times(job: Job) -> dict[str, str]:
    told = job_to_json(job)
    times = {"start_time": told["start_time"], "end_time": told["complete_time"]}
    return {name: time for name, time in times.items() if time is not None}


def _page_size() -> int:
    given = request.args.get("page_size", str(PAGE_DEFAULT))
    if not (given.isascii() and given.isdecimal() and len(given) <= 18) or int(given) == 0:
        raise InputError("page_size must be a whole number above 0.")
    return min(int(given), PAGE_MOST)


def _engine_version() -> str:
    return version("genomics-annotation-service")


_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_TAGS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
_STATE: dict[str, Any] = {"type": "string", "enum": sorted({*STATES.values(), "SYSTEM_ERROR"})}
_TIMES = {"start_time": _TEXT, "end_time": _TEXT}
_LOG = {
    "name": _TEXT,
    "cmd": _TEXTS,
    **_TIMES,
    "stdout": _TEXT,
    "exit_code": {"type": "integer"},
    "system_logs": _TEXTS,
}

PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "RunId": ("path", {**JOB_ID, "name": "run_id", "description": "The run's id, which is the job's"}),
    "PageSize": (
        "query",
        {"name": "page_size", "schema": {"type": "integer", "minimum": 1, "format": "int64"}},
    ),
    "PageToken": (
        "query",
        {"name": "page_token", "schema": _TEXT, "description": "next_page_token of the page before"},
    ),
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "RunId": schema({"run_id": _TEXT}),
    "RunStatus": schema({"run_id": _TEXT, "state": _STATE}),
    "RunSummary": schema({"run_id": _TEXT, "state": _STATE, "tags": _TAGS}, **_TIMES),
    "RunListResponse": schema(
        {"runs": {"type": "array", "items": ref("RunSummary")}, "next_page_token": _TEXT},
    ),
    "RunRequest": schema(
        {"workflow_type": _TEXT, "workflow_type_version": _TEXT, "workflow_url": _TEXT},
        workflow_params={"type": "object"},
        workflow_engine=_TEXT,
        workflow_engine_parameters=_TAGS,
        tags=_TAGS,
    ),
    "Log": schema({"name": _TEXT}, **_LOG),
    "TaskLog": schema({"id": _TEXT, "name": _TEXT}, **_LOG),
    "TaskListResponse": schema({"task_logs": {"type": "array", "items": ref("TaskLog")}, "next_page_token": _TEXT}),
    "RunLog": schema(
        {
            "run_id": _TEXT,
            "request": ref("RunRequest"),
            "state": _STATE,
            "run_log": ref("Log"),
            "task_logs_url": _TEXT,
            "task_logs": {"type": "array", "items": ref("TaskLog")},
            "outputs": {**_TAGS, "description": "The drs:// URI of each file"},
        }
    ),
    "WesServiceInfo": {
        "allOf": [
            ref("Service"),
            schema(
                {
                    "workflow_type_versions": {
                        "type": "object",
                        "additionalProperties": schema({"workflow_type_version": _TEXTS}),
                    },
                    "supported_wes_versions": _TEXTS,
                    "supported_filesystem_protocols": _TEXTS,
                    "workflow_engine_versions": {
                        "type": "object",
                        "additionalProperties": schema({"workflow_engine_version": _TEXTS}),
                    },
                    "default_workflow_engine_parameters": {"type": "array", "items": {"type": "object"}},
                    "system_state_counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "auth_instructions_url": _TEXT,
                    "tags": _TAGS,
                }
            ),
        ]
    },
}
