"""How a person wants to be told of their jobs: the page, and the calls of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from flask import redirect, render_template, request
from flask_appbuilder import AppBuilder, BaseView, expose
from pydantic import BaseModel, ConfigDict, StringConstraints
from werkzeug.wrappers import Response

from gas import notices
from gas.notice import Channel, Kind
from gas.notices_table import Person, Wishes
from gas.profiles_table import Tier
from gas.webhooks import URL_CHARACTERS
from webui import show
from webui.access import needs_scope, permitted
from webui.account import current_account, services
from webui.api import GasApi, body_as
from webui.tokens import Scope

PATH = "/account/notices"
KIND_WORDS = {
    Kind.ENDED: "A job is done, or has failed",
    Kind.ARCHIVE: "A result is about to move to the archive",
    Kind.RESTORED: "A result is back from the archive",
    Kind.CHANGED: "A file was annotated again on newer data, and something changed",
}
CHANNEL_WORDS = {Channel.MAIL: "Mail", Channel.WEBHOOK: "The webhook"}


class ByMail(BaseModel):
    """Of what there is to be mail."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ended: bool
    archive: bool
    restored: bool
    changed: bool = True
    """May be left out by who does not know of it."""


class NewWishes(BaseModel):
    """How the person wants to be told from now on."""

    model_config = ConfigDict(extra="forbid", strict=True)
    mail: ByMail
    webhook_url: Annotated[str, StringConstraints(max_length=URL_CHARACTERS)] | None


def register(builder: AppBuilder) -> None:
    """Add the page and the calls of the API to ``builder``."""
    builder.add_view_no_menu(NoticesView)
    builder.add_api(NoticesApi)


class NoticesView(BaseView):
    """Where a person says what they want to be told of, and how."""

    route_base = PATH
    default_view = "show"

    @expose("")
    @permitted
    def show(self) -> str:
        return _page()

    @expose("", methods=("POST",))
    @permitted
    def save(self) -> Response | str:
        wanted = set(request.form.getlist("mail"))
        _, secret = notices.wish(
            services(),
            current_account().user_id,
            no_mail=frozenset(kind for kind in Kind if kind not in wanted),
            webhook_url=request.form.get("webhook_url", "").strip(),
        )
        return _page(secret=secret) if secret else redirect(f"{PATH}?saved=1")  # nobody keeps the secret

    @expose("/test", methods=("POST",))
    @permitted
    def test(self) -> str:
        return _page(trial=notices.send_test(services(), current_account().user_id))

    @expose("/secret", methods=("POST",))
    @permitted
    def secret(self) -> str:
        return _page(secret=notices.renew_secret(services(), current_account().user_id))


class NoticesApi(GasApi):
    """How a person wants to be told, for programs that ``gas login`` let in."""

    resource_name = "notices"
    openapi_spec_tag = "Notices"

    @expose("")
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def wishes(self) -> dict[str, Any]:
        """How I am told of my jobs
        ---
        get:
          summary: Of what I get mail, where my webhook is, and what failed last
          responses:
            200:
              description: The wishes; never the webhook's secret
              content: {application/json: {schema: {$ref: '#/components/schemas/Notices'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
        """
        person = services().notices.person(current_account().user_id)
        return wishes_form(person, person.wishes)

    @expose("", methods=("PUT",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def change(self) -> dict[str, Any]:
        """Change how I am told of my jobs
        ---
        put:
          summary: Say of what there is to be mail, and where the webhook is
          description: >-
            The webhook gets everything, as a POST of JSON with id, kind (ended, archive, restored, changed or test),
            time and job. Its GAS-Signature header is t=TIME,v1=HEX, where HEX is HMAC-SHA256 of "TIME.BODY" under
            webhook_secret. That secret is told when the first address is given, this once. What is not answered by a
            2xx within five seconds is tried again for a day, under the same id.
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/NewNotices'}}}
          responses:
            200:
              description: The wishes, and the webhook's secret where it is new
              content: {application/json: {schema: {$ref: '#/components/schemas/ChangedNotices'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        wanted = body_as(NewWishes)
        user_id = current_account().user_id
        by_mail = wanted.mail.model_dump()
        wishes, secret = notices.wish(
            services(),
            user_id,
            no_mail=frozenset(kind for kind in Kind if not by_mail[kind.value]),
            webhook_url=wanted.webhook_url or "",
        )
        return {**wishes_form(services().notices.person(user_id), wishes), "webhook_secret": secret}

    @expose("/test", methods=("POST",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def test(self) -> dict[str, Any]:
        """Send me a test
        ---
        post:
          summary: Send a letter, and a request to the webhook, that only show that they arrive
          responses:
            200:
              description: What became of each; null where the person has no such thing
              content: {application/json: {schema: {$ref: '#/components/schemas/NoticesTest'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
        """
        trial = notices.send_test(services(), current_account().user_id)
        return {"mail": _sent(trial.mail), "webhook": _sent(trial.webhook)}

    @expose("/secret", methods=("POST",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def secret(self) -> dict[str, Any]:
        """Sign with another secret
        ---
        post:
          summary: Make another secret for the webhook, which is told this once; the one before is worthless at once
          responses:
            200:
              description: The secret
              content: {application/json: {schema: {$ref: '#/components/schemas/WebhookSecret'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        return {"webhook_secret": notices.renew_secret(services(), current_account().user_id)}


def wishes_form(person: Person, wishes: Wishes) -> dict[str, Any]:
    """The public form of a person's wishes, without the secret."""
    failure = wishes.failure
    return {
        "email": person.profile.email if services().mail.reaches(person.profile.email) else None,
        "mail": {kind.value: kind not in wishes.no_mail for kind in Kind},
        "webhook_url": wishes.webhook_url or None,
        "failure": {
            "time": datetime.fromtimestamp(failure.time, UTC).isoformat().replace("+00:00", "Z"),
            "channel": failure.channel.value,
            "sentence": failure.sentence,
        }
        if failure
        else None,
    }


def _sent(trouble: str | None) -> dict[str, Any] | None:
    return None if trouble is None else {"sent": not trouble, "detail": trouble}


def _page(*, secret: str = "", trial: notices.Trial | None = None) -> str:
    person = services().notices.person(current_account().user_id)
    settings = services().settings
    return render_template(
        "gas/notices.html",
        wishes=wishes_form(person, person.wishes),
        sends=services().mail.sends,
        kinds=KIND_WORDS,
        channels=CHANNEL_WORDS,
        premium=person.profile.tier is Tier.PREMIUM,
        lead=show.duration(settings.archive_lead_s),
        url_characters=URL_CHARACTERS,
        secret=secret,
        trial=trial,
        saved="saved" in request.args,
    )
