"""A breadth-first search through every interleaving of some processes, with a trace to the first violation.

Between any two calls any process may go on, crash and be run again, or have its answer lost and send the call again.
In the end, when nobody has anything left to do, reconcile and inventory run, and the world must be in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

from tests.model.storage import (
    ARCHIVED,
    ARCHIVING,
    DELETING,
    HOT,
    RUNNING,
    THAWING,
    Event,
    Frame,
    Protocol,
    Record,
    Rules,
    World,
)

UNDISTURBED = "annotate"
"""A process whose own crashes are another matter: its attempts are fenced."""

ROUNDS = 12
"""Repairs that need more rounds than this never end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Who takes part, from which world, and how much may go wrong."""

    processes: Sequence[str]
    """The first call of each. One that crashes is run again from there."""
    scripts: Sequence[Sequence[Event]] = ()
    """What people, the clock and Glacier do: each script in its order, at any time."""
    lone: Sequence[str] = ()
    """Processes that nobody runs again when they crash."""
    under_way: Sequence[Frame] = ()
    """Processes that began before ``world``; like the lone ones, not run again."""
    vault: bool = True
    faults: int = 0
    """Crashes and lost answers in all."""
    world: World = field(default_factory=World)
    rules: Rules = field(default_factory=Rules)
    reconciled: bool = True
    """Whether reconcile and inventory run in the end."""


class State(NamedTuple):
    """One node of the search."""

    world: World
    frames: tuple[Frame | None, ...]
    told: tuple[int, ...]
    """How much of each script has happened."""
    faults: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a search found."""

    states: int
    transitions: int
    complete: bool
    violation: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        ended = "" if self.complete else ", not all"
        found = f": {self.violation}\n  " + "\n  ".join(self.trace) if self.violation else ""
        return f"{self.states} states, {self.transitions} transitions{ended}{found}"


class Checker:
    """The search through one set-up."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._starts = (*setup.processes, *setup.lone, *(frame.call for frame in setup.under_way))
        self._protocol = Protocol(setup.rules, vault=setup.vault)
        self._conflicting = Protocol(setup.rules, vault=setup.vault, conflict=True)
        self._in_order: dict[World, str | None] = {}

    def run(self, *, limit: int = 5_000_000) -> Report:
        """Search until the first violation, the end, or ``limit`` states."""
        setup = self._setup
        frames = (*map(Frame, (*setup.processes, *setup.lone)), *setup.under_way)
        first = State(setup.world, frames, (0,) * len(setup.scripts), setup.faults)
        came_from: dict[State, tuple[State, str] | None] = {first: None}
        layer = [first]
        transitions = 0
        while layer:
            following: list[State] = []
            for state in layer:
                moved = False
                for label, after, harmless in self._moves(state):
                    moved = moved or harmless
                    transitions += 1
                    if after in came_from:
                        continue
                    came_from[after] = (state, intern(label))  # a few dozen, each kept thousands of times
                    violation = wrong_now(after.world) or wrong_change(state.world, after.world)
                    if violation:
                        return Report(len(came_from), transitions, False, violation, _trace(came_from, after))
                    following.append(after)
                if not moved:
                    violation = self._wrong_at_rest(state.world)
                    if violation:
                        return Report(len(came_from), transitions, False, violation, _trace(came_from, state))
            layer = following
            if len(came_from) > limit:
                return Report(len(came_from), transitions, False)
        return Report(len(came_from), transitions, True)

    def _moves(self, state: State) -> Iterator[tuple[str, State, bool]]:
        """Each thing that can happen next, and whether it is part of an undisturbed run."""
        world, frames, told, faults = state
        for number, script in enumerate(self._setup.scripts):
            if told[number] < len(script):
                event = script[told[number]]
                progress = (*told[:number], told[number] + 1, *told[number + 1 :])
                yield event.__name__, State(event(world), frames, progress, faults), True
        for number, frame in enumerate(frames):
            if frame is None:
                continue
            step = self._protocol.step(world, frame)
            if step is None:
                continue
            after, next_frame = step
            name = f"{self._starts[number]} {number}: {frame.call}"
            yield name, self._with(state, number, after, next_frame), True
            if not self._setup.rules.conflict_is_no_refusal:
                refused = self._conflicting.step(world, frame)
                if refused is not None and refused != step:
                    yield f"{name} (conflict)", self._with(state, number, *refused), False
            if faults and self._starts[number] != UNDISTURBED:
                yield from self._faults(state, number, frame, after, name)

    def _faults(
        self, state: State, number: int, frame: Frame, after: World, name: str
    ) -> Iterator[tuple[str, State, bool]]:
        start = self._starts[number]
        again = Frame(start, rerun=True) if number < len(self._setup.processes) else None
        if again is None or frame._replace(rerun=True) != again:
            before = _excuse(state.world, frame, again)
            yield f"{name} (crash before)", self._with(state, number, before, again, faults=1), False
        if after != state.world:
            died = _excuse(after, frame, again, made_since=state.world)
            yield f"{name} (crash after)", self._with(state, number, died, again, faults=1), False
            unanswered = _excuse(after, frame, frame, made_since=state.world)
            yield f"{name} (answer lost, sent again)", self._with(state, number, unanswered, frame, faults=1), False

    @staticmethod
    def _with(state: State, number: int, world: World, frame: Frame | None, *, faults: int = 0) -> State:
        if world.excused or world.strays:
            excused = world.excused & {copy[0] for copy in world.cold}
            world = world._replace(excused=excused, strays=world.strays & world.versions)
        frames = (*state.frames[:number], frame, *state.frames[number + 1 :])
        return State(world, frames, state.told, state.faults - faults)

    def _wrong_at_rest(self, world: World) -> str | None:
        """What is wrong when nobody has anything left to do."""
        if world not in self._in_order:
            self._in_order[world] = self._after_repair(world) if self._setup.reconciled else wrong_tier(world)
        return self._in_order[world]

    def _after_repair(self, world: World) -> str | None:
        for _ in range(ROUNDS):
            before = world
            world = self._undisturbed(world, "fan_out")
            world = self._undisturbed(world, "reconcile")
            if world.profile.restore_pending:
                world = self._undisturbed(world._replace(restore_submitted=True), "restore")
            elif world.record is not None and world.record.state == THAWING:
                world = self._undisturbed(world, "restore_job")
            violation = wrong_now(world)
            if violation:
                return f"{violation}, after repair"
            if world._replace(ids=before.ids) == before:
                break
        else:
            return "repair never ends"
        left = wrong_tier(world) or left_over(world, excused=world.excused, strays=world.strays)
        if left:
            return left
        world = self._undisturbed(world, "inventory")
        return wrong_now(world) or left_over(world)

    def _undisturbed(self, world: World, start: str) -> World:
        frame: Frame | None = Frame(start, rerun=True)
        while frame is not None:
            step = self._protocol.step(world, frame)
            if step is None:
                break
            world, frame = step
        return world


def wrong_now(world: World) -> str | None:
    """What must hold at every moment."""
    record = world.record
    if record is None or record.state in (RUNNING, DELETING):
        return None
    hot = record.hot in world.versions
    cold = any(copy[0] == record.archive for copy in world.cold)
    if not hot and not cold:
        return "LOST: no copy that the record names can be read"
    if record.state in (HOT, ARCHIVING) and not hot:
        return f"{record.state}, and the hot version is gone"
    if record.state in (ARCHIVED, THAWING) and not cold:
        return f"{record.state}, and the cold copy is gone"
    return None


def wrong_change(before: World, after: World) -> str | None:
    """What an archive's commit must have seen."""
    old, new = before.record, after.record
    if old is None or new is None or old.state == ARCHIVED or new.state != ARCHIVED or old.archive == new.archive:
        return None
    if before.profile.premium:
        return "archived while the owner is premium"
    if not before.due(before.profile.free_since):
        return "archived before a full delay on the free plan"
    return None


