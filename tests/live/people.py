"""People who work with a running stack from a program, each with a token of their own."""

from __future__ import annotations

import re
import ssl
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import httpx

from gas.client import Client
from gas.local.globus_standin import ALICE, BOB, CAROL
from gas.login import Challenge

PEOPLE = (ALICE, BOB, CAROL)

_CALLBACK = "http://127.0.0.1:5123/callback"


class Doors(Protocol):
    """Where people reach GAS and Globus."""

    @property
    def web_url(self) -> str: ...

    @property
    def globus_url(self) -> str: ...


def client_of(layout: Doors, person: str, *, verify: ssl.SSLContext | bool = True) -> Client:
    """The API as this person: signed in with Globus, as a browser does it, and given a token, as ``gas login`` is.

    :param verify: whom to trust besides the authorities that httpx trusts, as there.
    """
    challenge = Challenge()
    asked = {
        "redirect_uri": _CALLBACK,
        "state": challenge.state,
        "code_challenge": challenge.s256,
        "code_challenge_method": "S256",
        "client_name": "the tests",
    }
    with httpx.Client(
        base_url=layout.web_url, timeout=30, trust_env=False, follow_redirects=True, verify=verify
    ) as browser:
        browser.post(f"{layout.globus_url}/_fauxbus/auth/session", json={"account": person}).raise_for_status()
        browser.get("/login/globus").raise_for_status()
        page = browser.get("/cli/authorize", params=asked).raise_for_status().text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token is not None
        form = {**asked, "decision": "allow", "csrf_token": token[1]}
        page_url = f"{layout.web_url}/cli/authorize"  # which a browser names, and over TLS is looked at
        answer = browser.post(page_url, data=form, headers={"Referer": page_url}, follow_redirects=False)
    (code,) = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
    with Client(layout.web_url) as nobody:
        given = nobody.redeem(code=code, code_verifier=challenge.verifier, redirect_uri=_CALLBACK)
    return Client(layout.web_url, token=given["access_token"])
