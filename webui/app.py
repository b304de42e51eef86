"""Puts the web app together: ``create_app()`` is what gunicorn serves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import globus_sdk.config
from flask import Flask, current_app, redirect, request
from flask_appbuilder import AppBuilder
from flask_appbuilder.const import AUTH_OAUTH
from flask_appbuilder.models.sqla.base import SQLA
from flask_login import current_user
from flask_wtf.csrf import CSRFProtect
from pydantic import SecretStr
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from gas import services as gas_services
from gas.errors import SettingsError
from gas.forecast import RecentTimes
from gas.services import Services
from gas.settings import Settings
from webui import (
    account,
    api,
    billing,
    changes,
    drs,
    errors,
    explore,
    explore_api,
    genome,
    headers,
    job_actions,
    limits,
    log,
    metrics,
    notices,
    pages,
    profile,
    ready,
    security,
    share,
    show,
    token_pages,
    variants,
    wes,
)
from webui.access import is_api, is_page
from webui.database import schema_lock
from webui.globus import TokenIntrospection
from webui.sessions import DatabaseSessions

SESSION_LIFETIME = timedelta(days=7)
#: Bytes of a request's body; files go to the object store and never through here.
MAX_BODY_BYTES = 64 * 1024
#: Seconds until a request to Globus is given up.
GLOBUS_TIMEOUT_S = 10
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def create_app(settings: Settings | None = None, *, services: Services | None = None) -> Flask:
    """The web app. Without arguments everything comes from the environment.

    Its tables, roles and permissions are made where they are missing; workers that start together wait for each other.

    :raises SettingsError: naming the variable that is missing.
    """
    settings = settings or (services.settings if services else Settings.from_environment())
    app = Flask(__name__)
    if proxies := settings.web_proxies:  # or each caller would have the proxy's address, and speak plain HTTP
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]  # as Flask's documentation has it
    app.config.update(configuration(settings))
    app.extensions["gas"] = services or gas_services.build(settings)
    app.extensions["gas-recent-times"] = RecentTimes(app.extensions["gas"].airflow)
    db = SQLA(app)
    log.install(app, settings)
    metrics.install(app, app.extensions["gas"].metrics)
    limits.install(app, settings)
    wes.install(app)
    Csrf(app)
    headers.install(app, https=app.config["SESSION_COOKIE_SECURE"])
    errors.install(app)
    show.install(app)
    account.install(app)
    explore_api.install(app)
    app.before_request(canonical_host)
    with app.app_context(), schema_lock(db.engine):
        app.session_interface = DatabaseSessions(app, db)
        billing.install(app, db.engine)
        builder = AppBuilder(
            app,
            db.session,
            indexview=pages.HomeView,
            base_template="gas/fab.html",
            security_manager_class=security.GasSecurityManager,
        )
        pages.register(builder)
        ready.register(builder)
        api.register(builder)
        job_actions.register(builder)
        share.register(builder)
        token_pages.register(builder)
        profile.register(builder)
        notices.register(builder)
        billing.register(builder)
        explore.register(builder)
        explore_api.register(builder)
        variants.register(builder)
        changes.register(builder)
        genome.register(builder)
        drs.register(builder)
        wes.register(builder)
        db.session.commit()
        db.session.remove()
    return app


class Csrf(CSRFProtect):
    """Asks for the CSRF token on every write of a browser.

    A request with an ``Authorization`` header has no session (see :mod:`webui.sessions`), and an anonymous one in the
    API is refused as such: in neither has a cookie lent any authority, so there is nothing to forge.
    """

    def protect(self, apply_exemptions: bool = False) -> None:
        if "Authorization" in request.headers or (is_api(request) and not current_user.is_authenticated):
            return
        super().protect(apply_exemptions)


def configuration(settings: Settings) -> dict[str, Any]:
    """Flask's configuration from GAS's settings.

    :raises SettingsError: naming the variable that is missing.
    """
    client_id = settings.globus_client_id
    if not client_id:
        raise SettingsError("GAS_GLOBUS_CLIENT_ID must be set: the Globus application that people sign in with")
    client_secret = _needed(settings.globus_client_secret, "GAS_GLOBUS_CLIENT_SECRET")
    introspection = None
    if settings.globus_scope:
        introspection = TokenIntrospection(
            client_id=client_id, client_secret=client_secret, scope=settings.globus_scope
        )
    auth_url = globus_sdk.config.get_service_url("auth").rstrip("/")
    return {
        "APP_NAME": "GAS",
        "SECRET_KEY": _needed(settings.web_secret_key, "GAS_WEB_SECRET_KEY"),
        "WEB_URL": settings.web_url,
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "SQLALCHEMY_DATABASE_URI": _needed(settings.web_database_url, "GAS_WEB_DATABASE_URL"),
        "SQLALCHEMY_ENGINE_OPTIONS": {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 5},
        # Cookies ignore ports, so the name must differ from that of Airflow on the same host.
        "SESSION_COOKIE_NAME": "gas_session",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",  # Strict would lose the session on the way back from Globus
        "SESSION_COOKIE_SECURE": settings.web_url.startswith("https://"),
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": SESSION_LIFETIME,
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session
        "AUTH_TYPE": AUTH_OAUTH,
        "AUTH_USER_REGISTRATION": True,
        "AUTH_USER_REGISTRATION_ROLE": security.USER_ROLE,
        "AUTH_ROLES_MAPPING": {security.ADMIN_KEY: ["Admin"]},
        "AUTH_ROLES_SYNC_AT_LOGIN": True,
        "FAB_ROLES": security.ROLES,
        "FAB_API_SWAGGER_UI": True,
        "FAB_ADD_MENU_API": False,
        "FAB_OPENAPI_SERVERS": [{"url": settings.web_url}],
        "GAS_ADMINS": settings.admins,
        "GLOBUS_INTROSPECTION": introspection,
        "OAUTH_PROVIDERS": [
            {
                "name": "globus",
                "token_key": "access_token",
                "remote_app": {
                    "client_id": client_id,
                    "client_secret": client_secret,
                    "server_metadata_url": f"{auth_url}/.well-known/openid-configuration",
                    "client_kwargs": {
                        "scope": "openid email profile",
                        "code_challenge_method": "S256",
                        "token_endpoint_auth_method": "client_secret_basic",
                        "timeout": GLOBUS_TIMEOUT_S,
                    },
                },
            }
        ],
    }


def _needed(secret: SecretStr, variable: str) -> str:
    if not secret.get_secret_value():
        raise SettingsError(f"{variable} must be set")
    return secret.get_secret_value()


def canonical_host() -> Response | None:
    """Send a browser that spelled loopback differently to the spelling that its cookie and Globus know."""
    web_url = current_app.config["WEB_URL"]
    wanted, here = urlsplit(web_url), urlsplit(request.host_url)
    elsewhere = here.hostname != wanted.hostname and here.port == wanted.port
    if elsewhere and {here.hostname, wanted.hostname} <= LOOPBACK_NAMES and request.method == "GET":
        return redirect(f"{web_url}{request.full_path.rstrip('?')}") if is_page(request) else None
    return None
