"""Browser sessions on the server, in PostgreSQL.

Flask-Session brings the interface; the store is our own, for three reasons: the database holds a digest and never the
id that a cookie carries, a request that was under way during a sign-out cannot bring the session back, and a request
that carries an ``Authorization`` header has no session at all, so that a cookie never lends it authority.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Request
from flask.sessions import TaggedJSONSerializer
from flask_session.base import ServerSideSession, ServerSideSessionInterface
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import cast, delete, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from webui.database import WebSession, digest

#: Bytes of randomness in a session id.
ID_BYTES = 32

#: How long a session lasts that nobody has signed in to: long enough to come back from Globus.
ANONYMOUS_LIFETIME = timedelta(hours=1)

#: Expired rows go away about once in so many requests.
CLEAN_EVERY = 1000


class JsonSerializer:
    """Sessions as tagged JSON, as Flask's own cookies are; Flask-Session's serializer would also unpickle."""

    _json = TaggedJSONSerializer()

    def encode(self, session: ServerSideSession) -> str:
        return self._json.dumps(dict(session))

    def decode(self, data: str) -> dict[str, Any]:
        return self._json.loads(data)


class GasSession(ServerSideSession):
    """A session that knows under which id it was read, ``None`` for a new one."""

    stored_as: str | None = None


class DatabaseSessions(ServerSideSessionInterface):
    """Sessions in the table ``gas_web_session``."""

    session_class = GasSession
    ttl = False

    def __init__(self, app: Flask, db: SQLAlchemy) -> None:
        self._engine = db.engine
        super().__init__(app, key_prefix="", permanent=True, sid_length=ID_BYTES, cleanup_n_requests=CLEAN_EVERY)
        self.serializer = JsonSerializer()

    def open_session(self, app: Flask, request: Request) -> GasSession:
        if "Authorization" in request.headers:
            return self.session_class(sid=self._generate_sid(self.sid_length))
        session = super().open_session(app, request)
        if session.sid == request.cookies.get(app.config["SESSION_COOKIE_NAME"]):
            session.stored_as = session.sid
        return session

    def regenerate(self, session: GasSession) -> None:
        """Give the session a new id; the old one is dead from now on, whoever holds it."""
        self._delete_session(session.sid)
        session.sid = self._generate_sid(self.sid_length)
        session.stored_as = None
        session.modified = True

    def end_all(self, user_id: int) -> None:
        """Sign the user out of every browser; a rare wish, for which all sessions are looked through."""
        theirs = cast(WebSession.data, JSONB)["_user_id"].astext == str(user_id)
        with Session(self._engine) as transaction, transaction.begin():
            transaction.execute(delete(WebSession).where(theirs))

    # The store's own short transactions: a request's work on the database is neither committed nor undone by them.

    def _retrieve_session_data(self, store_id: str) -> dict[str, Any] | None:
        query = select(WebSession.data).where(
            WebSession.id_digest == digest(store_id), WebSession.expires_at > datetime.now(UTC)
        )
        with Session(self._engine) as transaction:
            data = transaction.scalar(query)
        return None if data is None else self.serializer.decode(data)

    def _upsert_session(self, session_lifetime: timedelta, session: GasSession, store_id: str) -> None:
        signed_in = "_user_id" in session
        row = {
            "data": self.serializer.encode(session),
            "expires_at": datetime.now(UTC) + (session_lifetime if signed_in else ANONYMOUS_LIFETIME),
        }
        with Session(self._engine) as transaction, transaction.begin():
            if session.stored_as == session.sid:  # gone meanwhile means signed out: it stays gone
                transaction.execute(update(WebSession).where(WebSession.id_digest == digest(store_id)).values(row))
            else:
                transaction.execute(insert(WebSession).values(id_digest=digest(store_id), **row))

    def _delete_session(self, store_id: str) -> None:
        with Session(self._engine) as transaction, transaction.begin():
            transaction.execute(delete(WebSession).where(WebSession.id_digest == digest(store_id)))

    def _delete_expired_sessions(self) -> None:
        with Session(self._engine) as transaction, transaction.begin():
            transaction.execute(delete(WebSession).where(WebSession.expires_at <= datetime.now(UTC)))
