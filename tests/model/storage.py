"""The storage protocol as data: one job's result between S3 and the archive, and everybody who moves it.

Each method of :class:`Protocol` is one AWS call of one process: it changes the world in one step and says which call
comes next. What a process knows is in its :class:`Frame` and nowhere else; so a crash is a frame thrown away, and a
paused process is a frame that is not stepped for a while. The result is its VCF alone: index and table go with it.

The protocol holds for both back ends. A vault gives each cold copy an id that only the uploader knows; the Glacier
storage class keeps cold copies under a key made from the claim's token, so that they can be listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from typing import Protocol as Shape

from gas.job import JobStatus, StorageState

# Plain strings: they are hashed millions of times.
RUNNING = JobStatus.RUNNING.value
HOT = StorageState.HOT.value
ARCHIVING = StorageState.ARCHIVING.value
ARCHIVED = StorageState.ARCHIVED.value
THAWING = StorageState.THAWING.value
DELETING = StorageState.DELETING.value

VERSION, COLD, TOKEN, RETRIEVAL = range(4)
"""The kinds of ids. None is ever given twice."""


class Trash(NamedTuple):
    """What nobody may read any more and somebody must delete."""

    token: int
    archive: int | None
    versions: frozenset[int]


class Record(NamedTuple):
    """The job's item, with the fields that storage depends on."""

    state: str
    hot: int | None = 0
    """VersionId of the VCF; history in ARCHIVED and THAWING."""
    due_since: int | None = 0
    token: int | None = None
    """``archive_token``."""
    archive: int | None = None
    """``archive_id``."""
    retrieval: int | None = None
    """``retrieval_job_id``."""
    trash: Trash | None = None
    cleared: bool = False
    """``s3_deleted`` of an ARCHIVED record; of one that is DELETING, that it was swept and is a tombstone now."""


class Profile(NamedTuple):
    """The owner's item."""

    premium: bool = False
    free_since: int | None = 0
    tier_version: int = 0
    fanout_pending: bool = False
    restore_pending: bool = False


class World(NamedTuple):
    """Everything outside the processes."""

    record: Record | None = Record(HOT)
    profile: Profile = Profile()
    versions: frozenset[int] = frozenset({0})
    """Versions of the result in S3."""
    cold: frozenset[tuple[int, int]] = frozenset()
    """Cold copies: id, and the token of the claim they were made under."""
    retrievals: frozenset[tuple[int, int]] = frozenset()
    """Retrievals that can be read: id, and of which cold copy."""
    clock: int = 1
    delay: int = 1
    restore_submitted: bool = False
    ids: tuple[int, int, int, int] = (1, 0, 0, 0)
    """The next id of each kind."""
    excused: frozenset[int] = frozenset()
    """Cold copies whose maker died, or lost the answer, before the record could name them. No process sees this."""
    strays: frozenset[int] = frozenset()
    """Versions put by a thaw that died for good before it learnt that another had been faster."""

    def due(self, since: int | None) -> bool:
        """Whether a full delay has passed."""
        return since is not None and since + self.delay <= self.clock

    def fresh(self, kind: int) -> tuple[int, World]:
        """An id that was never used."""
        made = self.ids[kind]
        return made, self._replace(ids=(*self.ids[:kind], made + 1, *self.ids[kind + 1 :]))


class Frame(NamedTuple):
    """What one process knows: its next call, what it read, what it made."""

    call: str
    seen: Record | None = None
    made: int | None = None
    """The copy, version or retrieval that this process made and no record names yet."""
    token: int | None = None
    """The token this process claims with."""
    tier: tuple[bool, int] | None = None
    """premium and tier_version, as read; ``None`` where they do not matter (any more)."""
    since: int | None = None
    """``free_since``, as read."""
    listed: frozenset[int] = frozenset()
    """Versions, or cold copies where those are tidied, that a list showed."""
    copies: frozenset[tuple[int, int]] = frozenset()
    """Cold copies that an inventory showed."""
    back: str | None = None
    """Where to go on after a piece of work that several processes share."""
    rerun: bool = False
    """Whether an earlier process may have done part of the work."""

    def to(self, call: str, **known: object) -> Frame:
        """The next call; what is not named is remembered."""
        return self._replace(call=call, **known)


Step = tuple[World, Frame | None]
"""The world afterwards, and the process; ``None`` when it has ended."""


