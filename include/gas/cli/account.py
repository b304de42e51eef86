"""``gas login, logout, whoami, usage, subscribe, unsubscribe``: who this terminal acts for, and on which plan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gas.cli.server import (
    EXIT_CODES,
    JsonOption,
    ServerOption,
    address,
    connect,
    credentials,
    print_json,
    printable,
    say,
)

if TYPE_CHECKING:
    from gas.client import Checkout, IdentityJson


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    for command in (login, logout, whoami, usage, subscribe, unsubscribe):
        app.command(epilog=EXIT_CODES, rich_help_panel="A GAS server")(command)


def login(
    *,
    server: ServerOption = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, or only print the address to open.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Sign in through the browser, and remember the server and a token for it.

    The browser must run on this machine: it brings the answer to a port of 127.0.0.1. Scripts elsewhere set GAS_TOKEN.
    """
    import platform
    import webbrowser

    from gas.client import Client
    from gas.login import Challenge, Loopback, authorize_url

    url = address(server)
    challenge = Challenge()
    with Client(url) as client, Loopback(state=challenge.state) as loopback:
        client.check_reachable()
        page = authorize_url(
            url, redirect_uri=loopback.redirect_uri, challenge=challenge, client_name=platform.node() or "a terminal"
        )
        opened = browser and webbrowser.open(page)
        say("Approve the sign-in in the browser window that opened, or at:" if opened else "Sign in at:")
        say(f"  {page}")
        token = client.redeem(
            code=loopback.wait(), code_verifier=challenge.verifier, redirect_uri=loopback.redirect_uri
        )
    with Client(url, token=token["access_token"]) as client:
        person = client.me()
    credentials().keep(server=url, token=token["access_token"])
    say(f"Signed in at {url} as {person['name']} ({person['email']}).")
    if as_json:
        print_json({"server": url, "expires_in_s": token["expires_in"], **person})


def logout(
    *,
    server: ServerOption = None,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="First sign out of every browser, too; nothing else is done if that fails."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Revoke the stored token at the server, and forget it here."""
    from gas.client import Client
    from gas.errors import Unavailable

    url = address(server)
    if everywhere:
        with connect(server) as client:
            client.end_sessions()
        say(f"Signed out of every browser at {url}.")
    held = credentials()
    token = held.token(url)
    revoked = False
    if token is None:
        say(f"Not signed in at {url}.")
    else:
        with Client(url, token=token) as client:
            try:
                client.revoke()
                revoked = True
            except Unavailable as error:
                say(f"{error}. The token is forgotten here, but stays good at the server until it expires.")
        held.forget(server=url)
        if revoked:
            say(f"Signed out at {url}.")
    if "GAS_TOKEN" in os.environ:
        say("GAS_TOKEN is set and still used: unset it to be signed out.")
    if as_json:
        print_json({"server": url, "revoked": revoked, "everywhere": everywhere})


def whoami(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show who the commands act for, where, and what the plan allows."""
    with connect(server) as client:
        person = client.me()
    if as_json:
        print_json({"server": client.server, **person})
        return
    limit_mib = person["upload_limit_bytes"] / (1 << 20)
    typer.echo(
        f"{person['name']} ({person['email']}) at {client.server}\n"
        f"{person['tier']} plan, uploads up to {limit_mib:,.0f} MiB\n"
        f"Globus identity {person['user_id']}"
    )
    for line in (person.get("institution"), *(_identity(one) for one in person.get("identities", []))):
        if line:
            typer.echo(printable(line))


def _identity(identity: IdentityJson) -> str:
    said = [identity["username"] or identity["sub"], identity["provider"], identity["organization"]]
    return f"linked: {', '.join(filter(None, said))}"


def usage(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show what you have used this month: jobs, variants, uploads. Deleted jobs count no more."""
    with connect(server) as client:
        used = client.usage()
    if as_json:
        print_json(used)
        return
    counted, summed = ("at least " if used[bound] else "" for bound in ("jobs_at_least", "sums_at_least"))
    typer.echo(
        f"{used['month']} (UTC)\n"
        f"{counted}{used['jobs']:,} jobs, {counted}{used['completed']:,} of them completed\n"
        f"{summed}{used['variants']:,} variants annotated\n"
        f"{summed}{used['uploaded_bytes'] / (1 << 20):,.1f} MiB uploaded"
    )


def subscribe(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Go premium: everything of yours that is in the archive is brought back.

    Where premium has its price, you pay in a browser. Needs a sign-in by `gas login`.
    """
    with connect(server) as client:
        answer = client.subscribe()
    if "checkout_url" in answer:
        say("Pay in a browser, at the address below. You are premium as soon as the payment is confirmed.")
        if not as_json:
            typer.echo(cast("Checkout", answer)["checkout_url"])
    else:
        say("You are on the premium plan. What is in the archive is on its way back: `gas show JOB` tells how far.")
    if as_json:
        print_json({"server": client.server, **answer})


def unsubscribe(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Go back to the free plan: your results move to the archive after a while, and stay there.

    Needs a sign-in by `gas login`.
    """
    with connect(server) as client:
        person = client.unsubscribe()
    if "premium_until" in person:
        say(
            f"The subscription is cancelled. You are premium until {person['premium_until']}, "
            "and on the free plan after that."
        )
    else:
        say("You are on the free plan. `gas show JOB` tells when a result moves to the archive at the earliest.")
    if as_json:
        print_json({"server": client.server, **person})
