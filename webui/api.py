"""The JSON API under ``/api/v1``: what the pages, the command line and other programs work with.

A caller is the signed-in browser (its cookie, and the CSRF token in ``X-CSRFToken`` on writes), or whoever presents a
GAS token or a Globus access token as ``Authorization: Bearer``. Errors are problem+json (RFC 9457), see
:mod:`webui.errors`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from apispec import APISpec
from flask import Response, current_app, redirect, request
from flask_appbuilder import AppBuilder
from flask_appbuilder.api import BaseApi, expose
from flask_login import current_user
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from werkzeug.exceptions import BadRequest

from gas import deletion, submission, subscription
from gas.errors import InputError, NotAllowed, NotFound
from gas.job import ARCHIVED_OUTPUTS, JOB_ID, Job, Output, StoredObject
from gas.objects import OUTPUT_KEYS
from webui import identities, openapi, tokens
from webui.access import needs_scope, permitted
from webui.account import Account, current_account, joined_at, link_life_s, public_form, services
from webui.billing import billing
from webui.idempotency import idempotent, made_id
from webui.jobs_search import search_of
from webui.pages import owned_job
from webui.security import bearer_token
from webui.show import iso
from webui.tokens import Scope

PAGE_DEFAULT = 50
#: Bytes of a log or a summary that the API hands out itself; more is a download.
TEXT_BYTES = 8 << 20
INPUT = "input"

Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class NewUpload(BaseModel):
    """A file that is about to be uploaded."""

    model_config = ConfigDict(extra="forbid", strict=True)
    file_name: Text
    size_bytes: Annotated[int, Field(ge=0, le=1 << 50)]
    reference: Text


class NewJob(BaseModel):
    """An uploaded file that is to be annotated."""

    model_config = ConfigDict(extra="forbid", strict=True)
    job_id: Annotated[str, StringConstraints(pattern=JOB_ID.pattern)]
    file_name: Text
    reference: Text


class CodeExchange(BaseModel):
    """A one-time code of the browser sign-in, and what proves that it is ours."""

    model_config = ConfigDict(extra="forbid", strict=True)
    code: Text
    code_verifier: Text
    redirect_uri: Text


Body = TypeVar("Body", bound=BaseModel)


def body_as(model: type[Body]) -> Body:
    """The request's JSON body as ``model``.

    :raises BadRequest: when it is not a JSON object.
    :raises InputError: naming each field that cannot be used.
    """
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object, sent as Content-Type: application/json.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise InputError(f"The request cannot be used: {said}.") from None


class GasApi(BaseApi):
    """What all of the API's classes share."""

    allow_browser_login = True
    refusals = ""
    """What the names of this class's refusals begin with, see :data:`webui.openapi.RESPONSES`."""
    csrf_exempt = False  # FAB's default would let any site write with a browser's cookie

    def operation_helper(self, path: str | None = None, operations: Any = None, **options: Any) -> None:
        """Describe the calls of one address, with the refusals that all calls have in common."""
        super().operation_helper(path=path, operations=operations, **options)
        for operation in operations.values():
            answers = operation.setdefault("responses", {})
            if operation.get("security") != []:
                operation["security"] = [{name: []} for name in openapi.SECURITY]  # FAB names schemes of its own
                answers.setdefault(403, self._refusal("Forbidden"))  # a token may lack the scope
            answers.setdefault(429, self._refusal("TooManyRequests"))

    def _refusal(self, name: str) -> dict[str, str]:
        return {"$ref": f"#/components/responses/{self.refusals}{name}"}

    def add_apispec_components(self, api_spec: APISpec) -> None:
        for name, parameter in openapi.PARAMETERS.items():
            if name not in api_spec.components.parameters:
                api_spec.components.parameter(name, parameter["in"], parameter)
        for name, schema in openapi.SCHEMAS.items():
            if name not in api_spec.components.schemas:
                api_spec.components.schema(name, schema)
        for name, response in openapi.RESPONSES.items():
            if name not in api_spec.components.responses:
                api_spec.components.response(name, response)
        for name, scheme in openapi.SECURITY.items():
            if name not in api_spec.components.security_schemes:
                api_spec.components.security_scheme(name, scheme)


