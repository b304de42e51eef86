"""Payment by Stripe: a person's plan follows what Stripe has confirmed, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from pydantic import SecretStr
from sqlalchemy import text
from werkzeug.test import TestResponse

from gas.errors import NotFound, SettingsError
from gas.job import new_job_id
from gas.services import Services
from tests.webui.conftest import ALICE, BOB, WEB_URL, Browser, Globus, serving
from tests.webui.stripe_standin import PERIOD_ENDS, PRICE, SECRET_KEY, WEBHOOK_SECRET, Stripe, signature
from webui import billing_stripe
from webui.app import create_app

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


@pytest.fixture(scope="module")
def stripe_server() -> Iterator[Stripe]:
    with Stripe() as stripe:
        yield stripe


@pytest.fixture(scope="module")
def built_paying_app(wired: Services, globus_server: Globus, stripe_server: Stripe) -> Iterator[Flask]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(billing_stripe, "RETRIES", 0)
        yield create_app(services=dataclasses.replace(wired, settings=paying(wired, stripe_server)))


def paying(services: Services, stripe: Stripe, **changed: Any) -> Any:
    return services.settings.model_copy(
        update={
            "billing": "stripe",
            "stripe_secret_key": SecretStr(SECRET_KEY),
            "stripe_webhook_secret": SecretStr(WEBHOOK_SECRET),
            "stripe_price": PRICE,
            "stripe_url": stripe.url,
            **changed,
        }
    )


@pytest.fixture
def stripe(stripe_server: Stripe) -> Stripe:
    stripe_server.forget()
    return stripe_server


@pytest.fixture
def paying_app(app: Flask, built_paying_app: Flask, stripe: Stripe) -> Flask:
    with built_paying_app.app_context():
        session = built_paying_app.appbuilder.session
        session.execute(text("TRUNCATE gas_stripe_account, gas_stripe_subscription, gas_stripe_event"))
        session.commit()
        session.remove()
    return built_paying_app


@pytest.fixture
def alice(paying_app: Flask, globus: Globus) -> Browser:
    browser = Browser(paying_app, globus)
    assert browser.sign_in(ALICE).status_code == 302
    return browser


def choose(browser: Browser, plan: str) -> TestResponse:
    return browser.post("/plan/", data={"plan": plan, "next": "/plan/", "csrf_token": browser.csrf})


def tell(app: Flask, body: bytes, header: str | None = None) -> int:
    """Stripe's own request; the status that it gets."""
    headers = {"Stripe-Signature": header or signature(body)}
    return app.test_client().post("/billing/stripe/webhook", base_url=WEB_URL, data=body, headers=headers).status_code


def tier(services: Services) -> tuple[str, int]:
    profile = services.profiles.get(ALICE)
    return profile.tier.value, profile.tier_version


def recorded(app: Flask) -> int:
    with app.app_context():
        return app.appbuilder.session.scalar(text("SELECT count(*) FROM gas_stripe_event"))


@pytest.fixture
def paid(alice: Browser, paying_app: Flask, stripe: Stripe, services: Services) -> dict[str, Any]:
    """Alice's subscription, which she has paid for and Stripe has confirmed."""
    choose(alice, "premium")
    (session_id,) = stripe.sessions
    subscription = stripe.pay(session_id)
    assert tell(paying_app, stripe.completed(session_id)) == 204
    assert tier(services) == ("premium", 1)
    stripe.asked.clear()
    return subscription


def test_upgrade_leads_to_the_checkout_and_changes_nothing_yet(
    alice: Browser, paying_app: Flask, stripe: Stripe, services: Services
) -> None:
    """The form is answered with Stripe's page, where the browser may go; only the confirmed payment makes premium."""
    policy = alice.get("/plan/").headers["Content-Security-Policy"]
    assert f"form-action 'self' {stripe.url};" in policy
    answer = choose(alice, "premium")
    ((session_id, session),) = stripe.sessions.items()
    assert (answer.status_code, answer.location) == (303, session["url"])
    assert session["asked"] == session["asked"] | {
        "mode": "subscription",
        "line_items[0][price]": PRICE,
        "client_reference_id": ALICE,
        "customer_email": "alice@uchicago.example",
    }
    stripe.pay(session_id)
    assert "as soon as Stripe has confirmed" in alice.get("/plan/?checkout=done").text
    assert tier(services) == ("free", 0)
    assert tell(paying_app, stripe.completed(session_id)) == 204
    assert tier(services) == ("premium", 1)
    assert "Cancel the subscription" in alice.get("/plan/?checkout=done").text


def test_other_pages_lead_to_no_other_host(alice: Browser) -> None:
    """Only the page of the plan lets a form lead to Stripe."""
    assert "form-action 'self';" in alice.get("/account/").headers["Content-Security-Policy"]


