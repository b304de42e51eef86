"""What Globus Auth says about an access token that a program presents.

Globus is asked once a minute and token at most. Only the digest of a token is kept; the token itself is never logged.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import globus_sdk
from globus_sdk.transport import RetryConfig

from gas.errors import Unavailable
from webui.database import digest

#: Seconds an answer is believed: a token revoked at Globus is refused here at most this much later.
ANSWER_LIFETIME_S = 60
#: Answers kept; a flood of junk tokens pushes out old ones and cannot grow the process.
ANSWERS = 2048

#: A caller waits while Globus is asked, so it is asked again once and no more.
RETRIES = 1


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One of the identities that a person has linked at Globus, such as that of their university."""

    sub: str
    username: str
    email: str
    organization: str
    provider: str
    """Who vouches for it, by the name that people know."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody as Globus knows them."""

    sub: str
    name: str
    email: str
    identities: frozenset[str]
    """Every identity linked to the account, ``sub`` among them where Globus says so."""
    linked: tuple[Identity, ...] = ()
    """The same at length, where Globus says it: at a sign-in."""


class TokenIntrospection:
    """Asks Globus about access tokens as the confidential client that owns the scope."""

    def __init__(self, *, client_id: str, client_secret: str, scope: str) -> None:
        self._client_id, self._client_secret, self._scope = client_id, client_secret, scope
        self._answers: OrderedDict[str, tuple[float, Person | None]] = OrderedDict()
        self._lock = threading.Lock()

    def person(self, token: str) -> Person | None:
        """The person behind ``token``; ``None`` unless it is active and carries GAS's scope.

        :raises Unavailable: when Globus does not answer.
        """
        key, now = digest(token), time.monotonic()
        with self._lock:
            asked_at, person = self._answers.get(key, (None, None))
        if asked_at is not None and now - asked_at < ANSWER_LIFETIME_S:
            return person
        person = self._ask(token)
        with self._lock:
            self._answers[key] = (now, person)
            self._answers.move_to_end(key)
            while len(self._answers) > ANSWERS:
                self._answers.popitem(last=False)
        return person

    def _ask(self, token: str) -> Person | None:
        try:
            with globus_sdk.ConfidentialAppAuthClient(
                self._client_id, self._client_secret, retry_config=RetryConfig(max_retries=RETRIES, max_sleep=1)
            ) as client:
                answer = client.oauth2_token_introspect(token)
        except (globus_sdk.GlobusAPIError, globus_sdk.NetworkError) as error:
            raise Unavailable(
                "Globus does not answer, so the token cannot be checked. Try again in a minute."
            ) from error
        if not answer.get("active") or self._scope not in (answer.get("scope") or "").split():
            return None
        sub = answer["sub"]
        return Person(
            sub=sub,
            name=answer.get("name") or answer.get("username") or "",
            email=(answer.get("email") or "").lower(),
            identities=frozenset({sub}),
        )
