"""Payment by Stripe Checkout. A person's plan follows what Stripe says of their subscriptions, and nothing else.

Stripe tells of changes by events, which it may send twice, late and in any order. So an event is only a reason to ask:
its subscription is fetched as it is now, and the plan is set by that. Who works at one person's payments holds that
person's row meanwhile, so that what was asked first is also written first. An event that was worked off is recorded in
the same transaction, last; one whose work broke off is not, and Stripe sends it again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import stripe
from pydantic import SecretStr
from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gas import subscription
from gas.errors import Conflict, NotFound, SettingsError, Unavailable
from gas.profiles_table import Profile
from gas.services import Services
from webui.billing import Forged, Standing
from webui.database import StripeAccount, StripeEvent, StripeSubscription

log = logging.getLogger(__name__)

CHECKOUT_ORIGIN = "https://checkout.stripe.com"
#: Seconds until a request to Stripe is given up, and how often it is made again.
TIMEOUT_S = 10
RETRIES = 2
#: Seconds that a signature is believed: an event that somebody kept and sends later is refused.
TOLERANCE_S = 300
#: Stripe sends an event again for three days; by the tolerance none can come back after that.
EVENTS_KEPT = timedelta(days=30)
#: While a charge that failed is tried again (``past_due``), the person stays premium.
PAID = frozenset({"active", "trialing", "past_due"})
#: Under which name a subscription's metadata says whose it is.
PERSON = "gas_user_id"

CHECKOUT_COMPLETED = "checkout.session.completed"
SUBSCRIPTION_EVENTS = frozenset(
    f"customer.subscription.{what}" for what in ("created", "updated", "deleted", "paused", "resumed")
)


class StripeBilling:
    """How people pay by Stripe."""

    def __init__(self, services: Services, engine: Engine, *, web_url: str) -> None:
        """
        :raises SettingsError: naming the setting that is missing.
        """
        settings = services.settings
        self._services, self._engine, self._web_url = services, engine, web_url
        self._price = _needed(settings.stripe_price, "GAS_STRIPE_PRICE")
        self._webhook_secret = _needed(settings.stripe_webhook_secret, "GAS_STRIPE_WEBHOOK_SECRET")
        self.checkout_origin = _origin(settings.stripe_url) if settings.stripe_url else CHECKOUT_ORIGIN
        stripe.enable_telemetry = False  # or it tells Stripe how long its answers took
        self._stripe = stripe.StripeClient(
            _needed(settings.stripe_secret_key, "GAS_STRIPE_SECRET_KEY"),
            base_addresses={"api": settings.stripe_url.rstrip("/")} if settings.stripe_url else None,
            max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        ).v1

    # What a person does.

    def subscribe(self, profile: Profile) -> str | None:
        """Where to pay; ``None`` for who pays already, whose cancelling is taken back where there was one.

        One page to pay at is open for a person at a time, so that nobody pays twice.

        :raises Conflict: when a payment was made and Stripe has not confirmed it yet.
        :raises Unavailable: when Stripe does not answer.
        """
        with self._held(profile.user_id) as (transaction, account), _asking():
            for row in self._paid(transaction, account.user_id):
                self._set_ending(row, ends=False)
                self._follow(transaction, account, row.subscription_id)
            if self._paid(transaction, account.user_id):
                return None
            if account.checkout_id:
                there = self._stripe.checkout.sessions.retrieve(account.checkout_id).to_dict()
                if there["status"] == "open":
                    return there["url"]
                if there["status"] == "complete" and not self._known(transaction, there["subscription"]):
                    raise Conflict("your payment was made, and Stripe is about to confirm it; look again in a minute")
            made = self._checkout(profile, account)
            account.checkout_id = made["id"]
            account.checkouts += 1
            return made["url"]

    def _checkout(self, profile: Profile, account: StripeAccount) -> dict[str, Any]:
        customer = (
            {"customer": account.customer_id}
            if account.customer_id
            else {"customer_email": profile.email}
            if profile.email
            else {}
        )
        wanted = {
            "mode": "subscription",
            "line_items": [{"price": self._price, "quantity": 1}],
            "client_reference_id": profile.user_id,
            "metadata": {PERSON: profile.user_id},
            "subscription_data": {"metadata": {PERSON: profile.user_id}},
            "success_url": f"{self._web_url}/plan/?checkout=done",
            "cancel_url": f"{self._web_url}/plan/",
            **customer,
        }
        # Made but not recorded, because this process died in between, it is made by that key only once.
        asked = hashlib.sha256(repr((profile.user_id, account.checkouts, sorted(wanted.items()))).encode()).hexdigest()
        return self._stripe.checkout.sessions.create(wanted, {"idempotency_key": f"gas-{asked}"}).to_dict()

    def unsubscribe(self, profile: Profile) -> None:
        """Have the subscription end with the time that is paid for; the plan changes when Stripe says that it has.

        Who is premium without paying, by an operator's doing, goes back at once.

        :raises Unavailable: when Stripe does not answer.
        """
        with self._held(profile.user_id) as (transaction, account), _asking():
            paid = self._paid(transaction, profile.user_id)
            for row in paid:
                self._set_ending(row, ends=True)
            if not paid:
                if account.checkout_id:
                    there = self._stripe.checkout.sessions.retrieve(account.checkout_id).to_dict()
                    if there["status"] == "open":  # or a later payment there would come as a surprise
                        self._stripe.checkout.sessions.expire(account.checkout_id)
                subscription.unsubscribe(self._services, profile.user_id)

    def standing(self, user_id: str) -> Standing:
        """What is known of the person's payments, without asking Stripe."""
        with Session(self._engine) as transaction:
            paid = self._paid(transaction, user_id)
            ends = [row.ends_at for row in paid if row.ends_at]
            return Standing(paid=bool(paid), ends_at=max(ends) if paid and len(ends) == len(paid) else None)

    def _set_ending(self, row: StripeSubscription, *, ends: bool) -> None:
        if ends == (row.ends_at is not None):
            return
        now = self._stripe.subscriptions.update(row.subscription_id, {"cancel_at_period_end": ends}).to_dict()
        row.ends_at = _ends_at(now)

    # What Stripe says.

    def receive(self, payload: bytes, signature: str | None) -> None:
        """Work off an event. Repeating it is safe, and does nothing.

        :param payload: the body as it was sent.
        :param signature: the header ``Stripe-Signature``.
        :raises Forged: when it is not Stripe's, or too old.
        :raises Unavailable: when Stripe does not answer; the event is sent again then.
        """
        try:
            event = stripe.Webhook.construct_event(payload, signature, self._webhook_secret, tolerance=TOLERANCE_S)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise Forged("this is not an event that Stripe has signed within the last minutes") from error
        told = event.to_dict()
        named = _named(told)
        if named is None:
            return
        user_id, subscription_id = named
        with self._held(user_id) as (transaction, account), _asking():
            if self._first(transaction, told["id"]):
                self._follow(transaction, account, subscription_id)

    def _first(self, transaction: Session, event_id: str) -> bool:
        now = datetime.now(UTC)
        transaction.execute(delete(StripeEvent).where(StripeEvent.received_at < now - EVENTS_KEPT))
        new = insert(StripeEvent).values(event_id=event_id, received_at=now).on_conflict_do_nothing()
        return bool(transaction.execute(new).rowcount)

    def _follow(self, transaction: Session, account: StripeAccount, subscription_id: str) -> None:
        """Set the plan by what the subscription is now."""
        now = self._stripe.subscriptions.retrieve(subscription_id).to_dict()
        if _person(now) != account.user_id:
            log.error("an event names %s for subscription %s, which is not theirs", account.user_id, subscription_id)
            return
        account.customer_id = now["customer"]
        transaction.merge(
            StripeSubscription(
                subscription_id=subscription_id,
                user_id=account.user_id,
                status=now["status"],
                ends_at=_ends_at(now),
            )
        )
        transaction.flush()
        change = subscription.subscribe if self._paid(transaction, account.user_id) else subscription.unsubscribe
        try:
            change(self._services, account.user_id)
        except NotFound:  # nothing that Stripe could do better by sending it again
            log.exception("subscription %s is of %s, whom GAS does not know", subscription_id, account.user_id)

    # What is known.

    @contextmanager
    def _held(self, user_id: str) -> Iterator[tuple[Session, StripeAccount]]:
        """A transaction in which nobody else works at this person's payments."""
        with Session(self._engine) as transaction, transaction.begin():
            new = insert(StripeAccount).values(user_id=user_id, checkouts=0).on_conflict_do_nothing()
            transaction.execute(new)
            row = select(StripeAccount).where(StripeAccount.user_id == user_id).with_for_update()
            yield transaction, transaction.scalars(row).one()

    @staticmethod
    def _paid(transaction: Session, user_id: str) -> list[StripeSubscription]:
        theirs = select(StripeSubscription).where(
            StripeSubscription.user_id == user_id, StripeSubscription.status.in_(PAID)
        )
        return list(transaction.scalars(theirs))

    @staticmethod
    def _known(transaction: Session, subscription_id: Any) -> bool:
        return isinstance(subscription_id, str) and transaction.get(StripeSubscription, subscription_id) is not None


