"""A stand-in for Globus Auth: fauxbus with three people and this stack's client.

Run it with ``python -m gas.local.globus_standin``. Its control plane takes no authentication, which is why it binds to
loopback unless told otherwise, and exists for development alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gas.local.layout import Layout

ALICE = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-1111-4111-8111-111111111111"
CAROL = "33333333-1111-4111-8111-111111111111"

#: A group of Globus's with Bob in it.
OPERATORS = "55555555-1111-4111-8111-111111111111"

_GLOBUS_ID = "41143743-f3c8-4d60-bbdb-eeecaba85bd9"  # the identity providers' real ids
_CHICAGO = "0dcf5063-bffd-40f7-b403-24f97e32fa47"


def _person(username: str, name: str, email: str, organization: str | None, *, provider: str) -> dict[str, Any]:
    return {
        "username": username,
        "identity_provider": provider,
        "name": name,
        "email": email,
        "organization": organization,
    }


def seed(layout: Layout, *, environment: Mapping[str, str] = os.environ, issuer: str = "") -> dict[str, Any]:
    """What the stand-in knows at start.

    :param environment: what ``GAS_GLOBUS_CLIENT_ID``, ``GAS_GLOBUS_CLIENT_SECRET``, ``GAS_WEB_URL`` and
        ``GAS_AIRFLOW_PUBLIC_URL`` name goes before what the layout says.
    :param issuer: its own address, as browsers and services reach it; the layout's when empty.

    Alice has two linked identities; Carol has Alice's e-mail address, as Globus allows, and is another person.
    """
    secrets = layout.secrets
    client_id = environment.get("GAS_GLOBUS_CLIENT_ID") or secrets.globus_client_id
    client_secret = environment.get("GAS_GLOBUS_CLIENT_SECRET") or secrets.globus_client_secret
    web_url = environment.get("GAS_WEB_URL") or layout.web_url
    airflow_url = environment.get("GAS_AIRFLOW_PUBLIC_URL") or layout.airflow_url
    alice = "alice@uchicago.example"
    return {
        "oidc": {"issuer": issuer or layout.globus_url, "signed_token_clock": "wall"},
        "identity_providers": {_GLOBUS_ID: {"name": "Globus ID"}, _CHICAGO: {"name": "University of Chicago"}},
        "accounts": {
            ALICE: {
                "identities": {
                    ALICE: _person("alice@globusid.org", "Alice Example", alice, "UChicago", provider=_GLOBUS_ID),
                    "11111111-2222-4222-8222-222222222222": _person(
                        alice, "Alice A. Example", alice, "University of Chicago", provider=_CHICAGO
                    ),
                }
            },
            BOB: {
                "identities": {
                    BOB: _person("bob@globusid.org", "Bob Builder", "bob@lab.example", "Lab", provider=_GLOBUS_ID)
                }
            },
            CAROL: {"identities": {CAROL: _person("carol@globusid.org", "Carol", alice, None, provider=_GLOBUS_ID)}},
        },
        "groups": {OPERATORS: {"name": "GAS operators", "memberships": {BOB: {"username": "bob@globusid.org"}}}},
        "clients": {
            client_id: {
                "secret": client_secret,
                "name": "GAS",
                "redirect_uris": [
                    f"{web_url}/oauth-authorized/globus",
                    f"{airflow_url}/auth/oauth-authorized/globus",
                ],
            },
            secrets.globus_script_id: {"secret": secrets.globus_script_secret, "name": "A script that uses GAS"},
        },
    }


def main() -> None:
    """Serve until stopped."""
    from fauxbus.server import make_server
    from fauxbus.world import World

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("GAS_STATE", ".gas")))
    parser.add_argument("--base-port", type=int, default=int(os.environ.get("GAS_PORT", "8800")))
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at; who reaches it may be anybody")
    parser.add_argument("--url", default="", help="its own address, as browsers and services reach it")
    options = parser.parse_args()
    layout = Layout.of(state=options.state, base_port=options.base_port)
    world, known = World(), seed(layout, issuer=options.url)
    world.load(known)
    server = make_server(
        options.host,
        layout.globus_port,
        world=world,
        canonical_seed=known,
        control_loopback_only=ip_address(options.host).is_loopback,
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
