"""Who is a free and who is a premium user: one DynamoDB item a person, made at the first sign-in, never inferred.

``tier_version`` counts the changes, so that archive and restore can tell in their own transactions whether the tier
they acted on is still in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from gas.dynamodb import ConditionFailed, Item, Table
from gas.errors import NotFound

#: Sparse: a profile is in it exactly while one of its two flags is set.
PENDING_INDEX = "pending"
PRESENT = "y"


class Tier(StrEnum):
    """The plans."""

    FREE = "free"
    PREMIUM = "premium"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One person. Times are POSIX seconds."""

    user_id: str
    """The Globus ``sub``."""
    name: str
    email: str
    tier: Tier = Tier.FREE
    free_since: int | None = None
    """Since when the person is on the free plan; ``None`` for a premium user."""
    tier_version: int = 0
    """How often the tier has changed."""
    fanout_pending: bool = False
    """After a downgrade: the person's results have not been given their archival dates yet."""
    restore_pending: bool = False
    """After an upgrade: not everything the person has in the archive is known to be on its way back."""


class ProfilesTable:
    """Profiles by person. ``now`` gives POSIX seconds."""

    def __init__(self, table: Table, *, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._now = now

    def ensure(self, user_id: str, *, name: str, email: str, now: int | None = None) -> Profile:
        """The person's profile, made where there is none; name and e-mail follow what Globus says at each sign-in."""
        joined = int(self._now()) if now is None else now
        profile = Profile(user_id=user_id, name=name, email=email, free_since=joined)
        try:
            self._table.put_new(asdict(profile))
        except ConditionFailed as error:
            there = profile_from_item(error.item) if error.item else self.get(user_id)
            if (there.name, there.email) == (name, email):
                return there
            item = self._table.update(
                user_id,
                update="SET #name = :name, email = :email",
                condition="attribute_exists(user_id)",
                names={"#name": "name"},
                values={":name": name, ":email": email},
            )
            return profile_from_item(item)
        return profile

    def get(self, user_id: str) -> Profile:
        """The profile, read consistently.

        :raises NotFound: when the person never signed in.
        """
        item = self._table.get(user_id)
        if item is None:
            raise NotFound(f"there is no user {user_id}")
        return profile_from_item(item)

    def find_many(self, user_ids: Collection[str]) -> dict[str, Profile]:
        """The profiles that exist among these, read consistently, by person."""
        return {user_id: profile_from_item(item) for user_id, item in self._table.get_many(list(user_ids)).items()}

    def set_tier(self, user_id: str, tier: Tier) -> Profile:
        """Put the person on a plan; nothing changes where they are on it already.

        :raises NotFound: when the person never signed in.
        :raises Conflict: when the tier was changed by somebody else at the same moment.
        """
        profile = self.get(user_id)
        if profile.tier is tier:
            return profile
        free = tier is Tier.FREE
        values = {
            ":tier": tier,
            ":version": profile.tier_version,
            ":next": profile.tier_version + 1,
            ":free": free,
            ":premium": not free,
            ":since": int(self._now()) if free else None,
            ":yes": PRESENT,
        }
        try:
            item = self._table.update(
                user_id,
                update=(
                    "SET tier = :tier, tier_version = :next, fanout_pending = :free, restore_pending = :premium, "
                    "free_since = :since, pending = :yes"
                ),
                condition="tier_version = :version",
                values=values,
            )
        except ConditionFailed:
            there = self.get(user_id)
            if there.tier is tier:  # this very write, its answer lost, or another's to the same end
                return there
            raise
        return profile_from_item(item)

    def pending(self) -> Iterator[str]:
        """Who has a change of tier that was not worked off yet, from an index."""
        rows = self._table.query(
            index=PENDING_INDEX, condition="pending = :yes", values={":yes": PRESENT}, page=1000, forward=True
        )
        return (row["user_id"] for row in rows)

    def worked_off(self, profile: Profile) -> None:
        """Clear the flags of the change of tier that this profile shows; those of a later change stay."""
        with suppress(ConditionFailed):
            self._table.update(
                profile.user_id,
                update="SET fanout_pending = :no, restore_pending = :no REMOVE pending",
                condition="tier_version = :version AND attribute_exists(pending)",
                values={":no": False, ":version": profile.tier_version},
            )


def profile_from_item(item: Item) -> Profile:
    """The profile that a DynamoDB item holds; it may hold other things too, see :mod:`gas.notices_table`."""
    known = {field.name: item[field.name] for field in fields(Profile) if field.name in item}
    return Profile(**{**known, "tier": Tier(item["tier"])})
