"""API tokens (``gas_...``) and the one-time codes that a command line gets them with.

The flow is OAuth's for native apps (RFC 8252): the browser is sent back to a loopback port with a code, and the program
exchanges code and PKCE verifier for the token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from flask_appbuilder.security.sqla.models import User
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gas.errors import InputError
from webui.database import ApiToken, LoginCode, digest

TOKEN_PREFIX = "gas_"  # noqa: S105 - how a token begins, not a token
TOKEN_LIFETIME = timedelta(days=30)
CODE_LIFETIME = timedelta(seconds=60)
#: The only scope there is: submit, see and download one's own jobs.
SCOPE = "jobs"
#: Last use is written at most this often, so that a polling client does not write at each poll.
LAST_USE_STEP = timedelta(minutes=1)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    transaction.add(
        ApiToken(
            token_digest=digest(token),
            ab_user_id=row.ab_user_id,
            scope=SCOPE,
            client_name=row.client_name,
            created_at=now,
            expires_at=now + TOKEN_LIFETIME,
        )
    )
    transaction.commit()
    return token


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def owner(transaction: Session, token: str) -> User | None:
    """Whose token this is; ``None`` for one that is unknown, revoked, expired or without the scope."""
    now = datetime.now(UTC)
    found = transaction.scalar(
        select(ApiToken).where(ApiToken.token_digest == digest(token), ApiToken.expires_at > now)
    )
    if found is None or SCOPE not in found.scope.split():
        return None
    if found.last_used_at is None or now - found.last_used_at > LAST_USE_STEP:
        found.last_used_at = now
        transaction.commit()
    return found.user


def revoke(transaction: Session, token: str) -> bool:
    """Make the token worthless; whether there was one."""
    gone = transaction.execute(delete(ApiToken).where(ApiToken.token_digest == digest(token)))
    transaction.commit()
    return bool(gone.rowcount)
