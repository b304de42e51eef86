"""Links by which anybody who has one sees one result: 256 random bits each, kept as a digest, expiring, revocable.

A link names a job and its owner; it says nothing that the owner's own page would not, and leads nowhere else. With the
job it dies: one that is being deleted is not there for a link either.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from gas.errors import Conflict, InputError, NotFound
from gas.job import Job, JobStatus
from webui.database import ShareLink, digest

#: What a person can choose on the page, in days.
DAYS = (1, 7, 30, 90)
LONGEST_DAYS = 365
#: Links of one job that are good at the same time.
MOST = 50


def create(transaction: Session, job: Job, *, days: int, token: str | None = None) -> tuple[str, ShareLink]:
    """A new link to a job's result: the token, which is kept nowhere, and what is kept of it.

    :param token: 256 random bits of the caller's, who may ask for the same link again; else they are made here.
    :raises Conflict: when there is no result, or there are too many links to it.
    :raises InputError: when ``days`` is not 1 to 365.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise InputError(f"a link is good for 1 to {LONGEST_DAYS} days, not {days}")
    if job.job_status is not JobStatus.COMPLETED:
        raise Conflict(f"the job is {job.job_status}: there is no result to share")
    now = datetime.now(UTC)
    transaction.execute(delete(ShareLink).where(ShareLink.expires_at <= now))
    if token and (made := transaction.scalar(select(ShareLink).where(ShareLink.token_digest == digest(token)))):
        return token, made
    if transaction.scalar(select(func.count()).where(*_of(job))) >= MOST:
        raise Conflict(f"there are {MOST} links to this result already; revoke one first")
    token = token or secrets.token_urlsafe(32)
    link = ShareLink(
        token_digest=digest(token),
        user_id=job.user_id,
        job_id=job.job_id,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    transaction.add(link)
    transaction.commit()
    return token, link


def of_job(transaction: Session, job: Job) -> Sequence[ShareLink]:
    """The job's links that are good, the newest first."""
    good = select(ShareLink).where(*_of(job), ShareLink.expires_at > datetime.now(UTC))
    return transaction.scalars(good.order_by(ShareLink.id.desc())).all()


def revoke(transaction: Session, job: Job, link_id: int | None = None) -> int:
    """Make a link of the job worthless, or all of them; how many there were. Repeating it is safe."""
    which = [*_of(job), *([] if link_id is None else [ShareLink.id == link_id])]
    gone = transaction.execute(delete(ShareLink).where(*which))
    transaction.commit()
    return gone.rowcount


def found(transaction: Session, token: str) -> ShareLink:
    """The link with this token.

    :raises NotFound: when there is none, or no longer, in the same words.
    """
    link = transaction.scalar(
        select(ShareLink).where(ShareLink.token_digest == digest(token), ShareLink.expires_at > datetime.now(UTC))
    )
    if link is None:
        raise no_such()
    return link


def no_such() -> NotFound:
    """The one refusal there is of a link, whyever it is not good."""
    return NotFound("this link has expired, was revoked, or was never given out; ask whoever sent it for a new one")


def _of(job: Job) -> list[object]:
    return [ShareLink.job_id == job.job_id, ShareLink.user_id == job.user_id]
