"""Sharing a result by a link: its owner's page and calls, and what whoever has the link sees."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from flask import Response, current_app, redirect, render_template, request
from flask_appbuilder import AppBuilder, BaseView, expose
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from gas.errors import Archived, GasError, NotFound
from gas.job import ARCHIVED_OUTPUTS, Job, JobStatus, Output, StorageState
from gas.objects import OUTPUT_KEYS
from webui import share_links
from webui.access import SHARED_PREFIX, permitted
from webui.account import Account, account_of, current_account, link_life_s, public_form, services
from webui.api import GasApi, body_as
from webui.database import ShareLink
from webui.idempotency import idempotent, made_secret
from webui.pages import SUMMARY_BYTES, owned_job
from webui.summary import summary_of

DEFAULT_DAYS = 7
#: What a link tells of a job: its result, and nothing that leads to anything else.
SHOWN = ("file_name", "reference", "submit_time", "complete_time", "counts", "notes", "outputs", "storage")
NO_SUCH_LINK = "there is no such link to this result"


class NewLink(BaseModel):
    """For how long a result is to be shared."""

    model_config = ConfigDict(extra="forbid", strict=True)
    days: int = DEFAULT_DAYS


def register(builder: AppBuilder) -> None:
    """Add the pages and the calls of the API to ``builder``."""
    builder.add_view_no_menu(ShareView)
    builder.add_view_no_menu(SharedView)
    builder.add_api(ShareApi)
    builder.add_api(SharedApi)


class ShareView(BaseView):
    """Where the owner of a result makes links to it and revokes them."""

    route_base = "/jobs"
    default_view = "links"

    @expose("/<job_id>/share")
    @permitted
    def links(self, job_id: str) -> str:
        return self._page(owned_job(job_id, current_account()))

    @expose("/<job_id>/share", methods=("POST",))
    @permitted
    def share(self, job_id: str) -> str:
        job = owned_job(job_id, current_account())
        given = request.form.get("days", "")
        days = int(given) if given.isascii() and given.isdecimal() and len(given) <= 4 else 0
        token, _ = share_links.create(transaction(), job, days=days)
        return self._page(job, address=address_of(token))  # not by way of a redirect: nobody keeps the address

    @expose("/<job_id>/share/revoke", methods=("POST",))
    @permitted
    def revoke(self, job_id: str) -> Response:
        job = owned_job(job_id, current_account())
        share_links.revoke(transaction(), job, _link_id(request.form.get("link_id", "")))
        return redirect(f"/jobs/{job.job_id}/share")

    def _page(self, job: Job, *, address: str = "") -> str:
        return render_template(
            "gas/share.html",
            job=public_form(job, current_account()),
            shareable=job.job_status is JobStatus.COMPLETED,
            links=[link_form(link) for link in share_links.of_job(transaction(), job)],
            address=address,
            days=share_links.DAYS,
            default_days=DEFAULT_DAYS,
        )


class SharedView(BaseView):
    """A result as whoever has a link to it sees it: to look at and to download, and nothing else."""

    route_base = SHARED_PREFIX.rstrip("/")
    default_view = "result"

    @expose("/<token>")
    def result(self, token: str) -> str:
        job, link, owner = shared(token)
        summary, trouble = None, None
        try:
            summary = summary_of(services().objects.read_text(job.outputs[Output.SUMMARY], SUMMARY_BYTES))
        except GasError as error:
            trouble = str(error)
        return render_template(
            "gas/shared.html",
            job=public_form(job, owner),
            summary=summary,
            trouble=trouble,
            table="",
            downloads=f"{SHARED_PREFIX}{token}/download",
            expires_at=link_form(link)["expires_at"],
        )

    @expose("/<token>/download/<what>")
    def download(self, token: str, what: str) -> Response:
        job, link, owner = shared(token)
        if what not in set(Output) or Output(what) not in job.outputs:
            raise NotFound("this result has no such file")
        output = Output(what)
        if not job.readable(output):
            raise Archived(
                "this file is in the archive"
                if job.storage_state is StorageState.ARCHIVED
                else "this file is on its way back from the archive; try again in some hours"
            )
        left_s = int(link.expires_at.timestamp() - time.time())
        stays_s = link_life_s(job, owner) if output in ARCHIVED_OUTPUTS else None
        return redirect(
            services().objects.presigned_download(
                job.outputs[output],
                file_name=job.output_file_name(output),
                content_type=OUTPUT_KEYS[output][1],
                at_most_s=left_s if stays_s is None else min(left_s, stays_s),
            )
        )


class ShareApi(GasApi):
    """Links to a result, for programs."""

    route_base = "/api/v1/jobs"
    openapi_spec_tag = "Sharing"

    @expose("/<job_id>/links")
    @permitted
    def links(self, job_id: str) -> dict[str, Any]:
        """The links to a result
        ---
        get:
          summary: The links that show a job's result to whoever has one, the newest first; never their addresses
          parameters:
          - JobId
          responses:
            200:
              description: Those that are good
              content: {application/json: {schema: {$ref: '#/components/schemas/ShareLinks'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        job = owned_job(job_id, current_account())
        return {"links": [link_form(link) for link in share_links.of_job(transaction(), job)]}

    @expose("/<job_id>/links", methods=("POST",))
    @permitted
    @idempotent()
    def share(self, job_id: str) -> tuple[dict[str, Any], int]:
        """Share a result
        ---
        post:
          summary: Make a link that shows this result, and nothing else, to whoever has it
          description: The address is told this once; GAS keeps only its digest.
          parameters:
          - JobId
          - IdempotencyKey
          requestBody:
            required: false
            content: {application/json: {schema: {$ref: '#/components/schemas/NewShareLink'}}}
          responses:
            201:
              description: The link and its address
              content: {application/json: {schema: {$ref: '#/components/schemas/MadeShareLink'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            409: {$ref: '#/components/responses/Conflict'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        job = owned_job(job_id, current_account())
        wanted = body_as(NewLink) if request.get_data() else NewLink()
        token, link = share_links.create(transaction(), job, days=wanted.days, token=made_secret())
        return {**link_form(link), "url": address_of(token)}, 201

    @expose("/<job_id>/links", methods=("DELETE",))
    @permitted
    def revoke_all(self, job_id: str) -> tuple[str, int]:
        """Revoke every link to a result
        ---
        delete:
          summary: Make every link to this result worthless
          description: Repeating it is safe.
          parameters:
          - JobId
          responses:
            204: {description: No link to it is good}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        share_links.revoke(transaction(), owned_job(job_id, current_account()))
        return "", 204

    @expose("/<job_id>/links/<link_id>", methods=("DELETE",))
    @permitted
    def revoke(self, job_id: str, link_id: str) -> tuple[str, int]:
        """Revoke a link to a result
        ---
        delete:
          summary: Make one link to this result worthless
          parameters:
          - JobId
          - {in: path, name: link_id, required: true, schema: {type: integer, minimum: 0}}
          responses:
            204: {description: The link is worthless}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        job = owned_job(job_id, current_account())
        if not share_links.revoke(transaction(), job, _link_id(link_id)):
            raise NotFound(NO_SUCH_LINK)
        return "", 204


class SharedApi(GasApi):
    """What whoever has a link sees, for programs."""

    route_base = f"/api/v1{SHARED_PREFIX.rstrip('/')}"
    openapi_spec_tag = "Sharing"

    @expose("/<token>")
    def result(self, token: str) -> dict[str, Any]:
        """A shared result
        ---
        get:
          summary: The result that a link shows; the link's secret is all the authority there is
          security: []
          parameters:
          - {in: path, name: token, required: true, schema: {type: string}, description: The last part of its address}
          responses:
            200:
              description: What came out, and where its files are downloaded without any header
              content: {application/json: {schema: {$ref: '#/components/schemas/SharedResult'}}}
            404: {$ref: '#/components/responses/NotFound'}
        """
        job, link, owner = shared(token)
        told = public_form(job, owner)
        return {
            **{name: told[name] for name in SHOWN},
            "downloads": {output.value: f"{address_of(token)}/download/{output}" for output in job.outputs},
            "expires_at": link_form(link)["expires_at"],
        }


def shared(token: str) -> tuple[Job, ShareLink, Account]:
    """What a link shows, and whose it is: for how long it stays depends on their plan.

    :raises NotFound: in one and the same sentence, whyever it shows nothing.
    """
    link = share_links.found(transaction(), token)
    job = services().jobs.find(link.job_id)
    if job is None or job.user_id != link.user_id or job.storage_state is StorageState.DELETING:
        raise share_links.no_such()
    if job.job_status is not JobStatus.COMPLETED:
        raise share_links.no_such()
    return job, link, account_of(services().profiles.get(job.user_id))


def link_form(link: ShareLink) -> dict[str, Any]:
    """The public form of a link, which does not tell where it is."""
    return {
        "id": link.id,
        "created_at": _iso(link.created_at),
        "expires_at": _iso(link.expires_at),
    }


def _link_id(given: str) -> int:
    if not (given.isascii() and given.isdecimal() and len(given) <= 9):
        raise NotFound(NO_SUCH_LINK)
    return int(given)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def address_of(token: str) -> str:
    """Where a link leads; for its owner alone."""
    return f"{current_app.config['WEB_URL']}{SHARED_PREFIX}{token}"


def transaction() -> Session:
    """The web app's own database."""
    return current_app.appbuilder.session
