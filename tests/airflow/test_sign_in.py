"""Who may sign in at Airflow, and as what, from what Globus says of a person and what the settings list."""

from __future__ import annotations

import pytest

from gas.errors import SettingsError
from gas.settings import Settings
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS

SUB, AT_WORK = "11111111-1111-4111-8111-111111111111", "11111111-2222-4222-8222-222222222222"
GROUP = "group:55555555-1111-4111-8111-111111111111"
CLAIMS = {
    "sub": SUB,
    "preferred_username": "alice@globusid.org",
    "email": "boss@lab.example",
    "identity_set": [{"sub": AT_WORK, "username": "alice@uchicago.example", "email": "boss@lab.example"}],
}

pytestmark = [pytest.mark.usefixtures("airflow_home"), *AIRFLOWS_OWN_WARNINGS]


def settings(**lists: str) -> Settings:
    return Settings.of({"GAS_GLOBUS_CLIENT_ID": "id", "GAS_GLOBUS_CLIENT_SECRET": "secret", **lists})


@pytest.mark.parametrize("entry", [SUB, AT_WORK, "alice@globusid.org", "alice@uchicago.example", GROUP])
def test_each_way_to_be_listed(entry: str) -> None:
    """A sub, a username of any linked identity, or a group gives the role of its list."""
    from gas_airflow.listed import role_of, subs_of, usernames_of

    names = subs_of(CLAIMS) | usernames_of(CLAIMS) | {GROUP}
    assert role_of(names, settings(GAS_AIRFLOW_OPERATORS=f"somebody@else.example, {entry}")) == "Op"


def test_not_listed() -> None:
    """Without a list, or with an e-mail address in it, a Globus account opens nothing."""
    from gas_airflow.listed import role_of, subs_of, usernames_of

    names = subs_of(CLAIMS) | usernames_of(CLAIMS)
    assert role_of(names, settings()) is None
    assert role_of(names, settings(GAS_AIRFLOW_ADMINS="boss@lab.example")) is None


def test_highest_role() -> None:
    """Who is on several lists has the role that may do most."""
    from gas_airflow.listed import role_of

    lists = settings(GAS_AIRFLOW_VIEWERS=SUB, GAS_AIRFLOW_OPERATORS=SUB, GAS_AIRFLOW_ADMINS=GROUP)
    assert role_of(frozenset({SUB}), lists) == "Op"
    assert role_of(frozenset({SUB, GROUP}), lists) == "Admin"


def test_groups_are_asked_only_where_one_is_listed() -> None:
    """Nobody is asked to let GAS see their groups unless a list names one."""
    from gas_airflow.listed import configuration

    def scope(lists: Settings) -> str:
        return configuration(lists)["OAUTH_PROVIDERS"][0]["remote_app"]["client_kwargs"]["scope"]

    assert scope(settings(GAS_AIRFLOW_ADMINS=SUB)) == "openid email profile"
    assert "groups.api.globus.org" in scope(settings(GAS_AIRFLOW_VIEWERS=GROUP))


def test_without_a_client() -> None:
    """The API server does not start without the Globus application, and says which variables are missing."""
    from gas_airflow.listed import configuration

    with pytest.raises(SettingsError, match="GAS_GLOBUS_CLIENT_ID"):
        configuration(Settings.of({}))
