"""What a person can do with a job of theirs: cancel it."""

from __future__ import annotations

from typing import Any

from flask import redirect, request
from flask_appbuilder import AppBuilder, BaseView, expose
from werkzeug.wrappers import Response

from gas import cancellation
from webui.access import permitted, safe_next
from webui.account import current_account, public_form, services
from webui.api import GasApi
from webui.pages import owned_job


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


class JobActionsApi(GasApi):
    """The same for programs."""

    route_base = "/api/v1/jobs"
    openapi_spec_tag = "Jobs"

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
