"""Files of jobs as objects of GA4GH's Data Repository Service (DRS 1.2), for programs that know nothing of GAS.

An object is one file of one job, and its id the job's id, a dot and the file's word: ``JOB_ID.vcf``. It is there for
the job's owner alone. Its bytes are fetched by a link, made at each access and good for some minutes.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from apispec import APISpec
from flask import Response, current_app
from flask_appbuilder import AppBuilder
from flask_appbuilder.api import expose

from gas.errors import NotFound
from gas.job import RETRIEVAL_S, Job, Output, StorageState, StoredObject
from gas.objects import DEFAULT_TYPE, OUTPUT_KEYS
from gas.subscription import why_unavailable
from webui.access import permitted
from webui.account import Account, current_account, services
from webui.api import INPUT, download_link
from webui.ga4gh import Ga4ghApi, ref, schema, service
from webui.pages import owned_job

VERSION = "1.2.0"
#: The one way there is to an object's bytes.
ACCESS_ID = "https"
#: Seconds after which to ask again for what is on its way back from the archive, where nothing better is known.
ASK_AGAIN_S = 300

_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, kw_only=True)
class Object:
    """A file of a job."""

    job: Job
    word: str
    """``input``, or the output's."""
    stored: StoredObject

    @property
    def output(self) -> Output | None:
        """Which output it is."""
        return None if self.word == INPUT else Output(self.word)

    @property
    def object_id(self) -> str:
        """Its id in this repository."""
        return object_id(self.job, self.word)

    @property
    def file_name(self) -> str:
        """What a person calls it."""
        return self.job.output_file_name(self.output) if self.output else self.job.input_file_name

    @property
    def available(self) -> bool:
        """Whether it can be read now, not in the archive."""
        return self.output is None or self.job.readable(self.output)

    def check_available(self, account: Account) -> None:
        """Return if it can be read now.

        :raises Archived: saying what brings it back.
        """
        if not self.available:
            raise why_unavailable(self.job, account.profile)


def register(builder: AppBuilder) -> None:
    """Add the calls to ``builder``."""
    builder.add_api(DrsApi)


class DrsApi(Ga4ghApi):
    """GA4GH Data Repository Service."""

    route_base = "/ga4gh/drs/v1"
    openapi_spec_tag = "GA4GH DRS"

    @expose("/service-info")
    def service_info(self) -> dict[str, Any]:
        """Which service answers
        ---
        get:
          summary: GetServiceInfo
          security: []
          responses:
            200:
              description: The service
              content: {application/json: {schema: {$ref: '#/components/schemas/Service'}}}
        """
        return service("drs", VERSION, description="The files of one's own annotation jobs")

    @expose("/objects/<object_id>")
    @permitted
    def one(self, object_id: str) -> dict[str, Any]:
        """One object
        ---
        get:
          summary: GetObject
          description: A file of a job, with its size and checksum; for the owner of the job.
          parameters:
          - ObjectId
          responses:
            200:
              description: The object
              content: {application/json: {schema: {$ref: '#/components/schemas/DrsObject'}}}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
        """
        return object_form(object_of(object_id, current_account()))

    @expose("/objects/<object_id>/access/<access_id>")
    @permitted
    def access(self, object_id: str, access_id: str) -> dict[str, Any] | Response:
        """A link to the bytes of an object
        ---
        get:
          summary: GetAccessURL
          parameters:
          - ObjectId
          - {in: path, name: access_id, required: true, schema: {type: string, enum: [https]}}
          responses:
            200:
              description: A link that is good for some minutes; do not send your Authorization header there
              content: {application/json: {schema: {$ref: '#/components/schemas/AccessURL'}}}
            202:
              description: The file is on its way back from the archive
              headers: {Retry-After: {schema: {type: integer}, description: Seconds to wait before asking again}}
            401: {$ref: '#/components/responses/Ga4ghUnauthorized'}
            404: {$ref: '#/components/responses/Ga4ghNotFound'}
            409: {$ref: '#/components/responses/Ga4ghArchived'}
        """
        account = current_account()
        wanted = object_of(object_id, account)
        if access_id != ACCESS_ID:
            raise NotFound(f"the access id of an object is {ACCESS_ID}, see its access_methods")
        if not wanted.available and wanted.job.storage_state is StorageState.THAWING:
            return Response(status=202, headers={"Retry-After": str(_back_in_s(wanted.job))})
        return {"url": download_link(wanted.job, account, wanted.word)}

    def add_apispec_components(self, api_spec: APISpec) -> None:
        super().add_apispec_components(api_spec)
        for name, form in SCHEMAS.items():
            api_spec.components.schema(name, form)
        api_spec.components.parameter("ObjectId", "path", {**OBJECT_ID, "name": "object_id"})


