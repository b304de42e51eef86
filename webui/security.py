"""Sign-in with Globus, and who a request speaks for.

Authlib does the protocol (authorization code, PKCE, nonce, verified ID token); this module maps its outcome to a
person. The person is the Globus ``sub``, kept as the user's name. An e-mail address decides nothing: Globus's are
neither unique nor verified.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from authlib.integrations.base_client import OAuthError
from flask import Request, current_app, g, redirect, render_template, request, session
from flask_appbuilder import expose
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_appbuilder.security.sqla.models import Group, Role, User
from flask_appbuilder.security.views import AuthOAuthView, UserOAuthModelView
from flask_jwt_extended import JWTManager
from flask_login import LoginManager, current_user, login_user, logout_user
from joserfc.errors import JoseError
from requests import RequestException
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from gas.errors import GasError, NotAllowed, Unavailable
from webui import account, identities, tokens
from webui.access import is_api, safe_next
from webui.errors import answer
from webui.globus import Identity, Person

log = logging.getLogger(__name__)

ADMIN_KEY = "gas-admin"
USER_ROLE = "GAS_User"
#: The hash of no password at all.
NO_PASSWORD = "!"  # noqa: S105 - says that there is none
#: Every pattern ends with ``$``: FAB uses ``re.match``, by which ``can_show`` would also open ``can_show_all``.
ROLES = {
    USER_ROLE: [
        ["JobsView$", "can_(mine|new|one|confirm|delete)$"],
        ["ShareView$", "can_(links|share|revoke)$"],
        ["JobActionsView$", "can_(cancel|rerun|rename)$"],
        ["ExploreView$", "can_table$"],
        ["ExploreApi$", "can_(table|suggest|export)$"],
        ["PlanView$", "can_(show|change)$"],
        ["ProfileView$", "can_(show|sign_out)$"],
        ["TokensView$", "can_(listing|create|revoke)$"],
        ["(TokensApi|UsageApi|SessionsApi)$", "can_.*$"],
        ["NoticesView$", "can_(show|save|test|secret)$"],
        ["NoticesApi$", "can_.*$"],
        ["GenomeView$", "can_genome$"],
        ["ReferenceFilesApi$", "can_file$"],
        ["VariantsView$", "can_(ask|answer)$"],
        ["Changes(View|Api)$", "can_changes$"],
        ["VariantsApi$", "can_annotate$"],
        ["CommandLineView$", "can_(ask|decide)$"],
        ["(AccountApi|SubscriptionApi|ReferencesApi|UploadsApi|JobsApi|JobActionsApi|ShareApi|TokenApi)$", "can_.*$"],
        ["(WesApi|DrsApi)$", "can_.*$"],
        ["OpenApi$", "can_get$"],
        ["SwaggerView$", "can_show$"],
    ]
}


class SignInFailed(NotAllowed):
    """Globus did not vouch for the person, or the sign-in came back to another browser."""

    kind = "sign-in"


class GlobusAuthView(AuthOAuthView):
    """Sign-in and sign-out."""

    @expose("/login/")
    def login(self) -> Response | str:
        """The page that says what signing in does."""
        target = safe_next(request.args.get("next"))
        if current_user.is_authenticated:
            return redirect(target)
        return render_template("gas/login.html", next=target)

    @expose("/login/globus")
    def globus(self) -> Response:
        """Off to Globus; where to go afterwards waits in the session."""
        session["next"] = safe_next(request.args.get("next"))
        callback = f"{current_app.config['WEB_URL']}/oauth-authorized/globus"
        try:
            return self._remote().authorize_redirect(callback)
        except RequestException as error:
            raise Unavailable("Globus does not answer, so nobody can sign in. Try again in a minute.") from error

    @expose("/oauth-authorized/globus")
    def oauth_authorized(self) -> Response:
        """Back from Globus with a code, or with a refusal."""
        try:
            answer = self._remote().authorize_access_token()
        except (OAuthError, JoseError) as error:
            log.warning("sign-in refused: %s", error)
            raise SignInFailed("The sign-in with Globus was not completed. Start again from the start page.") from error
        except RequestException as error:
            raise Unavailable("Globus does not answer, so nobody can sign in. Try again in a minute.") from error
        manager = self.appbuilder.sm
        user = manager.sign_in(person_of(answer.get("userinfo")))
        target = safe_next(session.get("next"))
        session.clear()
        login_user(user)
        current_app.session_interface.regenerate(session)
        return redirect(target)

    @expose("/logout/", methods=("GET", "POST"))
    def logout(self) -> Response | str:
        """Ask on GET, sign out on POST: no link from elsewhere can sign a person out."""
        if request.method == "GET":
            return render_template("gas/logout.html") if current_user.is_authenticated else redirect("/")
        logout_user()
        session.clear()
        return redirect("/")

    def _remote(self) -> Any:  # not a property: FAB reads every attribute before there is an app
        return self.appbuilder.sm.oauth_remotes["globus"]


class PeopleView(UserOAuthModelView):
    """The people who have signed in, for operators: who, when, and whether they may come back."""

    include_route_methods = frozenset({"list", "show", "edit"})
    list_columns = ("first_name", "last_name", "username", "email", "active", "roles", "last_login")
    show_columns = list_columns
    edit_columns = ("active",)
    search_columns = ("first_name", "last_name", "username", "email", "active")


def person_of(claims: dict[str, Any] | None) -> Person:
    """The person whom a verified ID token names.

    :raises SignInFailed: when the token answer had no ID token.
    """
    if not claims or not claims.get("sub"):
        raise SignInFailed("Globus did not say who you are. Start again from the start page.")
    linked = tuple(
        Identity(
            sub=said["sub"],
            username=said.get("username") or said.get("preferred_username") or "",
            email=(said.get("email") or "").lower(),
            organization=said.get("organization") or "",
            provider=said.get("identity_provider_display_name") or "",
        )
        for said in claims.get("identity_set") or [claims]
    )
    return Person(
        sub=claims["sub"],
        name=claims.get("name") or claims.get("preferred_username") or "",
        email=(claims.get("email") or "").lower(),
        identities=frozenset({identity.sub for identity in linked} | {claims["sub"]}),
        linked=linked,
    )


class GasSecurityManager(SecurityManager):
    """Flask-AppBuilder's users and roles, with Globus as the only way in."""

    authoauthview = GlobusAuthView

    def register_views(self) -> None:
        """Sign-in for everybody and the people list for administrators; none of FAB's other security screens."""
        self.auth_view = self.authoauthview()
        self.appbuilder.add_view_no_menu(self.auth_view)
        self.user_view = self.appbuilder.add_view_no_menu(PeopleView)

    def add_user(
        self,
        username: str,
        first_name: str,
        last_name: str,
        email: str,
        role: list[Role] | Role | None = None,
        password: str = "",
        hashed_password: str = "",
        groups: list[Group] | None = None,
        commit: bool = True,
    ) -> User | bool:
        """Add a user whom no password opens: FAB would spend a quarter of a second on hashing the empty one."""
        return super().add_user(
            username, first_name, last_name, email, role, password, hashed_password or NO_PASSWORD, groups, commit
        )

    def get_user_by_id(self, pk: int) -> User | None:
        """The user with what their permissions follow from, in one query for each request instead of three."""
        roles = (joinedload(User.roles), joinedload(User.groups).joinedload(Group.roles))
        user: User | None = self.session.get(User, pk, options=roles)
        return user

    def set_oauth_session(self, provider: str, oauth_response: dict[str, Any]) -> None:
        """Keep nothing: FAB would put the Globus access token into the session."""

    def sign_in(self, person: Person) -> User:
        """The user for a person who has just proved who they are; made at their first sign-in, refreshed at others.

        :raises NotAllowed: when an operator has closed the account.
        """
        user = self._known(person)
        admin = bool(current_app.config["GAS_ADMINS"] & person.identities)
        userinfo = {
            "username": user.username if user else person.sub,
            **self._names(person, user),
            "role_keys": [ADMIN_KEY] if admin else [],
        }
        user = self.auth_user_oauth(userinfo)
        if user is None:
            raise NotAllowed("This account is closed on this server. Ask its operator.")
        for field, value in self._names(person, user).items():
            setattr(user, field, value)
        identities.keep(self.session, user, person.linked)
        self.session.commit()
        account.ensure_profile(user, email=person.email)
        return user

    def user_of_token(self, person: Person) -> User | None:
        """The user for a person whose Globus token was introspected; made at its first use. ``None`` if closed."""
        user = self._known(person)
        if user is None:
            user = self._add(person) or self.find_user(username=person.sub)  # another request may have been first
            if user is None:
                raise GasError("The account could not be made. Try again.")
            account.ensure_profile(user, email=person.email)
        return user if user.is_active else None

    def _add(self, person: Person) -> User | None:
        """Register a person while it is still being found out who asks; ``None`` when it cannot be done."""
        g.pop("user", None)  # FAB would look there for who adds the user, and come here again
        try:
            return (
                self.add_user(username=person.sub, **self._names(person, None), role=self.find_role(USER_ROLE)) or None
            )
        finally:
            g.user = current_user

    def _known(self, person: Person) -> User | None:
        """Linked identities are one account: the one made for this ``sub``, else the oldest of another of them."""
        return self.find_user(username=person.sub) or self.session.scalar(
            select(User).where(User.username.in_(person.identities)).order_by(User.id).limit(1)
        )

    def _names(self, person: Person, user: User | None) -> dict[str, str]:
        """Name and e-mail for the user record, whose e-mail column is unique while Globus's addresses are not."""
        first, _, last = person.name.partition(" ")
        holder = self.find_user(email=person.email) if person.email else None
        free = bool(person.email) and (holder is None or (user is not None and holder.id == user.id))
        email = person.email if free else f"{person.sub}@globus.invalid"
        return {"first_name": first[:64], "last_name": last[:64], "email": email}

    def create_login_manager(self, app: Any) -> LoginManager:
        manager = super().create_login_manager(app)
        manager.request_loader(self._user_of_bearer)
        return manager

    def create_jwt_manager(self, app: Any) -> JWTManager:
        """FAB's own calls look for one of its tokens where nobody is signed in; their refusal is ours."""
        manager = super().create_jwt_manager(app)
        manager.unauthorized_loader(_refuse)
        manager.invalid_token_loader(_refuse)
        return manager

    def _user_of_bearer(self, request: Request) -> User | None:
        """Whom the API's ``Authorization: Bearer`` token speaks for: a GAS token or a Globus one."""
        token = bearer_token(request)
        if token is None or not is_api(request):
            return None
        if token.startswith(tokens.TOKEN_PREFIX):
            found = tokens.found(self.session, token)
            g.token_scopes = tokens.scopes_of(found) if found else frozenset()
            return found.user if found is not None and found.user.is_active else None
        introspection = current_app.config["GLOBUS_INTROSPECTION"]
        person = introspection.person(token) if introspection else None
        g.token_scopes = tokens.GLOBUS_SCOPES
        return self.user_of_token(person) if person else None


def _refuse(reason: str) -> Response:
    return answer(HTTPStatus.UNAUTHORIZED, "Sign in first.", NotAllowed.kind)


def bearer_token(request: Request) -> str | None:
    """The token of the ``Authorization: Bearer`` header, if there is one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
