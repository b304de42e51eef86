"""A person's profile: who they are by Globus, their plan, and what they have used this month."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from flask import current_app, redirect, render_template, session
from flask_appbuilder import AppBuilder, BaseView, expose
from flask_login import current_user, logout_user
from werkzeug.wrappers import Response

from gas.usage import usage
from webui import identities
from webui.access import needs_scope, permitted
from webui.account import current_account, joined_at, services
from webui.api import GasApi
from webui.tokens import Scope


def register(builder: AppBuilder) -> None:
    """Add the page and the calls of the API to ``builder``."""
    builder.add_view_no_menu(ProfileView)
    builder.add_api(UsageApi)
    builder.add_api(SessionsApi)


class ProfileView(BaseView):
    """The first page of a person's account."""

    route_base = "/account"
    default_view = "show"

    @expose("/")
    @permitted
    def show(self) -> str:
        account = current_account()
        linked = identities.of_user(self.appbuilder.session, current_user)
        return render_template(
            "gas/account.html",
            account=account,
            institution=identities.institution(linked),
            linked=linked,
            joined=joined_at(),
            usage=usage(services().jobs, account.user_id, now=time.time()),
        )

    @expose("/sign-out", methods=("POST",))
    @permitted
    def sign_out(self) -> Response:
        """Sign the person out of every browser, this one among them."""
        _sign_out_everywhere()
        return redirect("/")


def _sign_out_everywhere() -> None:
    current_app.session_interface.end_all(current_user.id)
    logout_user()
    session.clear()


class SessionsApi(GasApi):
    """The browsers that the caller is signed in with."""

    resource_name = "sessions"
    openapi_spec_tag = "Account"

    @expose("", methods=("DELETE",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def sign_out(self) -> tuple[str, int]:
        """Sign out everywhere
        ---
        delete:
          summary: Sign me out of every browser, of the calling one too
          description: Tokens stay good. For a signed-in browser, or a token of gas login.
          responses:
            204: {description: No browser is signed in any more}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
        """
        _sign_out_everywhere()
        return "", 204


class UsageApi(GasApi):
    """What the caller has used."""

    resource_name = "usage"
    openapi_spec_tag = "Account"

    @expose("")
    @permitted
    def usage(self) -> dict[str, Any]:
        """What I have used this month
        ---
        get:
          summary: My jobs of this month (UTC), the variants in them, and the bytes I uploaded
          description: >-
            Of the jobs that are there; a deleted one counts no more. In very large accounts the figures are lower
            bounds, see jobs_at_least and sums_at_least.
          responses:
            200:
              description: The use
              content: {application/json: {schema: {$ref: '#/components/schemas/Usage'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
        """
        return asdict(usage(services().jobs, current_account().user_id, now=time.time()))
