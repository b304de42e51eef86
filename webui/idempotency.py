"""``Idempotency-Key``: a program that repeats a request because the answer was lost gets the first answer again.

A key is claimed before the work and answered after it, each in a short transaction of its own. Between the two the
process may die. The claim therefore holds the id that the work gives to what it makes: whoever repeats the request
takes the claim up again after :data:`LEASE` and works under the same id, and every such work is safe to repeat.

Neither the keys nor what was answered can be read from the database: of a key there is a digest, and an answer, which
may hold the address of a link, is encrypted under what the server and the caller know only together.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from cryptography.fernet import Fernet
from flask import Response, current_app, g, request
from flask_login import current_user
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from werkzeug.exceptions import BadRequest, HTTPException

from gas.errors import Conflict, GasError, InputError
from gas.job import new_job_id
from webui.database import IdempotencyKey
from webui.errors import status_of

HEADER = "Idempotency-Key"
#: Says of an answer that nothing was done for it.
REPLAYED = "Idempotency-Replayed"
LIFETIME = timedelta(hours=24)
#: How long a claim is believed that nobody has answered: longer than such work takes. Should it take longer still, two
#: are at the same work under the same id, which is safe, and the later one's answer is kept.
LEASE = timedelta(seconds=20)
KEY_CHARACTERS = 255
#: Larger answers are not kept: repeating the request does the work again, under the same id.
ANSWER_BYTES = 32 << 10
#: Rows past their time that one claim takes away.
SWEPT = 100

_CHUNK_BYTES = 1 << 20


class InProgress(Conflict):
    """The first request with this key has no answer yet."""

    kind = "idempotency-in-progress"
    retry_after_s = 1


class KeyReused(InputError):
    """The key was used for another request."""

    kind = "idempotency-key-reused"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to answer for a key."""

    key_digest: str
    token: str
    made_id: str
    """The id of what is made, whoever makes it in the end."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What was answered first."""

    status: int
    content_type: str
    body: bytes


class Keys:
    """The keys of every person."""

    def __init__(self, engine: Engine, secret: str) -> None:
        self._engine = engine
        self._secret = secret.encode()

    def claim(self, *, user_id: str, key: str, request_digest: str) -> Claim | Kept:
        """The right to do the work of a request, or the answer it had.

        :raises InProgress: when somebody is at it.
        :raises KeyReused: when the key was used for another request.
        """
        now = datetime.now(UTC)
        claim = Claim(key_digest=self._digest(user_id, key), token=secrets.token_hex(16), made_id=new_job_id())
        fresh = {
            "request_digest": request_digest,
            "claim": claim.token,
            "made_id": claim.made_id,
            "claimed_until": now + LEASE,
            "expires_at": now + LIFETIME,
            "status": None,
            "content_type": None,
            "answer": None,
        }
        self._sweep(now)
        with Session(self._engine) as transaction, transaction.begin():
            new = insert(IdempotencyKey).values(key_digest=claim.key_digest, **fresh).on_conflict_do_nothing()
            if transaction.execute(new.returning(IdempotencyKey.key_digest)).scalar():
                return claim
            row = transaction.scalar(
                select(IdempotencyKey).where(IdempotencyKey.key_digest == claim.key_digest).with_for_update()
            )
            if row is None:  # given back this very moment
                raise InProgress("A request with this Idempotency-Key has just ended. Send it again.")
            if row.expires_at <= now:
                for name, value in fresh.items():
                    setattr(row, name, value)
                return claim
            if row.request_digest != request_digest:
                raise KeyReused(f"This {HEADER} was used for another request. Use a new key for each thing to be made.")
            if row.answer is not None:
                body = self._box(user_id, key).decrypt(row.answer.encode())
                return Kept(status=row.status, content_type=row.content_type, body=body)
            if row.claimed_until > now:
                raise InProgress(f"The first request with this {HEADER} is still being worked on. Ask again.")
            row.claim, row.claimed_until = claim.token, now + LEASE
            return Claim(key_digest=claim.key_digest, token=claim.token, made_id=row.made_id)

    def keep(self, claim: Claim, *, user_id: str, key: str, kept: Kept) -> None:
        """Remember the answer, unless somebody has taken the claim over."""
        answer = self._box(user_id, key).encrypt(kept.body).decode()
        self._change(claim, status=kept.status, content_type=kept.content_type, answer=answer)

    def reopen(self, claim: Claim) -> None:
        """Let the same request be worked on again at once, under the same id."""
        self._change(claim, claimed_until=datetime.now(UTC))

    def release(self, claim: Claim) -> None:
        """Forget the key: nothing was made, so that it may come with another request."""
        with Session(self._engine) as transaction, transaction.begin():
            transaction.execute(delete(IdempotencyKey).where(*_held(claim)))

    def _change(self, claim: Claim, **values: Any) -> None:
        with Session(self._engine) as transaction, transaction.begin():
            transaction.execute(update(IdempotencyKey).where(*_held(claim)).values(**values))

    def _sweep(self, now: datetime) -> None:
        old = select(IdempotencyKey.key_digest).where(IdempotencyKey.expires_at <= now).limit(SWEPT)
        with Session(self._engine) as transaction, transaction.begin():
            transaction.execute(
                delete(IdempotencyKey).where(IdempotencyKey.key_digest.in_(old.with_for_update(skip_locked=True)))
            )

    def _digest(self, user_id: str, key: str) -> str:
        return self._derived("key", user_id, key).hex()

    def _box(self, user_id: str, key: str) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._derived("answer", user_id, key)))

    def derived_secret(self, made_id: str) -> str:
        """256 bits that follow from the id of what is made, for who knows the server's own secret."""
        return base64.urlsafe_b64encode(self._derived("secret", made_id)).rstrip(b"=").decode()

    def _derived(self, *about: str) -> bytes:
        return hmac.digest(self._secret, json.dumps(["idempotency", *about]).encode(), "sha256")