def test_api_says_where_to_pay(alice: Browser, stripe: Stripe, services: Services) -> None:
    """A program gets the address with a 202; who asks again, by page or API, gets the same page and no second one."""
    answer = alice.call("POST", "subscribe")
    assert answer.status_code == 202
    assert answer.json == {"checkout_url": next(iter(stripe.sessions.values()))["url"]}
    assert choose(alice, "premium").location == answer.json["checkout_url"]
    assert len(stripe.sessions) == 1
    assert tier(services) == ("free", 0)


def test_checkout_that_was_made_but_not_recorded_is_made_once(
    alice: Browser, paying_app: Flask, stripe: Stripe
) -> None:
    """Where the process died before it recorded the page to pay at, the next attempt gets that very page."""
    first = choose(alice, "premium").location
    with paying_app.app_context():
        paying_app.appbuilder.session.execute(text("DELETE FROM gas_stripe_account"))
        paying_app.appbuilder.session.commit()
    assert choose(alice, "premium").location == first
    assert len(stripe.sessions) == 1


def test_expired_checkout_makes_way_for_another(alice: Browser, stripe: Stripe) -> None:
    """A page to pay at that has expired is not shown again."""
    first = choose(alice, "premium").location
    next(iter(stripe.sessions.values()))["status"] = "expired"
    assert choose(alice, "premium").location not in (first, None)


def test_nobody_pays_twice_while_the_confirmation_is_on_its_way(alice: Browser, stripe: Stripe) -> None:
    """Between payment and confirmation there is nothing to pay; the person is told to wait."""
    choose(alice, "premium")
    stripe.pay(next(iter(stripe.sessions)))
    answer = choose(alice, "premium")
    assert answer.status_code == 409
    assert "about to confirm" in answer.text
    assert len(stripe.sessions) == 1


@pytest.mark.parametrize("fault", ["other secret", "other body", "old", "none", "nonsense", "no json"])
def test_forged_or_old_events_do_nothing(
    alice: Browser, paying_app: Flask, stripe: Stripe, services: Services, fault: str
) -> None:
    """What Stripe has not signed in these minutes is refused, and Stripe is not even asked."""
    choose(alice, "premium")
    (session_id,) = stripe.sessions
    stripe.pay(session_id)
    stripe.asked.clear()
    body = b"[" if fault == "no json" else stripe.completed(session_id)
    header = {
        "other secret": signature(body, secret="whsec_other"),
        "other body": signature(body + b" "),
        "old": signature(body, at=1_700_000_000),
        "none": " ",
        "nonsense": "t=x,v1=y",
        "no json": signature(body),
    }[fault]
    assert tell(paying_app, body, header) == 400
    assert tier(services) == ("free", 0)
    assert stripe.asked == []
    assert recorded(paying_app) == 0


def test_cookie_lends_an_event_nothing(alice: Browser, stripe: Stripe, services: Services) -> None:
    """A signed-in browser that another site drives to the address needs a signature like everybody else."""
    choose(alice, "premium")
    (session_id,) = stripe.sessions
    stripe.pay(session_id)
    assert alice.post("/billing/stripe/webhook", data=stripe.completed(session_id)).status_code == 400
    assert tier(services) == ("free", 0)


def test_large_bodies_are_not_read(paying_app: Flask) -> None:
    """A body of more than 64 KiB is refused before anything is made of it."""
    assert tell(paying_app, b" " * (64 * 1024 + 1)) == 413


def test_event_works_once(paid: dict[str, Any], paying_app: Flask, stripe: Stripe, services: Services) -> None:
    """Sent again, an event is acknowledged and does nothing: Stripe is not asked."""
    body = stripe.event("customer.subscription.updated", paid)
    assert tell(paying_app, body) == 204
    assert len(stripe.asked) == 1
    paid["status"] = "canceled"
    assert tell(paying_app, body) == 204
    assert len(stripe.asked) == 1
    assert tier(services) == ("premium", 1)


def test_order_of_events_does_not_matter(
    paid: dict[str, Any], paying_app: Flask, stripe: Stripe, services: Services
) -> None:
    """An old "it is active" that comes after "it has ended" makes nobody premium."""
    late = stripe.event("customer.subscription.created", paid)
    paid["status"] = "canceled"
    assert tell(paying_app, stripe.event("customer.subscription.deleted", paid)) == 204
    assert tier(services) == ("free", 2)
    assert tell(paying_app, late) == 204
    assert tier(services) == ("free", 2)


