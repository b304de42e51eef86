"""How a person wants to be told: the page, the API and the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from typer.testing import Result

from gas.mail import Mail
from gas.notice import Channel, Kind
from gas.notices_table import Failure
from gas.services import Services
from tests.webui.conftest import ALICE, Browser

URL = "https://example.org/gas?a=b"
SECRET = re.compile(r"gaswh_[A-Za-z0-9_-]{43}")


@pytest.fixture
def mailing(app: Flask, services: Services) -> Services:
    """The same server with a sender of mail, as the stand-in for SES knows none."""
    settings = services.settings.model_copy(update={"mail_from": "gas@gas.invalid"})
    sending = replace(services, mail=Mail(services.mail._aws, settings))
    app.extensions["gas"] = sending
    yield sending
    app.extensions["gas"] = services


def saved(browser: Browser, *kinds: str, webhook_url: str = "") -> str:
    """The page after its form was sent with these boxes ticked."""
    fields = {"csrf_token": browser.csrf, "mail": list(kinds), "webhook_url": webhook_url}
    return browser.post("/account/notices", data=fields, follow_redirects=True).text


def ticked(page: str) -> set[str]:
    return set(re.findall(r'name="mail" value="(\w+)" checked', page))


def test_everything_is_told_by_mail_at_first(alice: Browser, mailing: Services) -> None:
    """Who never chose gets mail of every kind, at the address that Globus told."""
    page = alice.get("/account/notices").text
    assert ticked(page) == {"ended", "archive", "restored", "changed"}
    assert "To alice@uchicago.example" in page
    assert 'href="/account/notices" aria-current="page"' in page


def test_kinds_are_switched_off_on_the_page(alice: Browser, services: Services) -> None:
    """What is unticked and saved stays off, for this person."""
    assert "This server sends no mail" in alice.get("/account/notices").text
    page = saved(alice, "restored")
    assert "Saved." in page
    assert ticked(page) == {"restored"}
    assert services.notices.person(ALICE).wishes.no_mail == {Kind.ENDED, Kind.ARCHIVE, Kind.CHANGED}


def test_secret_is_shown_once(alice: Browser, services: Services) -> None:
    """It is on the page that answers the first address, and on no page after it; a new one is another."""
    first = SECRET.search(saved(alice, webhook_url=URL))
    assert first
    assert first[0] == services.notices.person(ALICE).wishes.webhook_secret
    page = alice.get("/account/notices").text
    assert "https://example.org/gas?a=b" in page
    assert not SECRET.search(page)
    assert not SECRET.search(saved(alice, webhook_url=URL))
    second = SECRET.search(alice.post("/account/notices/secret", data={"csrf_token": alice.csrf}).text)
    assert second
    assert second[0] != first[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "https://",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "https://example.org:port/",
        "javascript:alert(1)",
        "https://exa mple.org/",
        "https://[::1",
        f"https://example.org/{'a' * 1000}",
    ],
)
def test_address_that_cannot_be_used_is_refused(alice: Browser, services: Services, url: str) -> None:
    """It gets a sentence and is not kept."""
    wishes = {"mail": {"ended": True, "archive": True, "restored": True}, "webhook_url": url}
    answer = alice.call("PUT", "notices", json=wishes)
    assert (answer.status_code, answer.json["kind"]) == (422, "input")
    assert services.notices.person(ALICE).wishes.webhook_url == ""


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
def test_server_calls_none_of_its_own_network(alice: Browser, host: str) -> None:
    """A webhook that leads to where only this server can go is not called."""
    saved(alice, webhook_url=f"https://{host}/latest/meta-data/")
    answer = alice.call("POST", "notices/test").json
    assert answer["webhook"] == {"sent": False, "detail": "the webhook's address is not a public one"}


def test_failure_is_shown_until_the_wishes_change(alice: Browser, services: Services) -> None:
    """The person reads when which channel failed, and how."""
    services.notices.failed(ALICE, Failure(time=7, channel=Channel.WEBHOOK, sentence="the webhook answered <500>"))
    assert "the webhook answered &lt;500&gt;" in alice.get("/account/notices").text
    assert alice.call("GET", "notices").json["failure"] == {
        "time": "1970-01-01T00:00:07Z",
        "channel": "webhook",
        "sentence": "the webhook answered <500>",
    }
    saved(alice, "ended")
    assert alice.call("GET", "notices").json["failure"] is None


def test_test_says_what_went_wrong(alice: Browser, mailing: Services) -> None:
    """Where the mail service does not know the sender, the page says that no mail was sent."""
    mailing.mail._aws.ses.delete_identity(Identity="gas@gas.invalid")  # whoever else made it known
    page = alice.post("/account/notices/test", data={"csrf_token": alice.csrf}).text
    assert "No mail was sent: the mail service did not take the mail (MessageRejected)" in page
    mailing.mail._aws.ses.verify_email_identity(EmailAddress="gas@gas.invalid")
    page = alice.post("/account/notices/test", data={"csrf_token": alice.csrf}).text
    mailing.mail._aws.ses.delete_identity(Identity="gas@gas.invalid")
    assert "A test was sent to alice@uchicago.example" in page


def test_wishes_are_another_persons_no_business(alice: Browser, bob: Browser) -> None:
    """Each person sees and changes their own."""
    saved(alice, "ended", webhook_url=URL)
    assert bob.call("GET", "notices").json["webhook_url"] is None


def test_api_changes_all_at_once(alice: Browser) -> None:
    """What is put is what is read, and the secret comes with the first address alone."""
    wishes = {"mail": {"ended": False, "archive": True, "restored": False, "changed": False}, "webhook_url": URL}
    answer = alice.call("PUT", "notices", json=wishes).json
    assert SECRET.fullmatch(answer.pop("webhook_secret"))
    assert answer == alice.call("GET", "notices").json
    assert {name: answer[name] for name in wishes} == wishes
    assert alice.call("PUT", "notices", json=wishes).json["webhook_secret"] is None
    assert SECRET.fullmatch(alice.call("POST", "notices/secret").json["webhook_secret"])


def test_command_line(alice: Browser, gas: Callable[..., Result]) -> None:
    """gas notices shows and changes the same, and leaves alone what is not given."""
    made = gas("notices", "set", "--no-mail", "ended", "--webhook", URL, "--json")
    assert made.exit_code == 0
    assert SECRET.fullmatch(json.loads(made.stdout)["webhook_secret"])
    assert gas("notices", "set", "--no-mail", "archive").exit_code == 0
    shown = json.loads(gas("notices", "show", "--json").stdout)
    assert shown["mail"] == {"ended": False, "archive": False, "restored": True, "changed": True}
    assert shown["webhook_url"] == URL
    assert f"webhook  {URL}" in gas("notices", "show").stdout
    assert SECRET.fullmatch(gas("notices", "secret").stdout.strip())
    gas("notices", "set", "--no-webhook")
    tried = gas("notices", "test")
    assert tried.stdout == "mail: none\nwebhook: none\n"
    assert type(gas("notices", "secret").exception).__name__ == "InputError"