def idempotent(*, keep_answer: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a call that makes something be repeated under its ``Idempotency-Key``; stands below ``@permitted``.

    :param keep_answer: without it the repeated request is worked on again, under the same id: for answers that age.
    """

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def once(self: Any, *args: Any, **kwargs: Any) -> Any:
            key = asked_key()
            if key is None:
                return method(self, *args, **kwargs)
            user_id = current_user.username
            found = keys().claim(user_id=user_id, key=key, request_digest=request_digest())
            if isinstance(found, Kept):
                return Response(found.body, found.status, {REPLAYED: "true"}, content_type=found.content_type)
            g.idempotency_claim = found
            try:
                response = current_app.make_response(method(self, *args, **kwargs))
            except Exception as error:
                (keys().release if _made_nothing(error) else keys().reopen)(found)
                raise
            body = response.get_data()
            if keep_answer and response.status_code < HTTPStatus.MULTIPLE_CHOICES and len(body) <= ANSWER_BYTES:
                kept = Kept(status=response.status_code, content_type=response.content_type, body=body)
                keys().keep(found, user_id=user_id, key=key, kept=kept)
            else:
                keys().reopen(found)
            return response

        return once

    return mark


def made_id() -> str:
    """The id for what this request makes: the same each time that it is repeated under its key."""
    claim: Claim | None = g.get("idempotency_claim")
    return claim.made_id if claim else new_job_id()


def made_secret() -> str:
    """A random secret for what this request makes: the same each time that it is repeated under its key."""
    claim: Claim | None = g.get("idempotency_claim")
    return keys().derived_secret(claim.made_id) if claim else secrets.token_urlsafe(32)


def keys() -> Keys:
    """The keys in the web app's own database."""
    return Keys(current_app.appbuilder.session.get_bind(), current_app.config["SECRET_KEY"])


def asked_key() -> str | None:
    """The request's key; a structured header's quotes around it are optional.

    :raises BadRequest: when it is no key.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    key = given[1:-1] if len(given) >= 2 and given[0] == given[-1] == '"' else given
    if not 1 <= len(key) <= KEY_CHARACTERS or not all("!" <= c <= "~" for c in key) or '"' in key:
        raise BadRequest(f"{HEADER} must be 1 to {KEY_CHARACTERS} visible ASCII characters, such as a random UUID.")
    return key


def request_digest() -> str:
    """What makes two requests the same: verb, address, and what is sent."""
    told = [request.method, request.full_path]
    if request.mimetype == "multipart/form-data":  # its boundaries differ each time
        told += sorted(json.dumps(pair) for pair in request.form.items(multi=True))  # a part may have no name
        told += sorted(
            json.dumps([name, file.filename, _digest_of(file.stream)]) for name, file in request.files.items(multi=True)
        )
    else:
        told.append(hashlib.sha256(request.get_data()).hexdigest())
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _digest_of(stream: Any) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    stream.seek(0)
    return digest.hexdigest()


def _made_nothing(error: Exception) -> bool:
    """Whether the request was refused for what it is, so that nothing came of it."""
    if isinstance(error, HTTPException):
        return error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, GasError) and status_of(error) < HTTPStatus.INTERNAL_SERVER_ERROR


def _held(claim: Claim) -> tuple[Any, ...]:
    return IdempotencyKey.key_digest == claim.key_digest, IdempotencyKey.claim == claim.token