def object_id(job: Job, word: str) -> str:
    """The id of a job's file."""
    return f"{job.job_id}.{word}"


def object_uri(job: Job, word: str) -> str:
    """The ``drs://`` URI of a job's file."""
    return f"drs://{_host()}/{object_id(job, word)}"


def id_in(uri: str) -> str:
    """The object that a URI of this repository names.

    :raises NotFound: when it is none, or another repository's.
    """
    parts = urlsplit(uri)
    if parts.scheme != "drs" or parts.netloc != _host():
        raise NotFound(f"only objects of this server can be read here, such as drs://{_host()}/JOB_ID.{INPUT}")
    return parts.path.removeprefix("/")


def object_of(object_id: str, account: Account) -> Object:
    """The account's own object.

    :raises NotFound: when there is none, or it is somebody else's.
    """
    job_id, _, word = object_id.partition(".")
    job = owned_job(job_id, account)
    stored = job.input if word == INPUT else job.outputs.get(Output(word)) if word in set(Output) else None
    if stored is None:
        raise NotFound(f"there is no object {object_id[:100]}")
    return Object(job=job, word=word, stored=stored)


def object_form(wanted: Object) -> dict[str, Any]:
    """The object as DRS tells it."""
    job, stored = wanted.job, wanted.stored
    made = job.complete_time if wanted.output and job.complete_time is not None else job.submit_time
    kind = OUTPUT_KEYS[wanted.output][1] if wanted.output else DEFAULT_TYPE
    checksum = {"type": "sha-256", "checksum": stored.sha256}
    if not stored.sha256:  # an upload that no job has read to its end yet
        checksum = {"type": "etag", "checksum": services().objects.etag(stored)}
    return {
        "id": wanted.object_id,
        "name": _NOT_PORTABLE.sub("_", wanted.file_name),
        "self_uri": object_uri(job, wanted.word),
        "size": stored.size_bytes,
        "created_time": datetime.fromtimestamp(made, UTC).isoformat().replace("+00:00", "Z"),
        "mime_type": kind.partition(";")[0],
        "checksums": [checksum],
        "access_methods": [{"type": "https", "access_id": ACCESS_ID, "availability": wanted.available}],
        "description": f"{wanted.word} of job {job.job_id}: {wanted.file_name}",
    }


def _back_in_s(job: Job) -> int:
    if job.retrieval_tier is None or job.retrieval_time is None:
        return ASK_AGAIN_S
    left_s = job.retrieval_time + RETRIEVAL_S[job.retrieval_tier] - int(time.time())
    return left_s if left_s > 0 else ASK_AGAIN_S


def _host() -> str:
    return urlsplit(current_app.config["WEB_URL"]).netloc


_TEXT: dict[str, Any] = {"type": "string"}

OBJECT_ID = {
    "required": True,
    "schema": {"type": "string"},
    "description": "A job's id, a dot, and vcf, index, log, summary, table, digest or input",
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Checksum": schema({"checksum": _TEXT, "type": _TEXT}),
    "AccessMethod": schema(
        {"type": {"type": "string", "enum": ["https"]}, "access_id": _TEXT},
        availability={"type": "boolean", "description": "Whether it can be read now, not in the archive"},
    ),
    "AccessURL": schema({"url": _TEXT}, headers={"type": "array", "items": _TEXT}),
    "DrsObject": schema(
        {
            "id": _TEXT,
            "self_uri": _TEXT,
            "size": {"type": "integer", "minimum": 0},
            "created_time": {"type": "string", "format": "date-time"},
            "checksums": {"type": "array", "minItems": 1, "items": ref("Checksum")},
        },
        name={"type": "string", "pattern": "^[A-Za-z0-9._-]+$"},
        mime_type=_TEXT,
        description=_TEXT,
        access_methods={"type": "array", "minItems": 1, "items": ref("AccessMethod")},
    ),
}