def wrong_tier(world: World) -> str | None:
    """What must hold at rest, by the owner's tier."""
    record = world.record
    if record is None or record.state in (RUNNING, DELETING):
        return None
    if world.profile.premium and record.state != HOT:
        return f"MISSED: the owner is premium and the result {record.state}"
    if record.state not in (HOT, ARCHIVED):
        return f"STUCK in {record.state}"
    if not world.profile.premium and record.state == HOT and record.due_since is None:
        return "MISSED: the owner is free and the result never becomes due"
    return None


def left_over(
    world: World, *, excused: frozenset[int] = frozenset(), strays: frozenset[int] = frozenset()
) -> str | None:
    """What lies about at rest, save what only inventory can find."""
    record = world.record
    if record is not None and record.trash:
        return "the trash is full"
    if record is not None and record.state == ARCHIVED and not record.cleared:
        return "the hot version of an ARCHIVED result is not known to be deleted"
    gone = record is None or record.state == DELETING
    if world.versions - ({record.hot} if not gone and record.state == HOT else set()) - strays:
        return "ORPHAN version" if not gone else "deleted, and a version is still there"
    if {copy[0] for copy in world.cold} - ({None} if gone else {record.archive}) - excused:
        return "ORPHAN cold copy" if not gone else "deleted, and a cold copy is still there"
    return None


def _excuse(world: World, frame: Frame, again: Frame | None, *, made_since: World | None = None) -> World:
    """Note what its maker can never name again, and the record does not name yet.

    A cold copy whose maker died, or got no answer; and a version whose maker died for good: one that is run again
    clears up after itself.
    """
    made = {copy[0] for copy in world.cold - made_since.cold} if made_since and frame.call == "copy" else set()
    if frame.call in ("commit", "commit_refused", "unarchive", "drop_copy") and frame.made is not None:
        made.add(frame.made)
    put = set(world.versions - made_since.versions) if made_since and frame.call == "put" else set()
    if frame.call in ("thaw_commit", "thaw_refused", "drop_version") and frame.made is not None:
        put.add(frame.made)
    if made:
        world = world._replace(excused=world.excused | made)
    return world._replace(strays=world.strays | put) if put and again is None else world


def _trace(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    steps = [_shown(state.world.record)]
    came = came_from[state]
    while came is not None:
        steps.append(came[1])
        came = came_from[came[0]]
    return tuple(reversed(steps))


def _shown(record: Record | None) -> str:
    return f"-> {record}" if record else "-> no record"
