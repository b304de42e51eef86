"""Runs real code under every schedule with a bounded number of preemptions.

Each actor is a thread that stops before every AWS call until the scheduler lets it go on, so that a schedule is a list
of who makes the next call, and one schedule can be run again. A preemption is a switch away from an actor that could
have gone on; switches at the end of an actor are free. Nearly all races show with one or two preemptions.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import boto3

from tests.faults.harness import Crash


class Points:
    """The scheduling points of a session: each of its calls."""

    def __init__(self, session: boto3.Session) -> None:
        self._here = threading.local()
        session.events.register_first("before-send", self._stop)

    def enter(self, actor: Actor) -> None:
        """The calling thread is this actor's."""
        self._here.actor = actor

    def die_at(self, call: int | None) -> None:
        """The calling thread's process dies before its so-manieth call from now on (from 1)."""
        self._here.left = call

    def _stop(self, event_name: str, **_: Any) -> None:
        left = getattr(self._here, "left", None)
        if left is not None:
            self._here.left = left - 1
            if left == 1:
                raise Crash
        actor = getattr(self._here, "actor", None)
        if actor is not None:
            actor.stop(event_name.rpartition(".")[2])


class Actor:
    """One process, as a thread that only runs when it is let."""

    def __init__(self, name: str, work: Callable[[], object], points: Points) -> None:
        self.name = name
        self.next_call = "start"
        self.done = False
        self.error: BaseException | None = None
        self._work = work
        self._points = points
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()

    def step(self) -> None:
        """Let it make its next call, and run to the one after that."""
        self._go.release()
        self._back.acquire()

    def stop(self, call: str) -> None:
        """Wait to be let on; called in the actor's own thread."""
        self.next_call = call
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        self._points.enter(self)
        self._go.acquire()
        try:
            self._work()
        except BaseException as error:  # whatever it is, it is what the schedule led to
            self.error = error
        self.done = True
        self._back.release()


class Step(NamedTuple):
    """One choice of the scheduler."""

    chosen: int
    enabled: tuple[int, ...]
    current: int | None
    """Who ran before."""
    preemptions: int
    """Up to and with this choice."""
    call: str


class Scene(NamedTuple):
    """One run: fresh actors, and what must hold when all have ended."""

    actors: Sequence[Actor]
    wrong: Callable[[], str | None]


@dataclass
class Report:
    """What was found."""

    schedules: int = 0
    complete: bool = True
    """Whether these were all schedules within the bound."""
    violations: dict[str, str] = field(default_factory=dict)
    """What went wrong, with the first schedule that led there."""


def explore(scene: Callable[[], Scene], *, preemptions: int, limit: int | None = None, seed: int = 0) -> Report:
    """Run schedules with at most so many preemptions: all, or ``limit`` of them, chosen by the seed."""
    report = Report()
    chance = random.Random(seed)
    waiting: list[list[int]] = [[]]
    while waiting:
        if report.schedules == limit:
            report.complete = False
            break
        prefix = waiting.pop() if limit is None else waiting.pop(chance.randrange(len(waiting)))
        actors, wrong = scene()
        trace = _run(actors, prefix)
        report.schedules += 1
        violation = wrong()
        if violation:
            report.violations.setdefault(violation, " ".join(f"{actors[s.chosen].name}:{s.call}" for s in trace))
        waiting += _branches(trace, len(prefix), preemptions)
    return report


def _run(actors: Sequence[Actor], prefix: list[int]) -> list[Step]:
    """Run the choices of ``prefix``, then without preemption to the end."""
    trace: list[Step] = []
    current: int | None = None
    preempted = 0
    while True:
        enabled = tuple(n for n, actor in enumerate(actors) if not actor.done)
        if not enabled:
            return trace
        if len(trace) < len(prefix):
            chosen = prefix[len(trace)]
            assert chosen in enabled, "the same choices led somewhere else"
        else:
            chosen = current if current in enabled else enabled[0]
        preempted += _is_preemption(chosen, current, enabled)
        trace.append(Step(chosen, enabled, current, preempted, actors[chosen].next_call))
        actors[chosen].step()
        current = chosen


def _branches(trace: list[Step], decided: int, preemptions: int) -> list[list[int]]:
    """The other choices that could have been made after the decided ones."""
    found = []
    for at in range(decided, len(trace)):
        step = trace[at]
        before = trace[at - 1].preemptions if at else 0
        for other in step.enabled:
            if other != step.chosen and before + _is_preemption(other, step.current, step.enabled) <= preemptions:
                found.append([*(s.chosen for s in trace[:at]), other])
    return found


def _is_preemption(chosen: int, current: int | None, enabled: tuple[int, ...]) -> bool:
    return current is not None and current in enabled and chosen != current
