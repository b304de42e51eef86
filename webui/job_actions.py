"""What a person can do with a job of theirs: cancel it, run it again, give it another name, ask when it ends."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from flask import redirect, request
from flask_appbuilder import AppBuilder, BaseView, expose
from pydantic import BaseModel, ConfigDict, StringConstraints
from werkzeug.wrappers import Response

from gas import cancellation, submission
from gas.errors import NotFound
from gas.job import JOB_ID
from webui.access import permitted, safe_next
from webui.account import current_account, public_form, services
from webui.api import GasApi, Text, body_as
from webui.idempotency import idempotent, made_id
from webui.pages import forecast_of, owned_job


class Rerun(BaseModel):
    """How a job is to be run again."""

    model_config = ConfigDict(extra="forbid", strict=True)
    job_id: Annotated[str, StringConstraints(pattern=JOB_ID.pattern)] | None = None
    reference: Text | None = None


class NewName(BaseModel):
    """What a job's file is to be called from now on."""

    model_config = ConfigDict(extra="forbid", strict=True)
    file_name: Text


def register(builder: AppBuilder) -> None:
    """Add the pages' forms and the calls of the API to ``builder``."""
    builder.add_view_no_menu(JobActionsView)
    builder.add_api(JobActionsApi)


class JobActionsView(BaseView):
    """What the forms of the pages are sent to; each leads to a page, so that none needs a script."""

    route_base = "/jobs"
    default_view = "cancel"

    @expose("/<job_id>/cancel", methods=("POST",))
    @permitted
    def cancel(self, job_id: str) -> Response:
        job = owned_job(job_id, current_account())
        cancellation.cancel(services(), job_id=job.job_id, user_id=job.user_id)
        return redirect(safe_next(request.form.get("next") or f"/jobs/{job.job_id}"))

    @expose("/<job_id>/rerun", methods=("POST",))
    @permitted
    def rerun(self, job_id: str) -> Response:
        account = current_account()
        new = request.form.get("job_id", "")
        with suppress(submission.NotStarted):  # the new job's page offers to start it again
            submission.run_again(
                services(),
                profile=account.profile,
                source=owned_job(job_id, account),
                job_id=new,
                reference=request.form.get("reference") or None,
            )
        return redirect(f"/jobs/{new}")

    @expose("/<job_id>/name", methods=("POST",))
    @permitted
    def rename(self, job_id: str) -> Response:
        job = owned_job(job_id, current_account())
        submission.rename(
            services(), job_id=job.job_id, user_id=job.user_id, file_name=request.form.get("file_name", "")
        )
        return redirect(f"/jobs/{job.job_id}")


class JobActionsApi(GasApi):
    """The same for programs."""

    route_base = "/api/v1/jobs"
    openapi_spec_tag = "Jobs"

    @expose("/<job_id>/forecast")
    @permitted
    def forecast(self, job_id: str) -> dict[str, Any]:
        """When a job may begin and end
        ---
        get:
          summary: How many jobs wait before a job, and how long it may take; never a promise
          parameters:
          - JobId
          responses:
            200:
              description: What can be said; nothing of a job that has ended
              content: {application/json: {schema: {$ref: '#/components/schemas/Forecast'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        told = forecast_of(owned_job(job_id, current_account()), ask=True)
        return {**asdict(told), "sentence": told.sentence}

    @expose("/<job_id>/cancel", methods=("POST",))
    @permitted
    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job
        ---
        post:
          summary: End a job before it is done; what it made so far is removed, what was uploaded stays
          description: Repeating it is safe. A job that has completed or failed meanwhile is a conflict.
          parameters:
          - JobId
          responses:
            200:
              description: The job, CANCELLED
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Conflict'}
        """
        account = current_account()
        job = owned_job(job_id, account)
        return public_form(cancellation.cancel(services(), job_id=job.job_id, user_id=job.user_id), account)

    @expose("/<job_id>/rerun", methods=("POST",))
    @permitted
    @idempotent()
    def rerun(self, job_id: str) -> tuple[dict[str, Any], int]:
        """Run a job again
        ---
        post:
          summary: Make a new job of one that has ended, on the same input
          description: >-
            The new job has a copy of the input, so either can be deleted. With a job_id of the caller's own making
            (a new random UUID), or an Idempotency-Key, the call may be repeated and makes one job.
          parameters:
          - JobId
          - IdempotencyKey
          requestBody:
            required: false
            content: {application/json: {schema: {$ref: '#/components/schemas/Rerun'}}}
          responses:
            200:
              description: The new job was there already
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            201:
              description: The new job was made
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Conflict'}
            413: {$ref: '#/components/responses/TooLarge'}
            422: {$ref: '#/components/responses/Unprocessable'}
            503: {$ref: '#/components/responses/Unavailable'}
        """
        account = current_account()
        source = owned_job(job_id, account)
        wanted = body_as(Rerun) if request.get_data() else Rerun()
        new = wanted.job_id or made_id()
        try:
            services().jobs.owned(new, account.user_id)
            status = 200
        except NotFound:
            status = 201
        job = submission.run_again(
            services(), profile=account.profile, source=source, job_id=new, reference=wanted.reference
        )
        return public_form(job, account), status

    @expose("/<job_id>", methods=("PATCH",))
    @permitted
    def rename(self, job_id: str) -> dict[str, Any]:
        """Rename a job
        ---
        patch:
          summary: Give the job's file another name; downloads are called after it
          parameters:
          - JobId
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/NewName'}}}
          responses:
            200:
              description: The job
              content: {application/json: {schema: {$ref: '#/components/schemas/Job'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        account = current_account()
        job = owned_job(job_id, account)
        wanted = body_as(NewName)
        renamed = submission.rename(services(), job_id=job.job_id, user_id=job.user_id, file_name=wanted.file_name)
        return public_form(renamed, account)
