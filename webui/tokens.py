"""API tokens (``gas_...``), what they may do, and the one-time codes that a command line gets them with.

The flow is OAuth's for native apps (RFC 8252): the browser is sent back to a loopback port with a code, and the program
exchanges code and PKCE verifier for the token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from flask_appbuilder.security.sqla.models import User
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from gas.errors import Conflict, InputError, NotAllowed
from webui.database import ApiToken, LoginCode, digest

TOKEN_PREFIX = "gas_"  # noqa: S105 - how a token begins, not a token
TOKEN_LIFETIME = timedelta(days=30)
CODE_LIFETIME = timedelta(seconds=60)
#: How long a token can be made to last, in days.
DAYS = (7, 30, 90, 365)
NAME_LENGTH = 100
#: Tokens of one person that are good at the same time.
MOST = 50
#: Last use is written at most this often, so that a polling client does not write at each poll.
LAST_USE_STEP = timedelta(minutes=1)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Scope(StrEnum):
    """What a token may do."""

    READ = "read"
    """See, explore and download one's own jobs; change nothing."""
    JOBS = "jobs"
    """Everything about one's own jobs; ``read`` is part of it."""
    ACCOUNT = "account"
    """The plan, the settings and the tokens of the account. Only ``gas login`` gets it, through a signed-in browser."""


#: What a person can give to a token they make.
SCOPES = (Scope.READ, Scope.JOBS)
#: What the token of ``gas login`` may do.
LOGIN_SCOPES = frozenset({Scope.JOBS, Scope.ACCOUNT})
#: What a Globus access token may do: whoever has one can run jobs, and take over nothing.
GLOBUS_SCOPES = frozenset({Scope.JOBS})


class WrongScope(NotAllowed):
    """The token is good, and not for this."""

    kind = "scope"

    def __init__(self, needed: Scope) -> None:
        what_to_do = (
            "sign in with `gas login`, or do it in the browser"
            if needed is Scope.ACCOUNT
            else f'make one with the scope "{needed}" (`gas token create`, or the page of your tokens)'
        )
        super().__init__(f'This needs a token with the scope "{needed}": {what_to_do}.')
        self.needed = needed


def check(held: Collection[Scope], needed: Scope) -> None:
    """Return if a token that holds these scopes may do what needs that one.

    :raises WrongScope: naming the scope that is missing.
    """
    if needed not in held and not (needed is Scope.READ and Scope.JOBS in held):
        raise WrongScope(needed)