def test_events_at_the_same_moment_are_worked_off_one_after_the_other(
    paid: dict[str, Any], paying_app: Flask, stripe: Stripe, services: Services
) -> None:
    """What was asked of Stripe first is written first: a slow event does not undo what a later one found."""
    slow = stripe.event("customer.subscription.updated", paid)
    asked, go_on = threading.Event(), threading.Event()

    def hold_the_first(_: str) -> None:
        stripe.before_answer = None
        asked.set()
        assert go_on.wait(20)

    stripe.before_answer = hold_the_first
    threads = [threading.Thread(target=tell, args=(paying_app, slow))]
    threads[0].start()
    assert asked.wait(20)
    paid["status"] = "canceled"
    threads.append(
        threading.Thread(target=tell, args=(paying_app, stripe.event("customer.subscription.deleted", paid)))
    )
    threads[1].start()
    threads[1].join(0.3)  # must not get through meanwhile; it could not be seen sooner that it waits
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join()
    assert tier(services) == ("free", 2)


def test_event_is_sent_again_after_an_outage(
    alice: Browser, paying_app: Flask, stripe: Stripe, services: Services
) -> None:
    """While Stripe does not answer, an event is neither taken nor lost."""
    choose(alice, "premium")
    (session_id,) = stripe.sessions
    stripe.pay(session_id)
    body = stripe.completed(session_id)
    stripe.down = True
    assert tell(paying_app, body) == 503
    assert (tier(services), recorded(paying_app)) == (("free", 0), 0)
    stripe.down = False
    assert tell(paying_app, body) == 204
    assert (tier(services), recorded(paying_app)) == (("premium", 1), 1)


