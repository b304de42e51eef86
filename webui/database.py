"""What the web app keeps for itself: sessions, API tokens, one-time codes and links to shared results.

Jobs and plans are in DynamoDB; nothing here is needed to find them again. Of each secret only its SHA-256 is stored:
all of them are 256 random bits, so there is nothing to guess and no salt to add.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import flask_appbuilder.security.sqla.models  # noqa: F401 - the people, to whom tables here refer
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from flask_appbuilder import Model
from sqlalchemy import Connection, DateTime, Engine, ForeignKey, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from gas.errors import GasError

#: The key of the PostgreSQL advisory lock under which the schema is made; any constant of our own will do.
SCHEMA_LOCK = 0x6A5_0001

#: Where the changes of the tables lie, one file each, numbered, and the table that says which of them were made.
MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "gas_alembic_version"

#: The schema of one process's apps is made one after the other too: FAB keeps its metadata on the class.
_in_process = threading.Lock()


def digest(secret: str) -> str:
    """Hex SHA-256 of a random secret: how tokens, codes and session ids are stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


class WebSession(Model):
    """One browser session. The cookie holds the id; this row is found by the id's digest."""

    __tablename__ = "gas_web_session"
    id_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class ApiToken(Model):
    """A ``gas_...`` token of a person, shown once and kept as a digest."""

    __tablename__ = "gas_api_token"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    ab_user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"), index=True)
    scope: Mapped[str] = mapped_column(String(200))
    client_name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    user = relationship("User")


class LoginCode(Model):
    """A code that a command line exchanges for a token: once, within a minute, with the right verifier."""

    __tablename__ = "gas_login_code"
    code_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    ab_user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"))
    redirect_uri: Mapped[str] = mapped_column(String(300))
    code_challenge: Mapped[str] = mapped_column(String(43))
    client_name: Mapped[str] = mapped_column(String(100))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class LinkedIdentity(Model):
    """An identity that Globus named, at the last sign-in, as one of a person's."""

    __tablename__ = "gas_linked_identity"
    ab_user_id: Mapped[int] = mapped_column(ForeignKey("ab_user.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    sub: Mapped[str] = mapped_column(String(64))
    username: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(200))
    organization: Mapped[str] = mapped_column(String(200))
    provider: Mapped[str] = mapped_column(String(200))


class ShareLink(Model):
    """A link that shows one result to whoever has it, kept as a digest of its secret part."""

    __tablename__ = "gas_share_link"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(String(36), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class IdempotencyKey(Model):
    """A key under which a person's program asked for something to be made, and what was answered."""

    __tablename__ = "gas_idempotency_key"
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    claim: Mapped[str] = mapped_column(String(32))
    claimed_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    made_id: Mapped[str] = mapped_column(String(36))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    status: Mapped[int | None] = mapped_column(Integer)
    content_type: Mapped[str | None] = mapped_column(String(100))
    answer: Mapped[str | None] = mapped_column(Text)


class StripeAccount(Model):
    """A person at Stripe. Whoever changes what is known of them there holds this row."""

    __tablename__ = "gas_stripe_account"
    user_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(String(255))
    checkout_id: Mapped[str | None] = mapped_column(String(255))
    checkouts: Mapped[int] = mapped_column(Integer)


class StripeSubscription(Model):
    """A person's subscription at Stripe, as it was when GAS last asked."""

    __tablename__ = "gas_stripe_subscription"
    subscription_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(64), index=True)
    status: Mapped[str] = mapped_column(String(32))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class StripeEvent(Model):
    """An event of Stripe's that was worked off."""

    __tablename__ = "gas_stripe_event"
    event_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


@contextmanager
def schema_lock(engine: Engine) -> Iterator[None]:
    """Hold every other process that starts the web app on the same database until the block has ended.

    Two workers that start at once would otherwise both create the tables, the roles and the permissions.
    """
    with _in_process, engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": SCHEMA_LOCK})
        try:
            with engine.begin() as transaction:
                upgrade(transaction)
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": SCHEMA_LOCK})


class LaterDatabase(GasError):
    """The database was upgraded by a later GAS, whose changes this one does not know."""

    kind = "later-database"


def upgrade(connection: Connection, *, migrations: Path = MIGRATIONS) -> None:
    """Make FAB's tables and GAS's own, or bring them up to date; all of it or, where a step fails, nothing.

    :param connection: in a transaction, which the caller commits.
    :raises LaterDatabase: when a later GAS was here; nothing is changed then.
    """
    # FAB has no numbered changes: it makes the tables that are missing, as it does in each of its applications.
    theirs = [table for table in Model.metadata.sorted_tables if not table.name.startswith("gas_")]
    Model.metadata.create_all(connection, tables=theirs)
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes.update(connection=connection, version_table=VERSION_TABLE)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise LaterDatabase(
            "the web app's database was upgraded by a later GAS; run that one, or restore the backup from before it"
        ) from error