@dataclass(frozen=True, kw_only=True)
class LoginRequest:
    """What a command line asks the signed-in person to approve."""

    redirect_uri: str
    state: str
    code_challenge: str
    client_name: str

    @property
    def origin(self) -> str:
        """Scheme, host and port that the browser is sent back to."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"


def login_request(
    *, redirect_uri: str, state: str, code_challenge: str, code_challenge_method: str, client_name: str
) -> LoginRequest:
    """Check the parameters of ``/cli/authorize``.

    :raises InputError: naming the parameter; nothing may be sent to the redirect URI then.
    """
    if not _is_loopback(redirect_uri):
        raise InputError("redirect_uri must be http:// on 127.0.0.1, localhost or [::1], with a port.")
    if code_challenge_method != "S256" or not _CHALLENGE.fullmatch(code_challenge):
        raise InputError("code_challenge must be a PKCE challenge of method S256.")
    if not 8 <= len(state) <= 200 or not state.isprintable():
        raise InputError("state must be 8 to 200 printable characters.")
    name = "".join(c for c in client_name if c.isprintable())[:100].strip() or "an unnamed computer"
    return LoginRequest(redirect_uri=redirect_uri, state=state, code_challenge=code_challenge, client_name=name)


def _is_loopback(uri: str) -> bool:
    if len(uri) > 300 or not uri.isprintable() or "\\" in uri or " " in uri:
        return False
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and not parts.fragment and not parts.query
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and bool(port) and plain


def new_code(transaction: Session, *, user: User, asked: LoginRequest) -> str:
    """A one-time code for ``user``, bound to the redirect URI and challenge of ``asked``; expired codes go."""
    now = datetime.now(UTC)
    transaction.execute(delete(LoginCode).where(LoginCode.expires_at <= now))
    code = secrets.token_urlsafe(32)
    transaction.add(
        LoginCode(
            code_digest=digest(code),
            ab_user_id=user.id,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            client_name=asked.client_name,
            expires_at=now + CODE_LIFETIME,
        )
    )
    transaction.commit()
    return code


def exchange(transaction: Session, *, code: str, code_verifier: str, redirect_uri: str) -> str:
    """The token for a code. The code is used up by the attempt, whether it succeeds or not.

    :raises InputError: in the same words for every reason, so that a guesser learns nothing.
    """
    row = transaction.execute(
        delete(LoginCode)
        .where(LoginCode.code_digest == digest(code))
        .returning(
            LoginCode.ab_user_id,
            LoginCode.redirect_uri,
            LoginCode.code_challenge,
            LoginCode.client_name,
            LoginCode.expires_at,
        )
    ).one_or_none()
    now = datetime.now(UTC)
    good = (
        row is not None
        and row.expires_at > now
        and row.redirect_uri == redirect_uri
        and _VERIFIER.fullmatch(code_verifier) is not None
        and hmac.compare_digest(_s256(code_verifier), row.code_challenge)
    )
    if not good:
        transaction.commit()
        raise InputError("The sign-in code is wrong, used or expired. Run the sign-in again.")
    token, _ = _add(
        transaction,
        user_id=row.ab_user_id,
        name=row.client_name,
        scopes=LOGIN_SCOPES,
        lifetime=TOKEN_LIFETIME,
    )
    return token


def create(transaction: Session, user: User, *, name: str, scope: str, days: int) -> tuple[str, ApiToken]:
    """A new token of the user's: itself, which is kept nowhere, and what is kept of it.

    :raises Conflict: when the person has too many.
    :raises InputError: saying what of the wishes cannot be had.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise InputError(f"a token's name is 1 to {NAME_LENGTH} characters, such as the program that is to use it")
    if scope not in SCOPES:
        raise InputError(f"a token's scope is {' or '.join(SCOPES)}, not {scope[:40]!r}")
    if days not in DAYS:
        raise InputError(f"a token is good for {', '.join(map(str, DAYS[:-1]))} or {DAYS[-1]} days, not {days}")
    now = datetime.now(UTC)
    transaction.execute(delete(ApiToken).where(ApiToken.expires_at <= now))
    if transaction.scalar(select(func.count()).where(ApiToken.ab_user_id == user.id)) >= MOST:
        raise Conflict(f"you have {MOST} tokens already; revoke one first")
    return _add(transaction, user_id=user.id, name=name, scopes={Scope(scope)}, lifetime=timedelta(days=days))


def _add(
    transaction: Session, *, user_id: int, name: str, scopes: Collection[Scope], lifetime: timedelta
) -> tuple[str, ApiToken]:
    now = datetime.now(UTC)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        token_digest=digest(token),
        ab_user_id=user_id,
        scope=" ".join(scope for scope in Scope if scope in scopes),
        client_name=name,
        created_at=now,
        expires_at=now + lifetime,
    )
    transaction.add(row)
    transaction.commit()
    return token, row


def of_user(transaction: Session, user: User) -> Sequence[ApiToken]:
    """The person's tokens that are good, the newest first."""
    good = select(ApiToken).where(ApiToken.ab_user_id == user.id, ApiToken.expires_at > datetime.now(UTC))
    return transaction.scalars(good.order_by(ApiToken.id.desc())).all()


def revoke_one(transaction: Session, user: User, token_id: int) -> bool:
    """Make one of the person's tokens worthless; whether there was one."""
    gone = transaction.execute(delete(ApiToken).where(ApiToken.id == token_id, ApiToken.ab_user_id == user.id))
    transaction.commit()
    return bool(gone.rowcount)


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def found(transaction: Session, token: str) -> ApiToken | None:
    """What is kept of this token; ``None`` for one that is unknown, revoked, expired or without any scope of ours."""
    now = datetime.now(UTC)
    row = transaction.scalar(select(ApiToken).where(ApiToken.token_digest == digest(token), ApiToken.expires_at > now))
    if row is None or not scopes_of(row):
        return None
    if row.last_used_at is None or now - row.last_used_at > LAST_USE_STEP:
        row.last_used_at = now
        transaction.commit()
    return row


def scopes_of(token: ApiToken) -> frozenset[Scope]:
    """What the token may do; words that are no scope open nothing."""
    return frozenset(Scope) & frozenset(token.scope.split())


def revoke(transaction: Session, token: str) -> bool:
    """Make the token worthless; whether there was one."""
    gone = transaction.execute(delete(ApiToken).where(ApiToken.token_digest == digest(token)))
    transaction.commit()
    return bool(gone.rowcount)