def test_crash_between_change_and_record(
    alice: Browser, paying_app: Flask, stripe: Stripe, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies with the plan changed and the event not recorded does the same again, once in effect."""
    choose(alice, "premium")
    (session_id,) = stripe.sessions
    stripe.pay(session_id)
    body = stripe.completed(session_id)
    subscribe = billing_stripe.subscription.subscribe

    def change_and_die(*arguments: Any) -> None:
        subscribe(*arguments)
        raise RuntimeError("the process dies")

    with monkeypatch.context() as patch:
        patch.setattr(billing_stripe.subscription, "subscribe", change_and_die)
        assert tell(paying_app, body) == 500
    assert (tier(services), recorded(paying_app)) == (("premium", 1), 0)
    assert tell(paying_app, body) == 204
    assert (tier(services), recorded(paying_app)) == (("premium", 1), 1)
    assert "Cancel the subscription" in alice.get("/plan/").text


def test_event_for_somebody_unknown(
    alice: Browser, paying_app: Flask, stripe: Stripe, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """Whom GAS does not know is no reason for Stripe to send again; the operator reads of it, and nobody is made up."""
    stranger = new_job_id()
    choose(alice, "premium")
    (session_id,) = stripe.sessions
    subscription = stripe.pay(session_id)
    subscription["metadata"] = {"gas_user_id": stranger}
    assert tell(paying_app, stripe.event("customer.subscription.created", subscription)) == 204
    assert "whom GAS does not know" in caplog.text
    with pytest.raises(NotFound):
        services.profiles.get(stranger)
    assert tier(services) == ("free", 0)


def test_event_that_names_another_persons_subscription(
    paid: dict[str, Any], paying_app: Flask, stripe: Stripe, services: Services, globus: Globus
) -> None:
    """A plan follows the person whom the subscription itself names."""
    Browser(paying_app, globus).sign_in(BOB)
    told = stripe.event("customer.subscription.updated", {**paid, "metadata": {"gas_user_id": BOB}})
    assert tell(paying_app, told) == 204
    assert services.profiles.get(BOB).tier == "free"


@pytest.mark.parametrize("kind", ["invoice.paid", "customer.subscription.created", "checkout.session.completed"])
def test_what_else_happens_at_stripe_is_none_of_gas_s_business(
    alice: Browser, paying_app: Flask, stripe: Stripe, kind: str
) -> None:
    """Events of other kinds, and of things that GAS has not made, are acknowledged and not looked into."""
    thing = {"id": "x_1", "object": "thing", "client_reference_id": ALICE, "subscription": "sub_x", "metadata": {}}
    assert tell(paying_app, stripe.event(kind, thing)) == 204
    assert (stripe.asked, recorded(paying_app)) == ([], 0)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("trialing", "premium"), ("past_due", "premium"), ("unpaid", "free"), ("paused", "free"), ("canceled", "free")],
)
def test_plan_follows_the_subscription(
    paid: dict[str, Any], paying_app: Flask, stripe: Stripe, services: Services, status: str, expected: str
) -> None:
    """While a failed charge is tried again the person stays premium, and no longer."""
    paid["status"] = status
    assert tell(paying_app, stripe.event("customer.subscription.updated", paid)) == 204
    assert tier(services)[0] == expected


def test_cancelling_takes_effect_when_stripe_says_so(
    alice: Browser, paid: dict[str, Any], paying_app: Flask, stripe: Stripe, services: Services
) -> None:
    """What was paid for goes on until it is used up; the page and the API say until when, and it can be taken back."""
    answer = alice.call("POST", "unsubscribe")
    assert (answer.status_code, answer.json["premium_until"], answer.json["tier"]) == (
        202,
        "2030-03-17T17:46:40Z",
        "premium",
    )
    assert paid["cancel_at"] == PERIOD_ENDS
    assert "You are premium until" in alice.get("/plan/").text
    assert choose(alice, "premium").location == "/plan/"
    assert paid["cancel_at"] is None
    choose(alice, "free")
    choose(alice, "free")
    assert tier(services) == ("premium", 1)
    paid["status"] = "canceled"
    assert tell(paying_app, stripe.event("customer.subscription.deleted", paid)) == 204
    assert tier(services) == ("free", 2)
    assert stripe.sessions.keys() != {paid["id"]}
    choose(alice, "premium")
    assert list(stripe.sessions.values())[-1]["customer"] == paid["customer"]


def test_premium_without_payment_ends_at_once(alice: Browser, stripe: Stripe, services: Services) -> None:
    """Whom an operator made premium goes back without Stripe; a page to pay at that was open is closed."""
    choose(alice, "premium")
    services.profiles.set_tier(ALICE, "premium")
    assert choose(alice, "free").location == "/plan/"
    assert tier(services) == ("free", 2)
    assert next(iter(stripe.sessions.values()))["status"] == "expired"


def test_stripe_out_of_reach(alice: Browser, stripe: Stripe, services: Services) -> None:
    """While Stripe does not answer, nothing changes, and the person is told in a sentence."""
    stripe.down = True
    answer = alice.call("POST", "subscribe")
    assert (answer.status_code, answer.json["kind"]) == (503, "unavailable")
    assert "Stripe" in answer.json["detail"]
    assert tier(services) == ("free", 0)


@pytest.mark.parametrize("name", ["secret_key", "webhook_secret", "price"])
def test_missing_setting_is_named_at_start(wired: Services, stripe: Stripe, name: str) -> None:
    """A server that is to take payment does not start without what it needs for that."""
    empty = "" if name == "price" else SecretStr("")
    settings = paying(wired, stripe, **{f"stripe_{name}": empty})
    with pytest.raises(SettingsError, match=f"GAS_STRIPE_{name.upper()} must be set"):
        billing_stripe.StripeBilling(dataclasses.replace(wired, settings=settings), None, web_url=WEB_URL)


def test_key_is_not_told_when_stripe_refuses_it(
    alice: Browser, wired: Services, stripe: Stripe, built_paying_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong key is the operator's to mend; neither log nor answer holds it."""
    settings = paying(wired, stripe, stripe_secret_key=SecretStr("sk_test_wrong"))
    with built_paying_app.app_context():
        engine = built_paying_app.appbuilder.session.get_bind()
    way = billing_stripe.StripeBilling(dataclasses.replace(wired, settings=settings), engine, web_url=WEB_URL)
    with pytest.raises(Exception, match="Tell this server's operator"):
        way.subscribe(wired.profiles.get(ALICE))
    assert "sk_test" not in caplog.text


@pytest.mark.browser
def test_account_in_a_browser(
    alice: Browser, paying_app: Flask, stripe: Stripe, services: Services, chrome: Chromium
) -> None:
    """The account's pages are clean by axe in both themes and fit a phone; a token is made, the page to pay opens."""
    complaints: list[str] = []
    with serving(paying_app) as address:
        context = chrome.new_context(base_url=address, locale="en-GB", viewport={"width": 375, "height": 800})
        context.add_cookies([{"name": "gas_session", "value": alice.cookie, "url": address}])
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page = context.new_page()
        page.goto("/account/tokens")
        page.get_by_label("Name").fill("nightly pipeline")
        page.get_by_label("May").select_option("jobs")
        page.get_by_role("button", name="Make a token").click()
        token = page.get_by_label("The token").input_value()
        assert token.startswith("gas_")
        found = []
        for path in ("", "/account/", "/plan/", "/account/tokens"):
            if path:
                page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 375
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                results = Axe().run(page, options=RULES)
                found += [results.generate_report()] if results.violations_count else []
        assert found == []
        page.get_by_role("button", name="Revoke nightly pipeline").click()
        expect(page.get_by_text("No program acts for you")).to_be_visible()
        page.goto("/plan/")
        page.get_by_role("button", name="Upgrade to premium").click()
        expect(page.get_by_role("heading", name="Pay for premium")).to_be_visible()
        assert page.url.startswith(f"{stripe.url}/pay/")
        context.close()
    assert complaints == []
