"""How often one person, or one address of nobody known, may call the API.

The counting is that of the library ``limits``: a sliding window, so that a full limit fills up again bit by bit. With
``memory://`` each process of the server counts for itself; processes that are to count together share a Redis.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request
from flask_login import current_user
from limits import parse
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from gas.errors import SettingsError, TooManyRequests
from gas.settings import Settings
from webui.access import is_api

log = logging.getLogger(__name__)

EXTENSION = "gas-limits"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a caller stands after a call."""

    passed: bool
    remaining: int
    reset_s: int
    """Until there is more."""


class Limits:
    """A limit, and where calls are counted."""

    def __init__(self, rate: str, storage: str) -> None:
        """
        :param rate: such as ``600/minute``.
        :param storage: such as ``memory://`` or ``redis://host:6379``.
        :raises SettingsError: when there is no such storage.
        """
        self._item = parse(rate)
        try:
            counts = storage_from_string(storage, wrap_exceptions=True)
        except (ConfigurationError, StorageError) as error:
            raise SettingsError(f"GAS_RATE_LIMIT_STORAGE cannot be used: {error}") from error
        self._window = SlidingWindowCounterRateLimiter(counts)

    @property
    def amount(self) -> int:
        """Calls in a window."""
        return self._item.amount

    @property
    def window_s(self) -> int:
        """The length of the window, in seconds."""
        return self._item.get_expiry()

    def count(self, caller: str) -> Standing:
        """Count a call."""
        passed = self._window.hit(self._item, caller)
        stats = self._window.get_window_stats(self._item, caller)
        left_s = math.ceil(stats.reset_time - time.time())
        return Standing(passed=passed, remaining=stats.remaining if passed else 0, reset_s=max(left_s, 1))


def install(app: Flask, settings: Settings) -> None:
    """Count the calls of the API, where the settings limit them."""
    app.extensions[EXTENSION] = limits_of(settings)
    app.before_request(_count)
    app.after_request(_tell)


def limits_of(settings: Settings) -> Limits | None:
    """The limit that the settings ask for."""
    if not settings.rate_limit:
        return None
    return Limits(settings.rate_limit, settings.rate_limit_storage.get_secret_value())


def _count() -> None:
    limits: Limits | None = current_app.extensions[EXTENSION]
    if limits is None or not is_api(request):
        return
    caller = f"person:{current_user.username}" if current_user.is_authenticated else f"address:{request.remote_addr}"
    try:
        g.standing = standing = limits.count(caller)
    except StorageError as error:  # counting is no reason to turn everybody away
        log.warning("calls are not counted: %s", error)
        return
    if not standing.passed:
        refusal = TooManyRequests(
            f"More than {limits.amount} calls in {limits.window_s} s: wait {standing.reset_s} s, then call again."
        )
        refusal.retry_after_s = standing.reset_s
        raise refusal


def _tell(response: Response) -> Response:
    limits: Limits | None = current_app.extensions[EXTENSION]
    standing: Standing | None = g.get("standing")
    if limits is not None and standing is not None:
        response.headers["RateLimit-Limit"] = str(limits.amount)
        response.headers["RateLimit-Remaining"] = str(standing.remaining)
        response.headers["RateLimit-Reset"] = str(standing.reset_s)
        response.headers["RateLimit-Policy"] = f"{limits.amount};w={limits.window_s}"
    return response
