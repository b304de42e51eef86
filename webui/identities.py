"""What Globus said of a person at their last sign-in: the identities they have linked, and where they work."""

from __future__ import annotations

from collections.abc import Sequence

from flask_appbuilder.security.sqla.models import User
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webui.database import LinkedIdentity
from webui.globus import Identity

#: Identities kept of a person, and characters of what is said of each.
MOST = 50
LENGTH = 200


def keep(transaction: Session, user: User, linked: Sequence[Identity]) -> None:
    """Put these in the place of what was known of the user's identities; the caller commits."""
    transaction.execute(delete(LinkedIdentity).where(LinkedIdentity.ab_user_id == user.id))
    transaction.add_all(
        LinkedIdentity(
            ab_user_id=user.id,
            position=position,
            sub=identity.sub[:64],
            username=identity.username[:LENGTH],
            email=identity.email[:LENGTH],
            organization=identity.organization[:LENGTH],
            provider=identity.provider[:LENGTH],
        )
        for position, identity in enumerate(linked[:MOST])
    )


def of_user(transaction: Session, user: User) -> Sequence[LinkedIdentity]:
    """The user's identities as Globus ordered them; none for somebody who has only ever come with a token."""
    theirs = select(LinkedIdentity).where(LinkedIdentity.ab_user_id == user.id)
    return transaction.scalars(theirs.order_by(LinkedIdentity.position)).all()


def institution(linked: Sequence[LinkedIdentity]) -> str:
    """Where the person works: what the first identity that says so says; empty where none does."""
    return next((identity.organization for identity in linked if identity.organization), "")
