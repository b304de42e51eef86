"""Who is to be told of what, and how each person wants it: notices in the table of jobs, wishes in that of profiles.

Two may deliver at once. Whoever claims a record's notices has them for :data:`LEASE_S`; one who dies leaves them to the
next, who tells the same thing under the same id. So nothing is lost, and little is told twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gas.dynamodb import ConditionFailed, Item, Table
from gas.errors import NotFound
from gas.job import Job, StorageState
from gas.jobs_table import INDEX_PAGE, PRESENT, job_from_item
from gas.notice import NOTICE_INDEX, Channel, Kind, Notice, notice_from_item, notice_item, to_tell
from gas.profiles_table import Profile, profile_from_item

#: How long somebody who delivers has a record's notices to himself, in seconds.
LEASE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last time that a person could not be told."""

    time: int
    channel: Channel
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a person wants to be told. Unless they said otherwise: of everything, by mail."""

    no_mail: frozenset[Kind] = frozenset()
    webhook_url: str = ""
    """Empty: none."""
    webhook_secret: str = field(default="", repr=False)
    """What its requests are signed with."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A profile, and the wishes that are kept with it."""

    profile: Profile
    wishes: Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job whose notices are this deliverer's for now."""

    job: Job
    notices: tuple[Notice, ...]


class NoticesTable:
    """Notices and wishes. ``now`` gives POSIX seconds."""

    def __init__(self, jobs: Table, profiles: Table, *, now: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._profiles = profiles
        self._now = now

    def now(self) -> int:
        """The time of the records, in POSIX seconds."""
        return int(self._now())

    # What there is to tell.

    def waiting(self, *, limit: int) -> list[tuple[str, str]]:
        """Owner and id of at most so many jobs with something to tell by now, longest waiting first, from an index."""
        rows = self._jobs.query(
            index=NOTICE_INDEX,
            condition="notice = :yes AND notice_at <= :now",
            values={":yes": PRESENT, ":now": self.now()},
            page=min(limit, INDEX_PAGE),
            forward=True,
        )
        return [(row["user_id"], row["job_id"]) for row in islice(rows, limit)]

    def claim(self, job_id: str) -> Claim | None:
        """Take what there is to tell of a job; ``None`` where there is nothing by now, or somebody else has it."""
        now = self.now()
        try:
            item = self._jobs.update(
                job_id,
                update="SET notice_at = :lease",
                condition=(
                    "notice = :yes AND notice_at <= :now AND "
                    "(attribute_not_exists(storage_state) OR storage_state <> :deleting)"
                ),
                values={
                    ":lease": now + LEASE_S,
                    ":yes": PRESENT,
                    ":now": now,
                    ":deleting": StorageState.DELETING,
                },
            )
        except ConditionFailed:
            return None
        return Claim(job=job_from_item(item), notices=_notices(item))

    def settle(self, claim: Claim, left: Sequence[Notice], *, next_at: int) -> None:
        """Put back what is left to tell of a claimed job, and forget the rest; what came in meanwhile stays.

        :param next_at: when to try again, in POSIX seconds.
        """
        seen, keep = claim.notices, tuple(left)
        while True:
            values: dict[str, Any] = {":seen": [notice_item(notice) for notice in seen]}
            if keep:
                update = "SET notices = :left, notice_at = :next"
                values |= {":left": [notice_item(notice) for notice in keep], ":next": next_at}
            else:
                update = "REMOVE notices, notice, notice_at"
            try:
                self._jobs.update(claim.job.job_id, update=update, condition="notices = :seen", values=values)
            except ConditionFailed as error:
                seen = _notices(error.item or {})
                new = tuple(notice for notice in seen if not any(notice.same(old) for old in claim.notices))
                still = tuple(notice for notice in left if any(notice.same(there) for there in seen))
                if not seen or (keep == still + new and seen == keep):
                    return  # the job is gone, or this very write was applied and its answer lost
                keep = still + new
                next_at = min([next_at, *(notice.time for notice in new)])
            else:
                return

    def warn(self, job: Job, *, moves_at: int) -> bool:
        """Have the owner told that this HOT result moves to the archive then; once for each such time.

        :returns: whether it was not told before.
        """
        tell, notice = to_tell(Kind.ARCHIVE, self.now())
        try:
            self._jobs.update(
                job.job_id,
                update=f"SET warned = :moves, {tell}",
                condition=(
                    "storage_state = :hot AND due_since = :seen AND (attribute_not_exists(warned) OR warned <> :moves)"
                ),
                values={**notice, ":moves": moves_at, ":hot": StorageState.HOT, ":seen": job.due_since},
            )
        except ConditionFailed:
            return False
        return True

    # How it is told.

    def person(self, user_id: str) -> Person:
        """The profile and the wishes, read consistently.

        :raises NotFound: when the person never signed in.
        """
        item = self._profiles.get(user_id)
        if item is None:
            raise NotFound(f"there is no user {user_id}")
        return _person(item)

    def persons(self, user_ids: Sequence[str]) -> dict[str, Person]:
        """Those of the people who are known, by id."""
        return {user_id: _person(item) for user_id, item in self._profiles.get_many(user_ids).items()}

    def wish(self, user_id: str, *, no_mail: frozenset[Kind], webhook_url: str, new_secret: str) -> Wishes:
        """Remember how the person wants to be told; what failed before is forgotten.

        :param new_secret: kept where the webhook has none yet. Without a webhook none is kept.
        """
        values: dict[str, Any] = {":no_mail": sorted(no_mail)}
        if webhook_url:
            update = (
                "SET no_mail = :no_mail, webhook_url = :url, webhook_secret = if_not_exists(webhook_secret, :secret) "
                "REMOVE notice_failure"
            )
            values |= {":url": webhook_url, ":secret": new_secret}
        else:
            update = "SET no_mail = :no_mail REMOVE webhook_url, webhook_secret, notice_failure"
        return self._wish(user_id, update, values).wishes

    def replace_secret(self, user_id: str, secret: str) -> bool:
        """Sign the webhook's requests with another secret from now on; ``False`` where there is no webhook."""
        try:
            self._profiles.update(
                user_id,
                update="SET webhook_secret = :secret",
                condition="attribute_exists(webhook_url)",
                values={":secret": secret},
            )
        except ConditionFailed:
            return False
        return True

    def failed(self, user_id: str, failure: Failure) -> None:
        """Remember, for the person to see, that they could not be told."""
        said = {"time": failure.time, "channel": failure.channel.value, "sentence": failure.sentence}
        self._wish(user_id, "SET notice_failure = :failure", {":failure": said})

    def worked(self, user_id: str) -> None:
        """The channel that failed last works again."""
        self._wish(user_id, "REMOVE notice_failure", {})

    def _wish(self, user_id: str, update: str, values: Mapping[str, Any]) -> Person:
        try:
            item = self._profiles.update(user_id, update=update, condition="attribute_exists(user_id)", values=values)
        except ConditionFailed:
            raise NotFound(f"there is no user {user_id}") from None
        return _person(item)


def _notices(item: Item) -> tuple[Notice, ...]:
    return tuple(notice_from_item(said) for said in item.get("notices", ()))


def _person(item: Item) -> Person:
    failure = item.get("notice_failure")
    return Person(
        profile=profile_from_item(item),
        wishes=Wishes(
            no_mail=frozenset(Kind(name) for name in item.get("no_mail", ())),
            webhook_url=item.get("webhook_url", ""),
            webhook_secret=item.get("webhook_secret", ""),
            failure=Failure(**{**failure, "channel": Channel(failure["channel"])}) if failure else None,
        ),
    )