class Call(Shape):
    """One AWS call of a process. ``None``: it cannot be made yet."""

    def __call__(self, world: World, frame: Frame) -> Step | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What makes the protocol safe. Each can be left out, to see what goes wrong."""

    tier_checked_at_commit: bool = True
    delay_checked_at_commit: bool = True
    claims_have_tokens: bool = True
    claim_asks_for_no_trash: bool = True
    hot_deleted_after_commit: bool = True
    deletes_name_the_version: bool = True
    refusal_is_looked_into: bool = True
    conflict_is_no_refusal: bool = True
    restorer_takes_archiving: bool = True
    restore_flag_cleared_last: bool = True
    flag_cleared_by_version: bool = True
    expiry_is_noticed: bool = True
    thaw_commit_names_the_copy: bool = True
    thaw_put_spares_others: bool = True
    cold_deleted_after_commit: bool = True
    trash_is_recorded: bool = True
    sweep_lists_before_it_reads: bool = True
    fanout_flag_cleared_last: bool = True
    drop_checks_the_tier: bool = True
    record_goes_last: bool = True
    tombstone_stays: bool = True
    late_copy_is_deleted: bool = True


class Protocol:
    """The calls, by name. A process is started with the name of its first.

    :param vault: the back end; the Glacier storage class when false.
    :param conflict: every conditional write meets a conflict with another's transaction, and changes nothing.
    """

    def __init__(self, rules: Rules, *, vault: bool, conflict: bool = False) -> None:
        self.rules = rules
        self.vault = vault
        self._conflict = conflict
        self._calls: dict[str, Call] = {}

    def step(self, world: World, frame: Frame) -> Step | None:
        """Make the process's next call."""
        call = self._calls.get(frame.call)
        if call is None:
            call = self._calls[frame.call] = getattr(self, frame.call)
        return call(world, frame)

    def _holds(self, condition: bool) -> bool:
        return condition and not self._conflict

    def _owns(self, record: Record | None, state: str, token: int | None) -> bool:
        if record is None or record.state != state:
            return False
        return record.token == token or not self.rules.claims_have_tokens

    # Archive -------------------------------------------------------------------------------------------------------

    def archive(self, world: World, frame: Frame) -> Step:
        """Read the owner's profile."""
        return world, frame.to("archive_read", tier=(world.profile.premium, world.profile.tier_version))

    def archive_read(self, world: World, frame: Frame) -> Step:
        """Read the record, and act on its state."""
        record = world.record
        if record is None:
            return world, None
        if record.state == HOT:
            if record.trash and self.rules.claim_asks_for_no_trash:
                return world, self._emptying(frame, record, back="archive")
            if frame.tier and frame.tier[0]:
                return world, frame.to("drop", seen=record) if record.due_since is not None else None
            token, world = world.fresh(TOKEN)
            return world, frame.to("claim", token=token, tier=None)
        frame = frame.to("", rerun=True, tier=None)
        if record.state == ARCHIVING:
            return world, frame.to("copy", seen=record, token=record.token)
        if record.state == ARCHIVED and not record.cleared:
            return world, frame.to("delete_hot", seen=record)
        return world, self._tidying(frame) if record.state == ARCHIVED else None

    def drop(self, world: World, frame: Frame) -> Step:
        """Transaction: a premium person's result waits for no delay."""
        record, seen, profile = world.record, frame.seen, world.profile
        free_to = not self.rules.drop_checks_the_tier or (profile.premium, profile.tier_version) == frame.tier
        if self._holds(record is not None and record.state == HOT and record.due_since == seen.due_since and free_to):
            return world._replace(record=record._replace(due_since=None)), None
        return world, None

    def claim(self, world: World, frame: Frame) -> Step:
        """Transaction: take a HOT result whose owner is free, and whose delays are both over."""
        record, profile = world.record, world.profile
        if self._holds(
            record is not None
            and record.state == HOT
            and (record.trash is None or not self.rules.claim_asks_for_no_trash)
            and world.due(record.due_since)
            and not profile.premium
            and world.due(profile.free_since)
        ):
            record = record._replace(state=ARCHIVING, token=frame.token)
            return world._replace(record=record), frame.to("copy", seen=record)
        return world, frame.to("claim_refused")

    def claim_refused(self, world: World, frame: Frame) -> Step:
        """Read the record: the claim may have been applied, and its answer lost."""
        record = world.record
        if record is not None and record.state == ARCHIVING and record.token == frame.token:
            return world, frame.to("copy", seen=record)
        return world, None

    def copy(self, world: World, frame: Frame) -> Step:
        """Make the cold copy; its SHA-256 is that of the record."""
        if frame.seen.hot not in world.versions:
            return world, None  # archived or thawed by another meanwhile; where not, an invariant says so
        made, world = world.fresh(COLD)
        world = world._replace(cold=world.cold | {(made, frame.token)})
        return world, frame.to("commit" if self.rules.hot_deleted_after_commit else "delete_hot", made=made)

    def commit(self, world: World, frame: Frame) -> Step:
        """Transaction: the record names the copy, if the owner is free still, and has been for a full delay."""
        record, profile = world.record, world.profile
        if self._holds(
            self._owns(record, ARCHIVING, frame.token)
            and not (profile.premium and self.rules.tier_checked_at_commit)
            and (profile.premium or world.due(profile.free_since) or not self.rules.delay_checked_at_commit)
        ):
            record = record._replace(state=ARCHIVED, archive=frame.made, due_since=None)
            return world._replace(record=record), frame.to("delete_hot", seen=record, made=None)
        return world, frame.to("commit_refused" if self.rules.refusal_is_looked_into else "drop_copy")

    def commit_refused(self, world: World, frame: Frame) -> Step:
        """Read the record: was it this commit, the owner's tier, or another process?"""
        record = world.record
        if record is not None and record.archive == frame.made:
            if record.state == ARCHIVED and not record.cleared:
                return world, frame.to("delete_hot", seen=record, made=None)
            return world, None
        if self._owns(record, ARCHIVING, frame.token):
            return world, frame.to("unarchive", seen=record, back="archive")
        return world, frame.to("drop_copy", back=None) if self.rules.late_copy_is_deleted else None

    def drop_copy(self, world: World, frame: Frame) -> Step:
        """Delete the copy that this process made and no record names."""
        cold = frozenset(copy for copy in world.cold if copy[0] != frame.made)
        return world._replace(cold=cold), frame.to(frame.back, made=None, back=None) if frame.back else None

    def delete_hot(self, world: World, frame: Frame) -> Step:
        """Delete the hot version, by its VersionId."""
        doomed = {frame.seen.hot} if self.rules.deletes_name_the_version else world.versions
        follows = "commit" if frame.made is not None else "mark_hot_deleted"
        return world._replace(versions=world.versions - doomed), frame.to(follows)

    def mark_hot_deleted(self, world: World, frame: Frame) -> Step:
        """Remember that the hot version is gone."""
        record = world.record
        if self._holds(self._owns(record, ARCHIVED, frame.seen.token)):
            world = world._replace(record=record._replace(cleared=True))
        return world, self._tidying(frame)

    def _tidying(self, frame: Frame) -> Frame | None:
        """Where copies can be listed, a process that did not begin the work looks for what the first one left."""
        return frame.to("tidy_list", seen=None) if frame.rerun and not self.vault else None

    def tidy_list(self, world: World, frame: Frame) -> Step:
        """List the job's cold copies."""
        return world, frame.to("tidy_read", listed=frozenset(copy[0] for copy in world.cold))

    def tidy_read(self, world: World, frame: Frame) -> Step:
        """Read the record, after the list: a copy it does not name now will never be named."""
        record = world.record
        if record is None or record.state != ARCHIVED or not frame.listed - {record.archive}:
            return world, None
        return world, frame.to("tidy_delete", listed=frame.listed - {record.archive})

    def tidy_delete(self, world: World, frame: Frame) -> Step:
        """Delete the copies that the record does not name."""
        return world._replace(cold=frozenset(copy for copy in world.cold if copy[0] not in frame.listed)), None

    def unarchive(self, world: World, frame: Frame) -> Step:
        """Give up an ARCHIVING: its hot version was never deleted."""
        record = world.record
        if not self._holds(self._owns(record, ARCHIVING, frame.seen.token)):
            return world, frame.to("drop_copy" if frame.made is not None else frame.back)
        trash = None
        if frame.made is not None or not self.vault:
            trash = Trash(record.token, frame.made, frozenset())
        record = record._replace(state=HOT, token=None, trash=trash)
        frame = frame.to("", made=None)
        world = world._replace(record=record)
        return world, self._emptying(frame, record, back=frame.back) if trash else frame.to(frame.back, back=None)

    # Restore -------------------------------------------------------------------------------------------------------

    def restore(self, world: World, frame: Frame) -> Step | None:
        """The run that an upgrade submits: read the profile."""
        if not world.restore_submitted:
            return None
        if not world.profile.premium:
            return world, None  # whatever changed the tier since has its own run, or flag
        first = "restore_read" if self.rules.restore_flag_cleared_last else "restore_done"
        return world, frame.to(first, tier=(True, world.profile.tier_version))

    def restore_job(self, world: World, frame: Frame) -> Step:
        """An operator's run for one job, whatever its owner's tier: read the record."""
        if world.record is not None and world.record.state == ARCHIVED:
            return world, frame.to("thaw_start")
        return self.restore_read(world, frame)

    def restore_read(self, world: World, frame: Frame) -> Step:
        """Read the record, and act on its state."""
        record = world.record
        state = record.state if record else None
        if state == ARCHIVING and self.rules.restorer_takes_archiving:
            return world, frame.to("unarchive", seen=record, back="restore_read")
        if state == HOT and (record.trash or frame.rerun):
            return world, self._emptying(frame, record, back="restore_read")
        if state == ARCHIVED and frame.tier:
            return world, frame.to("thaw_start")
        if frame.tier:
            return world, frame.to("restore_done")
        return world, self._thawing(frame, record) if state == THAWING else None

    def restore_done(self, world: World, frame: Frame) -> Step:
        """All the person's results are on their way: clear the flag of this very upgrade."""
        profile = world.profile
        current = not self.rules.flag_cleared_by_version or profile.tier_version == frame.tier[1]
        if self._holds(profile.restore_pending and current):
            world = world._replace(profile=profile._replace(restore_pending=False))
        follows = "restore_read" if self.rules.restore_flag_cleared_last else "restore_job"
        return world, frame.to(follows, tier=None)

    def thaw_start(self, world: World, frame: Frame) -> Step:
        """Take an ARCHIVED result."""
        record = world.record
        if self._holds(record is not None and record.state == ARCHIVED):
            world = world._replace(record=record._replace(state=THAWING))
        elif not self.rules.conflict_is_no_refusal:
            return world, frame.to("restore_done") if frame.tier else None
        return world, frame.to("restore_read")

    def _thawing(self, frame: Frame, record: Record) -> Frame:
        return frame.to("find_retrieval" if record.retrieval is None else "fetch", seen=record, back="restore_read")

    def find_retrieval(self, world: World, frame: Frame) -> Step:
        """Look for a retrieval that a process which died has left."""
        there = [number for number, copy in world.retrievals if copy == frame.seen.archive]
        return world, frame.to("record_retrieval", made=min(there)) if there else frame.to("ask")

    def ask(self, world: World, frame: Frame) -> Step:
        """Ask for a retrieval, Expedited or else Standard."""
        made, world = world.fresh(RETRIEVAL)
        world = world._replace(retrievals=world.retrievals | {(made, frame.seen.archive)})
        return world, frame.to("record_retrieval", made=made)

    def record_retrieval(self, world: World, frame: Frame) -> Step:
        """Record the retrieval, unless another is recorded: then that one is waited for."""
        record = world.record
        if self._holds(
            record is not None
            and record.state == THAWING
            and record.archive == frame.seen.archive
            and record.retrieval is None
        ):
            world = world._replace(record=record._replace(retrieval=frame.made))
        return world, frame.to("restore_read", seen=None, made=None)

    def fetch(self, world: World, frame: Frame) -> Step:
        """Read what was retrieved; its SHA-256 is that of the record."""
        if (frame.seen.retrieval, frame.seen.archive) in world.retrievals:
            return world, frame.to("put")
        return world, frame.to("retrieve_again") if self.rules.expiry_is_noticed else None

    def retrieve_again(self, world: World, frame: Frame) -> Step:
        """Forget a retrieval that failed or expired."""
        record = world.record
        if self._holds(record is not None and record.state == THAWING and record.retrieval == frame.seen.retrieval):
            world = world._replace(record=record._replace(retrieval=None))
        return world, frame.to("restore_read", seen=None)

    def put(self, world: World, frame: Frame) -> Step:
        """Put a new version of the result."""
        made, world = world.fresh(VERSION)
        world = world._replace(versions=world.versions | {made})
        if not self.rules.thaw_put_spares_others:
            return world, frame.to("put_clears_key", made=made)
        return world, frame.to(
            "thaw_commit" if self.rules.cold_deleted_after_commit else "delete_cold_early", made=made
        )

    def put_clears_key(self, world: World, frame: Frame) -> Step:
        """Not in the protocol: delete every other version of the key."""
        return world._replace(versions=frozenset({frame.made})), frame.to("thaw_commit")

    def delete_cold_early(self, world: World, frame: Frame) -> Step:
        """Not in the protocol: delete the cold copy before the record names the new version."""
        cold = frozenset(copy for copy in world.cold if copy[0] != frame.seen.archive)
        return world._replace(cold=cold), frame.to("thaw_commit")

    def thaw_commit(self, world: World, frame: Frame) -> Step:
        """The record names the new version; the cold copy and the old version are trash."""
        record, seen = world.record, frame.seen
        same = record is not None and (record.archive == seen.archive or not self.rules.thaw_commit_names_the_copy)
        if not self._holds(same and record.state == THAWING):
            return world, frame.to("thaw_refused" if self.rules.refusal_is_looked_into else "drop_version")
        trash = Trash(seen.token, seen.archive, frozenset({seen.hot}))
        full = Record(HOT, hot=frame.made, due_since=world.clock, trash=trash)
        if self.rules.trash_is_recorded:
            frame = frame.to("", seen=None, made=None)
            return world._replace(record=full), self._emptying(frame, full, back="restore_read")
        return world._replace(record=full._replace(trash=None)), frame.to(
            "trash_versions", seen=full, made=None, listed=trash.versions
        )

    def thaw_refused(self, world: World, frame: Frame) -> Step:
        """Read the record: was it this commit, or another process?"""
        record = world.record
        if record is not None and record.hot == frame.made:
            return world, frame.to("restore_read", seen=None, made=None)
        if not self.rules.late_copy_is_deleted:
            return world, None
        return world, frame.to("drop_version", seen=None, rerun=True)  # a put whose answer was lost left another

    def drop_version(self, world: World, frame: Frame) -> Step:
        """Delete the version that this process made and no record names."""
        versions = world.versions - {frame.made}
        return world._replace(versions=versions), frame.to(frame.back, made=None) if frame.back else None

    # Trash ---------------------------------------------------------------------------------------------------------

    def _emptying(self, frame: Frame, record: Record, *, back: str | None) -> Frame:
        """Versions are listed where a thaw, or a process that died, may have left some."""
        thawed = frame.rerun or bool(record.trash and record.trash.versions)
        first = "trash_list" if thawed and self.rules.sweep_lists_before_it_reads else "trash_read"
        return frame.to(first, seen=None, listed=frozenset(), back=back)

    def trash_list(self, world: World, frame: Frame) -> Step:
        """List the versions of the result."""
        if self.rules.sweep_lists_before_it_reads:
            return world, frame.to("trash_read", listed=world.versions, rerun=False)
        return world, self._doomed(frame.to("", rerun=False), frame.seen, world.versions)

    def trash_read(self, world: World, frame: Frame) -> Step:
        """Read the record, after the list: a version that a HOT record does not name now will never be named."""
        record = world.record
        if record is None or record.state != HOT:
            return world, self._returning(frame)
        if not self.rules.sweep_lists_before_it_reads and record.trash and record.trash.versions:
            return world, frame.to("trash_list", seen=record)
        return world, self._doomed(frame, record, frame.listed)

    def _doomed(self, frame: Frame, record: Record, listed: frozenset[int]) -> Frame | None:
        versions = record.trash.versions if record.trash else frozenset()
        doomed = (listed | versions) - {record.hot}
        if doomed:
            return frame.to("trash_head", seen=record, listed=doomed)
        return frame.to("trash_cold", seen=record, listed=frozenset()) if record.trash else self._returning(frame)

    def trash_head(self, world: World, frame: Frame) -> Step:
        """HEAD the version that the record names: nothing is deleted on faith."""
        return world, frame.to("trash_versions") if frame.seen.hot in world.versions else None

    def trash_versions(self, world: World, frame: Frame) -> Step:
        """Delete versions, each by its VersionId."""
        world = world._replace(versions=world.versions - frame.listed)
        frame = frame.to("trash_cold", listed=frozenset())
        return world, frame if frame.seen.trash else self._returning(frame)

    def trash_cold(self, world: World, frame: Frame) -> Step:
        """Delete the cold copy by its id; where copies can be listed, whatever the dead token made."""
        trash = frame.seen.trash
        return world._replace(
            cold=frozenset(
                copy for copy in world.cold if (copy[0] != trash.archive if self.vault else copy[1] != trash.token)
            )
        ), frame.to("trash_clear")

    def trash_clear(self, world: World, frame: Frame) -> Step:
        """Forget the trash."""
        record = world.record
        token = frame.seen.trash.token
        if self._holds(record is not None and record.trash is not None and record.trash.token == token):
            world = world._replace(record=record._replace(trash=None))
        return world, self._returning(frame)

    def _returning(self, frame: Frame) -> Frame | None:
        return frame.to(frame.back, seen=None, listed=frozenset(), back=None) if frame.back else None

    # Downgrade -----------------------------------------------------------------------------------------------------

    def fan_out(self, world: World, frame: Frame) -> Step:
        """Read the profile: is a downgrade's fan-out pending?"""
        if not world.profile.fanout_pending:
            return world, None
        first = "fan_out_read" if self.rules.fanout_flag_cleared_last else "fan_out_done"
        return world, frame.to(first, tier=(False, world.profile.tier_version), since=world.profile.free_since)

    def fan_out_read(self, world: World, frame: Frame) -> Step:
        """Read the record."""
        record = world.record
        if record is not None and record.state == HOT and (record.due_since is None or record.due_since < frame.since):
            return world, frame.to("fan_out_date")
        return world, frame.to("fan_out_done") if self.rules.fanout_flag_cleared_last else None

    def fan_out_date(self, world: World, frame: Frame) -> Step:
        """A HOT result becomes due a full delay after the downgrade."""
        record = world.record
        if self._holds(
            record is not None and record.state == HOT and (record.due_since is None or record.due_since < frame.since)
        ):
            world = world._replace(record=record._replace(due_since=frame.since))
        return world, frame.to("fan_out_done") if self.rules.fanout_flag_cleared_last else None

    def fan_out_done(self, world: World, frame: Frame) -> Step:
        """Clear the flag of this very downgrade."""
        profile = world.profile
        current = not self.rules.flag_cleared_by_version or profile.tier_version == frame.tier[1]
        if self._holds(profile.fanout_pending and current):
            world = world._replace(profile=profile._replace(fanout_pending=False))
        return world, None if self.rules.fanout_flag_cleared_last else frame.to("fan_out_read")

    # Delete --------------------------------------------------------------------------------------------------------

    def delete(self, world: World, frame: Frame) -> Step:
        """The owner's wish, in any state: the record is DELETING, and hidden."""
        record = world.record
        if record is None:
            return world, None
        if not self.rules.record_goes_last:
            return world._replace(record=None), frame.to("sweep_versions", seen=record)
        record = record._replace(state=DELETING, due_since=None, cleared=False)
        return world._replace(record=record), frame.to("sweep_versions", seen=record)

    def purge(self, world: World, frame: Frame) -> Step | None:
        """Reconcile, when a tombstone is old: sweep again, then remove it."""
        record = world.record
        if record is None or record.state != DELETING or not record.cleared:
            return None
        return world, frame.to("sweep_versions", seen=record)

    def sweep_versions(self, world: World, frame: Frame) -> Step:
        """Delete every version of the job."""
        return world._replace(versions=frozenset()), frame.to("sweep_cold")

    def sweep_cold(self, world: World, frame: Frame) -> Step:
        """Delete the cold copies that the record names; where they can be listed, all of the job."""
        named = {frame.seen.archive, frame.seen.trash.archive if frame.seen.trash else None}
        cold = frozenset(copy for copy in world.cold if self.vault and copy[0] not in named)
        return world._replace(cold=cold), frame.to("remove" if frame.seen.cleared else "bury")

    def bury(self, world: World, frame: Frame) -> Step:
        """Leave a tombstone: who comes late finds out, and reconcile sweeps once more."""
        record = world.record
        if record is None or record.state != DELETING:
            return world, None
        if not self.rules.tombstone_stays:
            return world._replace(record=None), None
        return world._replace(record=record._replace(trash=None, cleared=True)), None

    def remove(self, world: World, frame: Frame) -> Step:
        """The record goes last."""
        record = world.record
        if record is not None and record.state == DELETING and record.cleared:
            world = world._replace(record=None)
        return world, None

    # Annotate ------------------------------------------------------------------------------------------------------

    def annotate(self, world: World, frame: Frame) -> Step:
        """Put the result of a RUNNING job."""
        made, world = world.fresh(VERSION)
        return world._replace(versions=world.versions | {made}), frame.to("complete", made=made)

    def complete(self, world: World, frame: Frame) -> Step:
        """The job is COMPLETED, its result HOT, and the delay begins."""
        if self._holds(world.record is not None and world.record.state == RUNNING):
            return world._replace(record=Record(HOT, hot=frame.made, due_since=world.clock)), None
        return world, frame.to("complete_refused")

    def complete_refused(self, world: World, frame: Frame) -> Step:
        """Read the record: was it this completion, or another process?"""
        if world.record is not None and world.record.hot == frame.made:
            return world, None
        return world, frame.to("drop_version")

    # Reconcile and inventory ---------------------------------------------------------------------------------------

    def reconcile(self, world: World, frame: Frame) -> Step:
        """Read an open record, and go on where whoever had it stopped."""
        record = world.record
        frame = frame.to("", rerun=True)
        if record is None:
            return world, None
        if record.state == HOT:
            return world, self._emptying(frame, record, back=None) if record.trash else None
        if record.state == ARCHIVING:
            return world, frame.to("reconcile_owner", seen=record, token=record.token)
        if record.state == ARCHIVED and not record.cleared:
            return world, frame.to("delete_hot", seen=record)
        if record.state == DELETING:
            return world, frame.to("sweep_versions", seen=record._replace(cleared=False))
        return world, None  # of THAWING it submits a run, whose re-run knows the job and clears up after itself

    def reconcile_owner(self, world: World, frame: Frame) -> Step:
        """Read the profile of an ARCHIVING result's owner."""
        if world.profile.premium:
            return world, frame.to("unarchive", back="reconcile")
        return world, frame.to("copy")

    def inventory(self, world: World, frame: Frame) -> Step:
        """List what lies in bucket and vault. (That it waits 48 h is a second belt: the model gives none.)"""
        return world, frame.to("inventory_read", listed=world.versions, copies=world.cold)

    def inventory_read(self, world: World, frame: Frame) -> Step:
        """Read the record, after the list, and choose what it can never name again."""
        record, versions, cold = world.record, frame.listed, frame.copies
        if record is None or record.trash or record.state in (RUNNING, ARCHIVING, THAWING):
            return world, None  # ambiguous, or in a window of the job: reported, not deleted
        if record.state == ARCHIVED and not record.cleared:
            return world, None  # an archiver, or reconcile, is about to delete the hot version
        if record.state == HOT:
            versions -= {record.hot}
            if record.hot not in world.versions:
                return world, None
        if record.state == ARCHIVED:
            cold = frozenset(copy for copy in cold if copy[0] != record.archive)
            if all(copy[0] != record.archive for copy in world.cold):
                return world, None
        return world, frame.to("inventory_delete", listed=versions, copies=cold) if versions or cold else None

    def inventory_delete(self, world: World, frame: Frame) -> Step:
        """Delete what was chosen, each by its own id."""
        return world._replace(versions=world.versions - frame.listed, cold=world.cold - frame.copies), None


def upgrade(world: World) -> World:
    """``subscribe``, first write."""
    old = world.profile
    return world._replace(profile=Profile(True, None, old.tier_version + 1, restore_pending=True))


def submit_restore(world: World) -> World:
    """``subscribe``, second call: the restore run."""
    return world._replace(restore_submitted=True)


def downgrade(world: World) -> World:
    """``unsubscribe``: one write."""
    old = world.profile
    return world._replace(profile=Profile(False, world.clock, old.tier_version + 1, fanout_pending=True))


def tick(world: World) -> World:
    """Time passes."""
    return world._replace(clock=world.clock + 1)


def step_back(world: World) -> World:
    """The clock is set back."""
    return world._replace(clock=world.clock - 1)


def lengthen(world: World) -> World:
    """The operator sets a longer delay."""
    return world._replace(delay=world.delay + 1)


def shorten(world: World) -> World:
    """The operator sets a shorter delay."""
    return world._replace(delay=world.delay - 1)


def expire(world: World) -> World:
    """Every retrieval fails, or its output is no longer kept."""
    return world._replace(retrievals=frozenset())


Event = Callable[[World], World]
