"""The pages people see. Whatever moves on them asks the JSON API."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import current_app, redirect, render_template, request
from flask_appbuilder import AppBuilder, BaseView, expose
from flask_login import current_user
from werkzeug.wrappers import Response

from gas import deletion
from gas.annotation.header import OWN_TAGS
from gas.errors import GasError, InputError, NotFound
from gas.forecast import Forecast, RecentTimes, forecast
from gas.job import JOB_ID, Job, JobStatus, Output, new_job_id
from gas.profiles_table import Tier
from webui import headers, show, tokens
from webui.access import HEALTH_PATH, permitted, safe_next
from webui.account import Account, current_account, public_form, services
from webui.billing import billing
from webui.jobs_search import search_of
from webui.summary import summary_of

JOBS_PER_PAGE = 25
SUMMARY_BYTES = 4 << 20
#: Seconds after which a job that nobody has begun offers to be started again.
STUCK_S = 60


def register(builder: AppBuilder) -> None:
    """Add the pages to ``builder``; the home page is its index view."""
    builder.add_view_no_menu(JobsView)
    builder.add_view_no_menu(PlanView)
    builder.add_view_no_menu(CommandLineView)


class HomeView(BaseView):
    """The start page, and the answer to "are you there?"."""

    route_base = ""
    default_view = "index"

    @expose("/")
    def index(self) -> Response | str:
        if current_user.is_authenticated:
            return redirect("/jobs/")
        return render_template("gas/landing.html", limit_bytes=services().settings.free_upload_limit_bytes)

    @expose(HEALTH_PATH)
    def health(self) -> dict[str, str]:
        """Alive: says nothing about what GAS depends on, so that their trouble does not restart the web app."""
        return {"status": "ok"}


class JobsView(BaseView):
    """A person's jobs."""

    route_base = "/jobs"
    default_view = "mine"

    @expose("/")
    @permitted
    def mine(self) -> str:
        account = current_account()
        search = search_of(request.args)
        cursor = request.args.get("cursor") or None
        page = services().jobs.of_user(account.user_id, limit=JOBS_PER_PAGE, cursor=cursor, wanted=search.wanted)
        return render_template(
            "gas/jobs.html",
            jobs=[public_form(job, account) for job in page.items],
            search=search,
            here=f"/jobs/?{search.query(cursor=cursor)}".rstrip("?"),
            limit=JOBS_PER_PAGE,
            cursor=cursor,
            older=search.query(cursor=page.cursor) if page.cursor else None,
            reached=show.day(page.reached),
            references=[reference.name for reference in services().references.list()],
        )

    @expose("/new")
    @permitted
    def new(self) -> str:
        account = current_account()
        references = services().references.list()
        headers.allow_connect(upload_origin())
        return render_template(
            "gas/new.html",
            references=references,
            replaced=[*OWN_TAGS, *{f"INFO/{column}" for one in references for column in one.source_columns}],
            limit_bytes=account.upload_limit_bytes,
            premium_bytes=services().settings.premium_upload_limit_bytes,
            tier=account.profile.tier,
        )

    @expose("/<job_id>")
    @permitted
    def one(self, job_id: str) -> str:
        account = current_account()
        job = owned_job(job_id, account)
        summary, trouble = None, None
        if job.job_status is JobStatus.COMPLETED:
            try:
                summary = summary_of(services().objects.read_text(job.outputs[Output.SUMMARY], SUMMARY_BYTES))
            except GasError as error:
                trouble = str(error)
        return render_template(
            "gas/job.html",
            job=public_form(job, account),
            tier=account.profile.tier,
            summary=summary,
            trouble=trouble,
            ended=job.job_status.ended,
            stuck=job.job_status is JobStatus.PENDING and time.time() - job.submit_time > STUCK_S,
            advice=show.advice(job.error_kind),
            forecast=forecast_of(job, ask=False),
            references=[reference.name for reference in services().references.list()] if job.job_status.ended else [],
            new_job_id=new_job_id(),
        )

    @expose("/<job_id>/delete")
    @permitted
    def confirm(self, job_id: str) -> str:
        account = current_account()
        return render_template("gas/delete.html", job=public_form(owned_job(job_id, account), account))

    @expose("/<job_id>/delete", methods=("POST",))
    @permitted
    def delete(self, job_id: str) -> Response:
        job = owned_job(job_id, current_account())
        deletion.delete(services(), job_id=job.job_id, user_id=job.user_id)
        return redirect("/jobs/")


