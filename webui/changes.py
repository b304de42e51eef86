"""What a re-annotation changed: the page, and the call of the API."""

from __future__ import annotations

from typing import Any

from flask import render_template
from flask_appbuilder import AppBuilder, BaseView, expose

from gas import comparison, reannotation
from gas.errors import NotFound
from gas.job import Job
from webui.access import permitted
from webui.account import current_account, public_form, services
from webui.api import GasApi
from webui.pages import owned_job

#: Variants that the page names; the API names more.
SHOWN = 200
#: What became of a property, in a person's words.
CHANGE_WORDS = {"new": "New", "lost": "Lost", "changed": "Changed"}


def register(builder: AppBuilder) -> None:
    """Add the page and the call of the API to ``builder``."""
    builder.add_view_no_menu(ChangesView)
    builder.add_api(ChangesApi)


class ChangesView(BaseView):
    """A new result beside the earlier one."""

    route_base = "/jobs"
    default_view = "changes"

    @expose("/<job_id>/changes")
    @permitted
    def changes(self, job_id: str) -> str:
        account = current_account()
        job = owned_job(job_id, account)
        return render_template(
            "gas/changes.html",
            job=public_form(job, account),
            found=changes_form(job, named=SHOWN),
            words=CHANGE_WORDS,
        )


class ChangesApi(GasApi):
    """The same for programs."""

    route_base = "/api/v1/jobs"
    openapi_spec_tag = "Jobs"

    @expose("/<job_id>/changes")
    @permitted
    def changes(self, job_id: str) -> dict[str, Any]:
        """What a re-annotation changed
        ---
        get:
          summary: What differs from the earlier result of the same input
          description: >-
            Of a job that GAS made to annotate an earlier one again, on newer data. Named are at most 1000 variants,
            what changed in clinical significance first; counts are of all.
          parameters:
          - JobId
          responses:
            200:
              description: Counts and variants, or why_not there are any
              content: {application/json: {schema: {$ref: '#/components/schemas/Changes'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        return changes_form(owned_job(job_id, current_account()))


def changes_form(job: Job, *, named: int = comparison.NAMED) -> dict[str, Any]:
    """The public form of what differs. The counts in the record stay when the earlier result is deleted."""
    told = {"job_id": job.job_id, "previous_job_id": job.previous_job_id, "why_not": None}
    try:
        return told | reannotation.changes(services(), job, named=named).form()
    except (reannotation.Incomparable, NotFound) as error:
        counts = job.changes if job.changes and "significance" in job.changes else None
        return told | {"why_not": str(error), "counts": counts, "differences": [], "more": 0}
