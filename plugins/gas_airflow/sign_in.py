"""Sign-in with Globus at Airflow's own pages.

Authlib does the protocol (authorization code, PKCE, nonce, verified ID token), FAB keeps the users; what is here says
who gets in. Merely owning a Globus account opens nothing: a person needs a role, and has one by being named in
``GAS_AIRFLOW_ADMINS``, ``GAS_AIRFLOW_OPERATORS`` or ``GAS_AIRFLOW_VIEWERS``, by a linked identity or by a Globus group.
The lists are looked at in each sign-in, and a sign-in lasts ``[fab] session_max_lifetime_minutes``.

Programs sign in otherwise: ``POST /auth/token`` with the name and password of a database user, such as GAS's own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import globus_sdk.config
from airflow.providers.common.compat.sdk import conf
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from airflow.providers.fab.auth_manager.views.auth_oauth import CustomAuthOAuthView
from airflow.providers.fab.www.views import redirect
from flask import current_app, request
from flask_appbuilder import expose
from flask_appbuilder.const import AUTH_OAUTH
from globus_sdk.scopes import GroupsScopes

from gas.errors import SettingsError
from gas.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.models import User
    from werkzeug.wrappers import Response

log = logging.getLogger(__name__)

PROVIDER = "globus"
#: How a Globus group is named among the people of a list.
GROUP = "group:"
GLOBUS_TIMEOUT_S = 10
#: The hash of no password at all.
NO_PASSWORD = "!"  # noqa: S105 - says that there is none


def configuration(settings: Settings) -> dict[str, Any]:
    """Flask's configuration of FAB's sign-in.

    :raises SettingsError: naming the variable that is missing.
    """
    if not (settings.globus_client_id and settings.globus_client_secret.get_secret_value()):
        raise SettingsError(
            "GAS_GLOBUS_CLIENT_ID and GAS_GLOBUS_CLIENT_SECRET must be set: "
            "the Globus application that people sign in with"
        )
    scopes = ["openid", "email", "profile"]
    if any(entry.startswith(GROUP) for entry in _listed(settings)):  # asked of a person only where it matters
        scopes.append(str(GroupsScopes.view_my_groups_and_memberships))
    auth_url = globus_sdk.config.get_service_url("auth").rstrip("/")
    return {
        "AUTH_TYPE": AUTH_OAUTH,
        "AUTH_USER_REGISTRATION": False,  # it would open a form to anybody; users are made in auth_user_oauth
        "SECURITY_MANAGER_CLASS": GlobusSecurityManager,
        "GAS_SETTINGS": settings,
        "OAUTH_PROVIDERS": [
            {
                "name": PROVIDER,
                "icon": "fa-globe",
                "token_key": "access_token",
                "remote_app": {
                    "client_id": settings.globus_client_id,
                    "client_secret": settings.globus_client_secret.get_secret_value(),
                    "server_metadata_url": f"{auth_url}/.well-known/openid-configuration",
                    "client_kwargs": {
                        "scope": " ".join(scopes),
                        "code_challenge_method": "S256",
                        "token_endpoint_auth_method": "client_secret_basic",
                        "timeout": GLOBUS_TIMEOUT_S,
                    },
                },
            }
        ],
    }


def role_of(names: frozenset[str], settings: Settings) -> str | None:
    """The highest of Airflow's roles that these names have; ``None`` opens nothing.

    :param names: of one person: ``sub`` and username of each linked identity, and their groups as ``group:ID``.
    """
    by_role = (
        ("Admin", settings.airflow_admins),
        ("Op", settings.airflow_operators),
        ("Viewer", settings.airflow_viewers),
    )
    return next((role for role, listed in by_role if listed & names), None)


def subs_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """The identities that the person whom a verified ID token names has linked."""
    return frozenset(said["sub"] for said in (claims, *(claims.get("identity_set") or ())))


def usernames_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """How they are called: ``name@provider``, which the provider vouches for.

    Not their e-mail addresses, which at Globus are neither unique nor verified.
    """
    said = {
        one.get("preferred_username") or one.get("username") for one in (claims, *(claims.get("identity_set") or ()))
    }
    return frozenset(name for name in said if name)


def groups_of(token: Mapping[str, Any]) -> frozenset[str]:
    """The Globus groups of which the person who has just signed in is an active member, as ``group:ID``.

    :param token: Globus's answer, with a token for its Groups service where that was asked for.
    """
    for other in token.get("other_tokens") or ():
        if other["resource_server"] == GroupsScopes.resource_server:
            authorizer = globus_sdk.AccessTokenAuthorizer(other["access_token"])
            with globus_sdk.GroupsClient(authorizer=authorizer) as client:
                return frozenset(
                    f"{GROUP}{group['id']}" for group in client.get_my_groups(query_params={"statuses": "active"})
                )
    return frozenset()


def _is_sub(username: str) -> bool:
    """Whether a user came from Globus, whose people are named by UUIDs."""
    try:
        return str(UUID(username)) == username
    except ValueError:
        return False


def _listed(settings: Settings) -> frozenset[str]:
    return settings.airflow_admins | settings.airflow_operators | settings.airflow_viewers


class GlobusAuthView(CustomAuthOAuthView):
    """FAB's pages of the sign-in, with Globus's callback at the one address that is registered there."""

    title = "Sign in to Airflow"
    invalid_login_message = "This Globus account may not use Airflow on this server. Its operator can change that."

    @expose("/login/")
    @expose("/login/<provider>")
    def login(self, provider: str | None = None) -> Response:
        """Off to Globus; from another spelling of this address first to the one that the cookie and Globus know."""
        public = urlsplit(conf.get("api", "base_url"))
        if request.host != public.netloc:
            query = f"?{request.query_string.decode()}" if request.query_string else ""
            return redirect(f"{public.scheme}://{public.netloc}{request.script_root}{request.path}{query}")
        return super().login(provider)


class GlobusSecurityManager(FabAirflowSecurityManagerOverride):
    """Users by Globus ``sub``, each with the role that the settings give, or none."""

    authoauthview = GlobusAuthView

    def set_oauth_session(self, provider: str, oauth_response: Mapping[str, Any]) -> None:
        """Keep nothing: FAB would put the Globus access token into the session."""

    def get_oauth_user_info(self, provider: str, resp: Mapping[str, Any]) -> dict[str, Any]:
        """Who has signed in, by the verified ID token, and as what."""
        claims = resp.get("userinfo")
        if provider != PROVIDER or not claims or not claims.get("sub"):
            return {}
        settings: Settings = current_app.config["GAS_SETTINGS"]
        names = subs_of(claims) | usernames_of(claims) | groups_of(resp)
        first, _, last = (claims.get("name") or claims["sub"]).partition(" ")
        return {
            "username": claims["sub"],
            "subs": subs_of(claims),
            "role": role_of(names, settings),
            "first_name": first[:64],
            "last_name": last[:64],
            "email": (claims.get("email") or "").lower(),
        }

    def auth_user_oauth(self, userinfo: Mapping[str, Any], rotate_session_id: bool = True) -> User | None:
        """The user for a person who has just proved who they are; ``None`` for whom no list names.

        Whose name was taken off the lists loses the role here too, in sessions that are open elsewhere.
        """
        if not userinfo:
            return None
        user = self._known(userinfo)
        role = self.find_role(userinfo["role"]) if userinfo["role"] else None
        if user is not None and user.roles != ([role] if role else []):
            user.roles = [role] if role else []
            self.update_user(user)
        if role is None or (user is not None and not user.is_active):
            log.warning("sign-in refused: no list of Airflow's people names %s", userinfo["username"])
            return None
        user = user or self.add_user(
            userinfo["username"],
            userinfo["first_name"],
            userinfo["last_name"],
            self._free_email(userinfo),
            role,
            hashed_password=NO_PASSWORD,
        )
        if rotate_session_id:
            self._rotate_session_id()
        self.update_user_auth_stat(user)
        return user

    def auth_user_db(self, username: str, password: str, rotate_session_id: bool = True) -> User | None:
        """A program's user, by password. Who comes from Globus has none: it would outlive their place on the lists."""
        user = self.find_user(username=username) or self.find_user(email=username)
        if user is not None and _is_sub(user.username):
            return None
        return super().auth_user_db(username, password, rotate_session_id)

    def _known(self, userinfo: Mapping[str, Any]) -> User | None:
        """Linked identities are one account, under whichever ``sub`` it was made."""
        for username in (userinfo["username"], *sorted(userinfo["subs"])):
            if user := self.find_user(username=username):
                return user
        return None

    def _free_email(self, userinfo: Mapping[str, Any]) -> str:
        """FAB's users have different addresses; Globus's need not."""
        email = userinfo["email"]
        taken = not email or self.find_user(email=email) is not None
        return f"{userinfo['username']}@globus.invalid" if taken else email
