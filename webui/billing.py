"""What it takes to change plans: nothing, or a payment (``GAS_BILLING``)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from flask import Flask, current_app, request
from flask_appbuilder import AppBuilder, BaseView, expose
from sqlalchemy import Engine
from werkzeug.exceptions import BadRequest

from gas import subscription
from gas.errors import GasError, NotFound
from gas.profiles_table import Profile
from gas.services import Services

log = logging.getLogger(__name__)

EXTENSION = "gas-billing"


class Forged(GasError):
    """An event was not signed by who sends them, or long ago."""

    kind = "forged"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a person's plan page says of the payment."""

    paid: bool = False
    """There is a subscription that is being paid for."""
    ends_at: datetime | None = None
    """When it ends, where it has been cancelled."""


class BillingView(BaseView):
    """Where Stripe tells of payments. No cookie lends a request here anything: the signature alone counts."""

    route_base = "/billing/stripe"
    default_view = "webhook"

    @expose("/webhook", methods=("POST",))
    def webhook(self) -> tuple[str, int]:
        try:
            billing().receive(request.get_data(cache=False), request.headers.get("Stripe-Signature"))
        except Forged as error:
            log.warning("an event was refused: %s", error)
            raise BadRequest(str(error)) from error
        return "", 204


class Billing(Protocol):
    """How people change plans."""

    #: Where a person is sent to pay; empty where nobody pays.
    checkout_origin: str

    def subscribe(self, profile: Profile) -> str | None:
        """Go premium: the address to pay at, or ``None`` where nothing needs to be paid. Repeating it is safe."""
        ...

    def unsubscribe(self, profile: Profile) -> None:
        """Go back to the free plan, when what was paid for is used up. Repeating it is safe."""
        ...

    def standing(self, user_id: str) -> Standing:
        """What is known of the person's payments."""
        ...

    def receive(self, payload: bytes, signature: str | None) -> None:
        """Work off an event that came from outside.

        :raises Forged: when it did not come from who sends them.
        :raises NotFound: when nobody sends any.
        """
        ...


class Free:
    """Nobody pays: the plan changes at once."""

    checkout_origin = ""

    def __init__(self, services: Services) -> None:
        self._services = services

    def subscribe(self, profile: Profile) -> str | None:
        subscription.subscribe(self._services, profile.user_id)
        return None

    def unsubscribe(self, profile: Profile) -> None:
        subscription.unsubscribe(self._services, profile.user_id)

    def standing(self, user_id: str) -> Standing:
        return Standing()

    def receive(self, payload: bytes, signature: str | None) -> None:
        raise NotFound("nobody pays for a plan here")


def install(app: Flask, engine: Engine) -> None:
    """Give ``app`` the way of payment that its settings ask for.

    :raises SettingsError: naming the setting that is missing.
    """
    services: Services = app.extensions["gas"]
    if services.settings.billing == "none":
        app.extensions[EXTENSION] = Free(services)
        return
    from webui.billing_stripe import StripeBilling  # loads the library, which few servers need

    app.extensions[EXTENSION] = StripeBilling(services, engine, web_url=app.config["WEB_URL"])


def register(builder: AppBuilder) -> None:
    """Add the address that events come to."""
    view = builder.add_view_no_menu(BillingView)
    current_app.extensions["csrf"].exempt(view.blueprint)


def billing() -> Billing:
    """How people of this app change plans."""
    return current_app.extensions[EXTENSION]