class PlanView(BaseView):
    """A person's plan."""

    route_base = "/plan"
    default_view = "show"

    @expose("/")
    @permitted
    def show(self) -> str:
        settings, account, paying = services().settings, current_account(), billing()
        if paying.checkout_origin:
            headers.allow_form_redirect(paying.checkout_origin)
        standing = paying.standing(account.user_id)
        return render_template(
            "gas/plan.html",
            tier=account.profile.tier,
            delay=show.duration(settings.free_result_ttl_s),
            free_bytes=settings.free_upload_limit_bytes,
            premium_bytes=settings.premium_upload_limit_bytes,
            costs=bool(paying.checkout_origin),
            paid=standing.paid,
            ends_at=show.iso(standing.ends_at) if standing.ends_at else None,
            awaited=request.args.get("checkout") == "done" and account.profile.tier is Tier.FREE,
        )

    @expose("/", methods=("POST",))
    @permitted
    def change(self) -> Response:
        profile = current_account().profile
        if request.form.get("plan") == Tier.PREMIUM:
            checkout = billing().subscribe(profile)
            if checkout:
                return redirect(checkout, HTTPStatus.SEE_OTHER)
        elif request.form.get("plan") == Tier.FREE:
            billing().unsubscribe(profile)
        else:
            raise InputError("choose the free or the premium plan")
        return redirect(safe_next(request.form.get("next")))


class CommandLineView(BaseView):
    """Where ``gas login`` sends the browser."""

    route_base = "/cli"
    default_view = "ask"

    @expose("/authorize")
    @permitted
    def ask(self) -> str:
        asked = login_request(request.args)
        headers.allow_form_redirect(asked.origin)
        return render_template("gas/authorize.html", asked=asked, days=tokens.TOKEN_LIFETIME.days)

    @expose("/authorize", methods=("POST",))
    @permitted
    def decide(self) -> Response:
        asked = login_request(request.form)
        if request.form.get("decision") == "allow":
            code = tokens.new_code(self.appbuilder.session, user=current_user, asked=asked)
            answer = {"code": code, "state": asked.state}
        else:
            answer = {"error": "access_denied", "state": asked.state}
        return redirect(f"{asked.redirect_uri}?{urlencode(answer)}")


def forecast_of(job: Job, *, ask: bool) -> Forecast:
    """When the job may begin and end.

    :param ask: wait for Airflow to tell how long recent jobs took, rather than make do with what it told last.
    """
    recent: RecentTimes = current_app.extensions["gas-recent-times"]
    return forecast(services(), job, recent=recent.asked() if ask else recent.known, now=time.time())


def upload_origin() -> str:
    """Scheme and host that uploads are sent to; worked out from a signed form, without asking anybody."""
    form = services().objects.presigned_upload(user_id="origin", job_id=new_job_id(), max_bytes=1)
    parts = urlsplit(form["url"])
    return f"{parts.scheme}://{parts.netloc}"


def login_request(fields: Any) -> tokens.LoginRequest:
    """What the command line asks for, from a query or a form."""
    return tokens.login_request(
        redirect_uri=fields.get("redirect_uri", ""),
        state=fields.get("state", ""),
        code_challenge=fields.get("code_challenge", ""),
        code_challenge_method=fields.get("code_challenge_method", "S256"),
        client_name=fields.get("client_name", ""),
    )


def owned_job(job_id: str, account: Account) -> Job:
    """The account's own job: every page and every call of the API finds jobs through here.

    :raises NotFound: when there is none, or it is somebody else's; the two are not told apart.
    """
    if not JOB_ID.fullmatch(job_id):
        raise NotFound(f"There is no job {job_id}")
    return services().jobs.owned(job_id, account.user_id)
