"""What a person is told of: the kinds of notices, and how one is written into the record of a job. No I/O.

A notice is written in the very write that makes it true, so that none is lost and none is of something that did not
happen. A record has a list of them, and is in the index ``notices`` while there is one to deliver.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

NOTICE_INDEX = "notices"

_DELIVERIES = uuid.UUID("0d0f8f6e-52a5-4d53-9d0a-1f9ac1f0a7f4")


class Kind(StrEnum):
    """What there is to tell of."""

    ENDED = "ended"
    """A job is COMPLETED or FAILED."""
    ARCHIVE = "archive"
    """A result is about to move to the archive."""
    RESTORED = "restored"
    """A result is back from the archive."""
    CHANGED = "changed"
    """A result was annotated again, and something changed."""


class Channel(StrEnum):
    """Where it is told."""

    MAIL = "mail"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell of one job."""

    kind: Kind
    time: int
    """When it became true, in POSIX seconds."""
    tries: int = 0
    """How often a channel has failed."""
    done: frozenset[Channel] = frozenset()
    """Where it was told already."""

    def delivery_id(self, job_id: str) -> str:
        """The same at each try, so that a receiver can drop what it has seen."""
        return str(uuid.uuid5(_DELIVERIES, f"{job_id}/{self.kind}/{self.time}"))

    def told(self, channel: Channel) -> Notice:
        """The notice after this channel took it."""
        return replace(self, done=self.done | {channel})

    def same(self, other: Notice) -> bool:
        """Whether both tell of one thing, however often it was tried."""
        return (self.kind, self.time) == (other.kind, other.time)


def to_tell(kind: Kind, now: int) -> tuple[str, dict[str, Any]]:
    """The part of an update's ``SET`` that adds a notice to a job's record, and its values.

    :param now: POSIX seconds; it is to be told from then on.
    """
    return (
        "notices = list_append(if_not_exists(notices, :no_notices), :new_notices), "
        "notice = :notice_yes, notice_at = :notice_at",
        {
            ":no_notices": [],
            ":new_notices": [notice_item(Notice(kind=kind, time=now))],
            ":notice_yes": "y",
            ":notice_at": now,
        },
    )


def notice_item(notice: Notice) -> dict[str, Any]:
    """The notice as the record holds it."""
    return {
        "kind": notice.kind.value,
        "time": notice.time,
        "tries": notice.tries,
        "done": sorted(notice.done),
    }


def notice_from_item(item: Mapping[str, Any]) -> Notice:
    """The notice that a record holds."""
    return Notice(
        kind=Kind(item["kind"]),
        time=item["time"],
        tries=item["tries"],
        done=frozenset(Channel(name) for name in item["done"]),
    )