@contextmanager
def _asking() -> Iterator[None]:
    """Stripe's errors in GAS's words; the details are for the operator."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise Unavailable("Stripe does not answer, so nothing was changed. Try again in a minute.") from error
    except stripe.StripeError as error:
        # Without the traceback, whose message can hold a part of the key.
        log.error("Stripe refused: %s %s, request %s", type(error).__name__, error.code, error.request_id)  # noqa: TRY400
        raise Unavailable("Stripe refused the request, so nothing was changed. Tell this server's operator.") from error


def _named(event: dict[str, Any]) -> tuple[str, str] | None:
    """The person and the subscription that an event is about; ``None`` for one that is none of GAS's business."""
    thing = event["data"]["object"]
    user_id, subscription_id = _person(thing), None
    if event["type"] == CHECKOUT_COMPLETED and thing.get("client_reference_id") == user_id:
        subscription_id = thing.get("subscription")
    elif event["type"] in SUBSCRIPTION_EVENTS:
        subscription_id = thing["id"]
    return (user_id, subscription_id) if user_id and subscription_id else None


def _person(thing: dict[str, Any]) -> str | None:
    """Whose it is; GAS writes that on whatever it makes at Stripe."""
    return (thing.get("metadata") or {}).get(PERSON)


def _ends_at(thing: dict[str, Any]) -> datetime | None:
    return datetime.fromtimestamp(thing["cancel_at"], UTC) if thing.get("cancel_at") else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("GAS_STRIPE_URL must begin with http:// or https://")
    return f"{parts.scheme}://{parts.netloc}"


def _needed(value: str | SecretStr, variable: str) -> str:
    said = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not said:
        raise SettingsError(f"{variable} must be set where GAS_BILLING is stripe")
    return said
