"""A person's API tokens: the page and the calls to make, list and revoke them."""

from __future__ import annotations

from typing import Annotated, Any

from flask import current_app, redirect, render_template, request
from flask_appbuilder import AppBuilder, BaseView, expose
from flask_login import current_user
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from gas.errors import NotFound
from webui import tokens
from webui.access import needs_scope, permitted
from webui.api import GasApi, body_as
from webui.database import ApiToken
from webui.show import iso
from webui.tokens import Scope

DEFAULT_DAYS = 90
NO_SUCH_TOKEN = "you have no such token"  # noqa: S105 - a sentence, not a token
SCOPE_WORDS = {
    Scope.READ: "See, explore and download",
    Scope.JOBS: "Everything about my jobs",
    Scope.ACCOUNT: "My account too",
}


class NewToken(BaseModel):
    """The token that is wished for."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, Field(max_length=1000)]
    scope: Annotated[str, Field(max_length=1000)]
    expires_in_days: int = DEFAULT_DAYS


def register(builder: AppBuilder) -> None:
    """Add the page and the calls of the API to ``builder``."""
    builder.add_view_no_menu(TokensView)
    builder.add_api(TokensApi)


class TokensView(BaseView):
    """Where a person makes tokens for their programs, and revokes them."""

    route_base = "/account/tokens"
    default_view = "listing"

    @expose("")
    @permitted
    def listing(self) -> str:
        return self._page()

    @expose("", methods=("POST",))
    @permitted
    def create(self) -> str:
        given = request.form.get("days", "")
        days = int(given) if given.isascii() and given.isdecimal() and len(given) <= 4 else 0
        token, _ = tokens.create(
            transaction(),
            current_user,
            name=request.form.get("name", ""),
            scope=request.form.get("scope", ""),
            days=days,
        )
        return self._page(token=token)  # not by way of a redirect: nobody keeps the token

    @expose("/revoke", methods=("POST",))
    @permitted
    def revoke(self) -> Response:
        if not tokens.revoke_one(transaction(), current_user, _token_id(request.form.get("token_id", ""))):
            raise NotFound(NO_SUCH_TOKEN)
        return redirect("/account/tokens")

    def _page(self, *, token: str = "") -> str:
        return render_template(
            "gas/tokens.html",
            tokens=[token_form(row) for row in tokens.of_user(transaction(), current_user)],
            token=token,
            days=tokens.DAYS,
            default_days=DEFAULT_DAYS,
            scopes=tokens.SCOPES,
            words=SCOPE_WORDS,
            longest=tokens.NAME_LENGTH,
        )


class TokensApi(GasApi):
    """A person's API tokens, for programs that ``gas login`` let in."""

    resource_name = "tokens"
    openapi_spec_tag = "Tokens"

    @expose("")
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def listing(self) -> dict[str, Any]:
        """My API tokens
        ---
        get:
          summary: The tokens that act for me, the newest first; never the tokens themselves
          description: For a signed-in browser, or a token of gas login.
          responses:
            200:
              description: Those that are good
              content: {application/json: {schema: {$ref: '#/components/schemas/ApiTokens'}}}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
        """
        return {"tokens": [token_form(row) for row in tokens.of_user(transaction(), current_user)]}

    @expose("", methods=("POST",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def create(self) -> tuple[dict[str, Any], int]:
        """Make an API token
        ---
        post:
          summary: Make a token for a program
          description: >-
            The token is told this once; GAS keeps only its digest. For a signed-in browser, or a token of gas login.
          requestBody:
            required: true
            content: {application/json: {schema: {$ref: '#/components/schemas/NewApiToken'}}}
          responses:
            201:
              description: The token
              content: {application/json: {schema: {$ref: '#/components/schemas/MadeApiToken'}}}
            400: {$ref: '#/components/responses/BadRequest'}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            409: {$ref: '#/components/responses/Conflict'}
            422: {$ref: '#/components/responses/Unprocessable'}
        """
        wanted = body_as(NewToken)
        token, row = tokens.create(
            transaction(), current_user, name=wanted.name, scope=wanted.scope, days=wanted.expires_in_days
        )
        return {**token_form(row), "token": token}, 201

    @expose("/<token_id>", methods=("DELETE",))
    @permitted
    @needs_scope(Scope.ACCOUNT)
    def revoke(self, token_id: str) -> tuple[str, int]:
        """Revoke an API token
        ---
        delete:
          summary: Make one of my tokens worthless
          parameters:
          - {in: path, name: token_id, required: true, schema: {type: integer, minimum: 0}}
          responses:
            204: {description: The token is worthless}
            401: {$ref: '#/components/responses/Unauthorized'}
            403: {$ref: '#/components/responses/Forbidden'}
            404: {$ref: '#/components/responses/NotFound'}
        """
        if not tokens.revoke_one(transaction(), current_user, _token_id(token_id)):
            raise NotFound(NO_SUCH_TOKEN)
        return "", 204


def token_form(token: ApiToken) -> dict[str, Any]:
    """The public form of a token, which is not the token."""
    return {
        "id": token.id,
        "name": token.client_name,
        "scopes": token.scope.split(),
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "last_used_at": iso(token.last_used_at) if token.last_used_at else None,
    }


def _token_id(given: str) -> int:
    if not (given.isascii() and given.isdecimal() and len(given) <= 9):
        raise NotFound(NO_SUCH_TOKEN)
    return int(given)


def transaction() -> Session:
    """The web app's own database."""
    return current_app.appbuilder.session
