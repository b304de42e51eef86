"""``gas notices show, set, test, secret``: how the person who is signed in is told of their jobs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gas.cli.server import EXIT_CODES, JsonOption, ServerOption, connect, print_json, printable, say
from gas.errors import Unavailable

if TYPE_CHECKING:
    from gas.client import NoticesJson


class Kind(StrEnum):
    """What there is to be told of."""

    ENDED = "ended"
    ARCHIVE = "archive"
    RESTORED = "restored"
    CHANGED = "changed"


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    group = typer.Typer(no_args_is_help=True, help="Mail and webhooks: what you are told of, and how.")
    for name, command in (("show", show), ("set", change), ("test", trial), ("secret", secret)):
        group.command(name, epilog=EXIT_CODES)(command)
    app.add_typer(group, name="notices", rich_help_panel="A GAS server")


def show(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show of what you get mail, where your webhook is, and what failed last."""
    with connect(server) as client:
        wishes = client.notices()
    if as_json:
        print_json(wishes)
    else:
        _print(wishes)


def change(
    *,
    mail: Annotated[
        list[Kind] | None, typer.Option(help="Get mail of this: ended, archive, restored, changed. May be repeated.")
    ] = None,
    no_mail: Annotated[list[Kind] | None, typer.Option(help="Get no mail of this. May be repeated.")] = None,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="Where everything is posted, as JSON.")] = None,
    no_webhook: Annotated[bool, typer.Option("--no-webhook", help="Post nothing any more.")] = False,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what is given, and leave the rest. A new webhook's secret is shown this once.

    Needs a sign-in by `gas login`.
    """
    if webhook and no_webhook:
        raise typer.BadParameter("give --webhook or --no-webhook, not both")
    with connect(server) as client:
        before = client.notices()
        by_mail = before["mail"] | {kind.value: True for kind in mail or ()} | {k.value: False for k in no_mail or ()}
        changed = client.change_notices(
            mail=by_mail, webhook_url=None if no_webhook else webhook or before["webhook_url"]
        )
    if as_json:
        print_json(changed)
        return
    _print(changed)
    if changed["webhook_secret"]:
        say("The webhook's secret, which is not shown again:")
        typer.echo(changed["webhook_secret"])


def trial(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Send a letter, and a request to your webhook, that only show that they arrive."""
    with connect(server) as client:
        told = client.test_notices()
    if as_json:
        print_json(told)
    else:
        for name, sent in (("mail", told["mail"]), ("webhook", told["webhook"])):
            typer.echo(f"{name}: {'none' if sent is None else 'sent' if sent['sent'] else sent['detail']}")
    if any(sent and not sent["sent"] for sent in (told["mail"], told["webhook"])):
        raise Unavailable("not everything arrived")


def secret(*, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Make another secret for your webhook, which is shown this once; the one before is worthless at once."""
    with connect(server) as client:
        made = client.renew_webhook_secret()
    if as_json:
        print_json({"webhook_secret": made})
    else:
        typer.echo(made)


def _print(wishes: NoticesJson) -> None:
    wanted = ", ".join(kind for kind, wanted in wishes["mail"].items() if wanted) or "nothing"
    typer.echo(f"mail     {wanted}, to {printable(wishes['email'] or 'no address: none is sent')}")
    typer.echo(f"webhook  {printable(wishes['webhook_url'] or 'none')}")
    failure = wishes["failure"]
    if failure:
        typer.echo(f"failed   {failure['time']} {failure['channel']}: {printable(failure['sentence'])}")
