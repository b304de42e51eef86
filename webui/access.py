"""Who may call a view, decided in one place for pages and API alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Request, current_app, g, redirect, request, url_for
from flask_appbuilder.const import PERMISSION_PREFIX
from flask_login import current_user

from gas.errors import NotAllowed
from webui import tokens
from webui.tokens import Scope

API_PREFIX = "/api/"
#: What the paths of the standard interfaces of the Global Alliance for Genomics and Health begin with.
GA4GH_PREFIX = "/ga4gh/"
#: Verbs that change nothing.
READING = frozenset({"GET", "HEAD"})
#: Where the server says that it is alive.
HEALTH_PATH = "/health"
#: Where it says whether what it stands on answers.
READY_PATH = "/ready"
#: What the path of a link to a shared result begins with; the rest is a secret.
SHARED_PREFIX = "/shared/"

_SECRET_PATH = re.compile(rf"({SHARED_PREFIX})[^/?\s\"]+")
#: What Globus sends a browser back with, and what a signed link to a file carries.
_SECRET_QUERY = re.compile(r"([?&](?:code|state|X-Amz-[A-Za-z-]+|[a-z_]*token)=)[^&\s\"]+")


def is_api(request: Request) -> bool:
    """Whether a program asks, so that the answer is JSON and a missing sign-in is a 401 and no redirect."""
    return request.path.startswith((API_PREFIX, GA4GH_PREFIX))


def is_ga4gh(request: Request) -> bool:
    """Whether the request is for an interface whose answers have the form of GA4GH's standards."""
    return request.path.startswith(GA4GH_PREFIX)


def is_page(request: Request) -> bool:
    """Whether a person's browser shows the answer."""
    for_programs = is_api(request) or request.path in (HEALTH_PATH, READY_PATH)
    return not for_programs and not request.path.startswith("/static/")


def loggable(text: str) -> str:
    """A text with an address in it as it may be written to a log: without the secret of a link or of a sign-in."""
    return _SECRET_QUERY.sub(r"\1...", _SECRET_PATH.sub(r"\1...", text))


def safe_next(target: str | None) -> str:
    """``target`` where it is a path of this site, else the start page.

    Browsers read ``//host``, ``/\\host`` and control characters in ways that lead to other hosts, so only a plain
    absolute path is taken.
    """
    plain = bool(target) and target.startswith("/") and not target.startswith("//") and target.isprintable()
    return target if plain and "\\" not in target else "/"


def needs_scope(scope: Scope) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say which scope a token needs for a view; without it that is ``read`` for reading, and ``jobs`` for writing.

    Stands below ``@permitted``, which asks.
    """

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        method.needed_scope = scope
        return method

    return mark


def permitted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let only signed-in people whose role has this view's permission ``can_<method>`` pass, by a token that may.

    :raises WrongScope: when they come with a token that is not for this.
    :raises NotAllowed: in the API, or when the role lacks the permission; a page sends anonymous visitors to sign in.
    """

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            if not is_api(request):
                here = request.full_path.rstrip("?") if request.method == "GET" else "/"
                return redirect(f"{url_for('GlobusAuthView.login')}?{urlencode({'next': here})}")
            raise NotAllowed(
                "Sign in first: send the cookie of a signed-in browser, or an Authorization: Bearer token."
            )
        needed = getattr(method, "needed_scope", None) or (Scope.READ if request.method in READING else Scope.JOBS)
        tokens.check(g.get("token_scopes", frozenset(Scope)), needed)
        permission = f"{PERMISSION_PREFIX}{method.__name__}"
        if not current_app.appbuilder.sm.has_access(permission, self.class_permission_name):
            raise NotAllowed("Your account may not do this. Ask the operator of this server.")
        return method(self, *args, **kwargs)

    guarded._permission_name = method.__name__  # FAB collects a view's permissions from this attribute
    return guarded
