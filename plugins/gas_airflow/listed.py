"""Who may sign in at Airflow, and as what: from what Globus says of a person, and what the settings list.

Knows nothing of Airflow's own code for it, which cannot be in one process with another Flask-AppBuilder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import globus_sdk.config
from flask_appbuilder.const import AUTH_OAUTH
from globus_sdk.scopes import GroupsScopes

from gas.errors import SettingsError
from gas.settings import Settings

PROVIDER = "globus"
#: How a Globus group is named among the people of a list.
GROUP = "group:"
GLOBUS_TIMEOUT_S = 10


def configuration(settings: Settings, *, manager: type | None = None) -> dict[str, Any]:
    """Flask's configuration of FAB's sign-in.

    :param manager: the class that keeps the users.
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
        "SECURITY_MANAGER_CLASS": manager,
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


def _listed(settings: Settings) -> frozenset[str]:
    return settings.airflow_admins | settings.airflow_operators | settings.airflow_viewers