class AccountApi(GasApi):
    """Who am I."""

    resource_name = "me"
    openapi_spec_tag = "Account"

    @expose("")
    @permitted
    def me(self) -> dict[str, Any]:
        """Who the request speaks for, and what their plan allows
        ---
        get:
          summary: Who am I, and how large a file may I upload
          responses:
            200:
              description: The account
              content: {application/json: {schema: {$ref: '#/components/schemas/Me'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
        """
        linked = identities.of_user(current_app.appbuilder.session, current_user)
        return {
            **account_form(current_account()),
            "institution": identities.institution(linked),
            "joined_at": joined_at(),
            "identities": [
                {
                    "sub": identity.sub,
                    "username": identity.username,
                    "email": identity.email,
                    "organization": identity.organization,
                    "provider": identity.provider,
                }
                for identity in linked
            ],
        }


class SubscriptionApi(GasApi):
    """Changing plans."""

    route_base = "/api/v1"
    openapi_spec_tag = "Account"

    @expose("/subscribe", methods=("POST",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def subscribe(self) -> tuple[dict[str, Any], int]:
        """Go premium
        ---
        post:
          summary: Go premium; everything of yours that is in the archive is brought back
          description: >-
            Repeating it is safe. Each job tells how far its way back is, see its storage. Where premium has its price,
            the answer says where to pay; the plan changes when the payment is confirmed. Needs a token of gas login.
          responses:
            200:
              description: The account as it is now
              content: {application/json: {schema: {$ref: '#/components/schemas/Account'}}}
            202:
              description: Open the address in a browser to pay
              content: {application/json: {schema: {$ref: '#/components/schemas/Checkout'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            409: {$ref: '#/components/responses/Conflict'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        checkout = billing().subscribe(current_account().profile)
        if checkout:
            return {"checkout_url": checkout}, 202
        return account_form(current_account()), 200

    @expose("/unsubscribe", methods=("POST",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def unsubscribe(self) -> tuple[dict[str, Any], int]:
        """Go back to the free plan
        ---
        post:
          summary: Go back to the free plan; your results move to the archive after a full delay
          description: >-
            Repeating it is safe. What was paid for goes on until it is used up; the plan changes then. Needs a token of
            gas login.
          responses:
            200:
              description: The account as it is now
              content: {application/json: {schema: {$ref: '#/components/schemas/Account'}}}
            202:
              description: The subscription is cancelled, and the plan stays premium until it ends
              content: {application/json: {schema: {$ref: '#/components/schemas/EndingAccount'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            409: {$ref: '#/components/responses/Conflict'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        billing().unsubscribe(current_account().profile)
        account = current_account()
        ends_at = billing().standing(account.user_id).ends_at
        if ends_at:
            return {**account_form(account), "premium_until": iso(ends_at)}, 202
        return account_form(account), 200


class ReferencesApi(GasApi):
    """The reference genomes of this server."""

    resource_name = "references"
    openapi_spec_tag = "References"

    @expose("")
    @permitted
    def listing(self) -> dict[str, Any]:
        """The installed reference genomes
        ---
        get:
          summary: The reference genomes to annotate against
          responses:
            200:
              description: The references; exactly one is the default where there is any
              content: {application/json: {schema: {$ref: '#/components/schemas/References'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
        """
        installed = services().references.list()
        return {
            "references": [
                {
                    "name": reference.name,
                    "description": reference.description,
                    "contigs": [asdict(contig) for contig in reference.contigs],
                    "sources": [
                        {"name": source.name, "version": source.version, "date": source.date}
                        for source in reference.sources
                    ],
                    "default": position == 0,
                }
                for position, reference in enumerate(installed)
            ]
        }


class UploadsApi(GasApi):
    """The way for a file to the object store."""

    resource_name = "uploads"
    openapi_spec_tag = "Jobs"

    @expose("", methods=("POST",))
    @permitted
    @idempotent(keep_answer=False)  # a form is good for an hour
    def begin(self) -> tuple[dict[str, Any], int]:
        """A form to upload one file with
        ---
        post:
          summary: Ask for an upload form
          description: >-
            POST the file itself to the returned url as multipart/form-data: the returned fields first, the file last,
            under the name "file". Then submit the job. Under the same Idempotency-Key the form is for the same job.
          parameters:
          - IdempotencyKey
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/NewUpload'}}}
          responses:
            201:
              description: The form
              content: {application/json: {schema: {$ref: '#/components/schemas/Upload'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            409: {$ref: '#/components/responses/Conflict'}
            413: {$ref: '#/components/responses/TooLarge'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        wanted = body_as(NewUpload)
        upload = submission.begin_upload(
            services(),
            profile=current_account().profile,
            file_name=wanted.file_name,
            size_bytes=wanted.size_bytes,
            reference=wanted.reference,
            job_id=made_id(),
        )
        return asdict(upload), 201


class JobsApi(GasApi):
    """A person's own jobs."""

    resource_name = "jobs"
    openapi_spec_tag = "Jobs"

    @expose("", methods=("POST",))
    @permitted
    @idempotent()
    def submit(self) -> tuple[dict[str, Any], int]:
        """Submit the job of an uploaded file
        ---
        post:
          summary: Annotate an uploaded file
          description: >-
            Submitting the same job again is safe; the job is returned as it stands, or, under the same Idempotency-Key,
            as it was answered first.
          parameters:
          - IdempotencyKey
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/NewJob'}}}
          responses:
            200:
              description: The job was there already
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            201:
              description: The job was made
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            409: {$ref: '#/components/responses/Conflict'}
            413: {$ref: '#/components/responses/TooLarge'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        wanted = body_as(NewJob)
        account = current_account()
        profile = account.profile
        try:
            services().jobs.owned(wanted.job_id, profile.user_id)
            status = 200
        except NotFound:
            status = 201
        job = submission.submit(
            services(),
            profile=profile,
            job_id=wanted.job_id,
            file_name=wanted.file_name,
            reference=wanted.reference,
        )
        return public_form(job, account), status

    @expose("")
    @permitted
    def listing(self) -> dict[str, Any]:
        """One's own jobs, newest first
        ---
        get:
          summary: My jobs, newest first
          description: >-
            A page looks at a bounded number of jobs, so one with a search may hold few jobs, or none, although older
            ones match: go on with next_cursor until it is null.
          parameters:
          - {in: query, name: limit, schema: {type: integer, minimum: 1, maximum: 100, default: 50}}
          - {in: query, name: cursor, schema: {type: string}, description: next_cursor of the page before}
          - {in: query, name: name, schema: {type: string}, description: 'A part of the file name, in any case'}
          - {in: query, name: status, schema: {$ref: '#/components/schemas/JobStatus'}}
          - {in: query, name: storage, schema: {type: string, enum: [HOT, ARCHIVING, ARCHIVED, THAWING]}}
          - {in: query, name: reference, schema: {type: string}}
          - {in: query, name: from, schema: {type: string, format: date}, description: First day of submission (UTC)}
          - {in: query, name: to, schema: {type: string, format: date}, description: Last day of submission (UTC)}
          responses:
            200:
              description: A page of jobs; next_cursor is null on the last one
              content: {application/json: {schema: {$ref: '#/components/schemas/Jobs'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        limit = request.args.get("limit", str(PAGE_DEFAULT))
        if not (limit.isascii() and limit.isdecimal() and len(limit) <= 3):
            raise InputError("limit must be a whole number from 1 to 100.")
        wanted = search_of(request.args).wanted
        account = current_account()
        page = services().jobs.of_user(
            account.user_id,
            limit=int(limit),
            cursor=request.args.get("cursor") or None,
            wanted=wanted,
        )
        return {"jobs": [public_form(job, account) for job in page.items], "next_cursor": page.cursor}

    @expose("/<job_id>")
    @permitted
    def one(self, job_id: str) -> dict[str, Any]:
        """One job
        ---
        get:
          summary: One job, with its progress while it runs
          parameters:
          - JobId
          responses:
            200:
              description: The job
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        account = current_account()
        return public_form(owned_job(job_id, account), account)

    @expose("/<job_id>", methods=("DELETE",))
    @permitted
    def delete(self, job_id: str) -> tuple[str, int]:
        """Delete a job and its files
        ---
        delete:
          summary: Delete a job, what was uploaded and every result, wherever they lie; it cannot be undone
          description: Repeating it is safe.
          parameters:
          - JobId
          responses:
            204: {description: The job is gone}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        if not JOB_ID.fullmatch(job_id):
            raise NotFound(f"There is no job {job_id}")
        deletion.delete(services(), job_id=job_id, user_id=current_account().user_id)
        return "", 204

    @expose("/<job_id>/log")
    @permitted
    def log(self, job_id: str) -> Response:
        """The log of a finished job
        ---
        get:
          summary: The job's log as text
          parameters:
          - JobId
          responses:
            200:
              description: Counts by consequence, gene and source; what was skipped and why
              content: {text/plain: {schema: {type: string}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        return self._text(job_id, Output.LOG, "text/plain")

    @expose("/<job_id>/summary")
    @permitted
    def summary(self, job_id: str) -> Response:
        """The summary of a finished job
        ---
        get:
          summary: The job's summary
          parameters:
          - JobId
          responses:
            200:
              description: Provenance, counts and the first annotated rows
              content: {application/json: {schema: {type: object}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        return self._text(job_id, Output.SUMMARY, "application/json")

    @expose("/<job_id>/download/<what>")
    @permitted
    def download(self, job_id: str, what: str) -> Response:
        """Download a file of a job
        ---
        get:
          summary: A fresh link to one of the job's files
          parameters:
          - JobId
          - in: path
            name: what
            required: true
            schema: {type: string, enum: [vcf, index, log, summary, table, digest, input]}
          responses:
            302:
              description: To a link that is good for some minutes; do not send your Authorization header there
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Archived'}
        """
        account = current_account()
        return redirect(download_link(owned_job(job_id, account), account, what))

    def _text(self, job_id: str, output: Output, content_type: str) -> Response:
        stored = _stored(owned_job(job_id, current_account()), output)
        return Response(services().objects.read_text(stored, TEXT_BYTES), content_type=f"{content_type}; charset=utf-8")

    def add_apispec_components(self, api_spec: APISpec) -> None:
        super().add_apispec_components(api_spec)
        api_spec.components.parameter("JobId", "path", openapi.JOB_ID)


def account_form(account: Account) -> dict[str, Any]:
    """The public form of an account."""
    profile = account.profile
    return {
        "user_id": profile.user_id,
        "name": profile.name,
        "email": profile.email,
        "tier": profile.tier.value,
        "upload_limit_bytes": account.upload_limit_bytes,
    }


def download_link(job: Job, account: Account, what: str) -> str:
    """A fresh link to a file of the account's own job.

    :param what: ``input``, or the output's word.
    :raises Archived: saying what brings it back.
    :raises NotFound: when there is no such file.
    """
    if what == INPUT:
        return services().objects.presigned_download(job.input, file_name=job.input_file_name)
    output = _output(what)
    stored = _stored(job, output)
    if not job.readable(output):
        raise subscription.why_unavailable(job, account.profile)
    return services().objects.presigned_download(
        stored,
        file_name=job.output_file_name(output),
        content_type=OUTPUT_KEYS[output][1],
        at_most_s=link_life_s(job, account) if output in ARCHIVED_OUTPUTS else None,
    )


def _stored(job: Job, output: Output) -> StoredObject:
    if output not in job.outputs:
        raise NotFound(f"This job has no {output} yet: it is there once the job is COMPLETED.")
    return job.outputs[output]


def _output(word: str) -> Output:
    try:
        return Output(word)
    except ValueError:
        raise NotFound(f"A job's files are {', '.join(Output)} and {INPUT}, not {word[:40]!r}.") from None


class TokenApi(GasApi):
    """Tokens for programs."""

    resource_name = "token"
    openapi_spec_tag = "Tokens"

    @expose("", methods=("POST",))
    def exchange(self) -> dict[str, Any]:
        """Exchange a one-time code for a token
        ---
        post:
          summary: The last step of gas login
          security: []
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/CodeExchange'}}}
          responses:
            200:
              description: The token, shown this once
              content: {application/json: {schema: {$ref: '#/components/schemas/Token'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        given = body_as(CodeExchange)
        token = tokens.exchange(
            current_app.appbuilder.session,
            code=given.code,
            code_verifier=given.code_verifier,
            redirect_uri=given.redirect_uri,
        )
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(tokens.TOKEN_LIFETIME.total_seconds()),
            "scope": " ".join(sorted(tokens.LOGIN_SCOPES, reverse=True)),
        }

    @expose("", methods=("DELETE",))
    @permitted
    @needs_scope(Scope.READ)
    def revoke(self) -> tuple[str, int]:
        """Revoke the token that this request presents
        ---
        delete:
          summary: Make the presented GAS token worthless
          responses:
            204: {description: The token is gone}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
        """
        token = bearer_token(request) or ""
        if not token.startswith(tokens.TOKEN_PREFIX):
            raise NotAllowed("Only a GAS token can be revoked here: present it as Authorization: Bearer.")
        tokens.revoke(current_app.appbuilder.session, token)
        return "", 204


def register(builder: AppBuilder) -> None:
    """Add the API to ``builder``."""
    for api in (AccountApi, SubscriptionApi, ReferencesApi, UploadsApi, JobsApi, TokenApi):
        builder.add_api(api)
