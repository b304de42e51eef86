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

from airflow.providers.common.compat.sdk import conf
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from airflow.providers.fab.auth_manager.views.auth_oauth import CustomAuthOAuthView
from airflow.providers.fab.www.views import redirect
from flask import current_app, request
from flask_appbuilder import expose

from gas.settings import Settings
from gas_airflow.listed import PROVIDER, groups_of, role_of, subs_of, usernames_of

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.models import User
    from werkzeug.wrappers import Response

log = logging.getLogger(__name__)

#: The hash of no password at all.
NO_PASSWORD = "!"  # noqa: S105 - says that there is none


def _is_sub(username: str) -> bool:
    """Whether a user came from Globus, whose people are named by UUIDs."""
    try:
        return str(UUID(username)) == username
    except ValueError:
        return False


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
