"""A stand-in for Stripe: checkout sessions and subscriptions in memory over HTTP, and events signed as Stripe signs."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Self
from urllib.parse import parse_qsl

SECRET_KEY = "sk_test_of_the_stand_in"
WEBHOOK_SECRET = "whsec_of_the_stand_in"
PRICE = "price_premium"
PERIOD_ENDS = 1_900_000_000
PAY_PAGE = b'<!doctype html><title>Pay</title><link rel="icon" href="data:,"><h1>Pay for premium</h1>'


@dataclass
class Stripe:
    """A context manager. What it holds may be read and changed between requests."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """``METHOD /path`` of each request."""
    down: bool = False
    """Answer like a Stripe that has an outage."""
    before_answer: Callable[[str], None] | None = None
    """Called with ``METHOD /path`` when the answer is made and not yet sent."""
    _made: dict[str, dict[str, Any]] = field(default_factory=dict)
    _number: Any = field(default_factory=lambda: count(1))

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def forget(self) -> None:
        """Begin anew."""
        for held in (self.sessions, self.subscriptions, self.asked, self._made):
            held.clear()
        self.down, self.before_answer = False, None

    # What people and time do.

    def pay(self, session_id: str, status: str = "active") -> dict[str, Any]:
        """The person pays on the page of the session; the subscription that comes of it."""
        session = self.sessions[session_id]
        subscription = {
            "id": f"sub_{next(self._number)}",
            "object": "subscription",
            "customer": session["customer"] or f"cus_{next(self._number)}",
            "status": status,
            "cancel_at": None,
            "metadata": session["subscription_data"]["metadata"],
        }
        self.subscriptions[subscription["id"]] = subscription
        session |= {"status": "complete", "subscription": subscription["id"], "customer": subscription["customer"]}
        return subscription

    def event(self, kind: str, thing: dict[str, Any]) -> bytes:
        """The body of an event about ``thing`` as it is now."""
        told = {key: value for key, value in thing.items() if key != "subscription_data"}
        return json.dumps(
            {
                "id": f"evt_{next(self._number)}",
                "object": "event",
                "api_version": "2026-09-30",
                "created": int(time.time()),
                "type": kind,
                "data": {"object": told},
            }
        ).encode()

    def completed(self, session_id: str) -> bytes:
        """The event that tells of a payment."""
        return self.event("checkout.session.completed", self.sessions[session_id])

    # The API.

    def answer(self, method: str, path: str, form: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        if self.down:
            return 503, {"error": {"type": "api_error", "message": "down"}}
        match re.fullmatch(r"/v1/(checkout/sessions|subscriptions)(?:/(\w+))?(?:/(expire))?", path).groups():
            case "checkout/sessions", None, None if method == "POST":
                if key not in self._made:
                    self._made[key] = self._session(form)
                return 200, self._made[key]
            case "checkout/sessions", session_id, "expire" if self.sessions[session_id]["status"] == "open":
                self.sessions[session_id] |= {"status": "expired", "url": None}
                return 200, self.sessions[session_id]
            case "checkout/sessions", session_id, None:
                return 200, self.sessions[session_id]
            case "subscriptions", subscription_id, None:
                subscription = self.subscriptions[subscription_id]
                if method == "POST":
                    subscription["cancel_at"] = PERIOD_ENDS if form["cancel_at_period_end"] == "true" else None
                return 200, dict(subscription)
        return 400, {"error": {"type": "invalid_request_error", "message": "not possible"}}

    def _session(self, form: dict[str, Any]) -> dict[str, Any]:
        session_id = f"cs_{next(self._number)}"
        self.sessions[session_id] = {
            "id": session_id,
            "object": "checkout.session",
            "status": "open",
            "url": f"{self.url}/pay/{session_id}",
            "subscription": None,
            "customer": form.get("customer"),
            "asked": form,
            "client_reference_id": form["client_reference_id"],
            "metadata": {"gas_user_id": form["metadata[gas_user_id]"]},
            "subscription_data": {"metadata": {"gas_user_id": form["subscription_data[metadata][gas_user_id]"]}},
        }
        return self.sessions[session_id]


def signature(body: bytes, *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> str:
    """The header ``Stripe-Signature`` of a body, sent at a time in POSIX seconds, or now."""
    at = int(time.time()) if at is None else at
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _handler(stripe: Stripe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()))
            what = f"{self.command} {self.path}"
            if self.path.startswith("/pay/"):
                self._send(200, "text/html", PAY_PAGE)
                return
            stripe.asked.append(what)
            if self.headers["Authorization"] != f"Bearer {SECRET_KEY}":
                status, answer = 401, {"error": {"type": "invalid_request_error", "message": "wrong key"}}
            else:
                status, answer = stripe.answer(self.command, self.path, form, self.headers.get("Idempotency-Key"))
            body = json.dumps(answer).encode()
            if stripe.before_answer:
                stripe.before_answer(what)
            self._send(status, "application/json", body)

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _do  # the names that http.server calls

        def log_message(self, *_: object) -> None:
            return

    return Handler
