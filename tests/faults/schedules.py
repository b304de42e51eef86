"""Runs real code under every schedule with a bounded number of preemptions.

Each actor is a thread that stops before every AWS call until the scheduler lets it go on, so that a schedule is a list
of who makes the next call, and one schedule can be run again. A preemption is a switch away from an actor that could
have gone on; switches at the end of an actor are free. Nearly all races show with one or two preemptions.

Many schedules differ only in the order of calls that have nothing to do with each other. What an actor has seen so far
follows from what others had written *to the same things* before each of its calls; where that is the same for all who
still work, and so is what was written to everything last, the world is the same, and only one of the schedules that
lead there is followed. Of actors that do the same work it does not matter which is which.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from botocore.awsrequest import AWSRequest

from tests.faults.harness import Crash

READS = frozenset(
    {
        "BatchGetItem",
        "DescribeJob",
        "GetItem",
        "GetJobOutput",
        "GetObject",
        "HeadObject",
        "ListJobs",
        "ListObjectVersions",
        "Query",
    }
)
"""Calls that change nothing."""
COLD = "archive/"
"""What the keys of cold copies begin with."""
APART = frozenset({"Publish", "GetCallerIdentity", "ListMultipartUploads"})
"""Calls whose order among others nobody can tell: of results as small as the tests' no upload is in parts."""


class Call(NamedTuple):
    """A call that an actor is about to make."""

    operation: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    """What it is about: tables, vaults, and of a bucket the cold copies or all the rest."""

    @classmethod
    def of(cls, operation: str, request: AWSRequest) -> Call:
        """From what is about to be sent."""
        if operation in APART:
            return cls(operation)
        service = urlsplit(request.url).hostname or ""
        if service.startswith("dynamodb"):
            body = json.loads(request.body)
            read = frozenset(_tables(_checks(body)))
            about = frozenset(_tables({**body, "TransactItems": _changes(body)}))
        elif service.startswith("glacier"):
            about, read = frozenset({"vault"}), frozenset[str]()
        else:
            about, read = _of_bucket(operation, request)
        return cls(operation, about, frozenset()) if operation in READS else cls(operation, read, about)

    @property
    def is_apart(self) -> bool:
        """Whether it has to do with no other call."""
        return not self.reads and not self.writes

    @property
    def refused(self) -> Call:
        """What it comes to when its condition does not hold: it has looked, and changed nothing."""
        return self._replace(reads=self.reads | self.writes, writes=frozenset())


def _checks(body: Mapping[str, Any]) -> list[Any]:
    return [item for item in body.get("TransactItems", ()) if "ConditionCheck" in item]


def _changes(body: Mapping[str, Any]) -> list[Any]:
    return [item for item in body.get("TransactItems", ()) if "ConditionCheck" not in item]


def _tables(body: Any) -> Iterator[str]:
    """Every table that is named anywhere in a request."""
    if isinstance(body, Mapping):
        yield from body.get("RequestItems", ())
        if "TableName" in body:
            yield body["TableName"]
        for value in body.values():
            yield from _tables(value)
    elif isinstance(body, list):
        for value in body:
            yield from _tables(value)


def _of_bucket(operation: str, request: AWSRequest) -> tuple[frozenset[str], frozenset[str]]:
    """What an S3 call is about, and what it reads besides."""
    url = urlsplit(request.url)
    if operation == "DeleteObjects":
        body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
        keys = [part.partition(b"</Key>")[0].decode() for part in body.split(b"<Key>")[1:]]
    elif operation.startswith("List"):
        keys = parse_qs(url.query).get("prefix", [""])
    else:
        keys = [unquote(url.path).lstrip("/")]
    host = url.hostname or ""
    cold = {f"{host} cold" for key in keys if key.startswith(COLD) or COLD.startswith(key)}
    rest = {f"{host} rest" for key in keys if not key.startswith(COLD)}
    return frozenset(cold | rest), frozenset({f"{host} rest"} if operation == "CopyObject" else ())


REFUSALS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})


class Abandoned(BaseException):
    """Nobody wants to know how this run ends."""


class Points:
    """The scheduling points of a session: each of its calls."""

    def __init__(self, session: boto3.Session) -> None:
        self._here = threading.local()
        session.events.register_first("before-send", self._stop)
        session.events.register("response-received", self._answered)

    def enter(self, actor: Actor) -> None:
        """The calling thread is this actor's."""
        self._here.actor = actor

    def die_at(self, call: int | None) -> None:
        """The calling thread's process dies before its so-manieth call from now on (from 1)."""
        self._here.left = call

    def _stop(self, request: AWSRequest, event_name: str, **_: Any) -> None:
        left = getattr(self._here, "left", None)
        if left is not None:
            self._here.left = left - 1
            if left == 1:
                raise Crash
        actor = getattr(self._here, "actor", None)
        if actor is not None:
            actor.stop(Call.of(event_name.rpartition(".")[2], request))

    def _answered(self, parsed_response: Mapping[str, Any] | None, **_: Any) -> None:
        actor = getattr(self._here, "actor", None)
        if actor is not None and parsed_response:
            actor.refused = parsed_response.get("Error", {}).get("Code") in REFUSALS


class Actor:
    """One process, as a thread that only runs when it is let.

    :param work: what it does; actors of the same name do the same.
    """

    def __init__(self, name: str, work: Callable[[], object], points: Points) -> None:
        self.name = name
        self.next_call = Call("start")
        self.refused = False
        """Whether a condition of its last call did not hold."""
        self.done = False
        self.error: BaseException | None = None
        self._work = work
        self._points = points
        self._abandoned = False
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()

    def step(self) -> None:
        """Let it make its next call, and run to the one after that."""
        self._go.release()
        self._back.acquire()

    def abandon(self) -> None:
        """Let it make no call any more."""
        self._abandoned = True
        while not self.done:
            self.step()

    def stop(self, call: Call) -> None:
        """Wait to be let on; called in the actor's own thread."""
        self.next_call = call
        self._back.release()
        self._go.acquire()
        if self._abandoned:
            raise Abandoned

    def _run(self) -> None:
        self._points.enter(self)
        self._go.acquire()
        try:
            if not self._abandoned:
                self._work()
        except BaseException as error:  # whatever it is, it is what the schedule led to
            self.error = error
        self.done = True
        self._back.release()


class Scene(NamedTuple):
    """One run: fresh actors, and what is wrong when all have ended."""

    actors: Sequence[Actor]
    wrong: Callable[[], str | None]

    def failed(self) -> str | None:
        """How the first actor failed, if any did."""
        failed = (actor for actor in self.actors if actor.error and not isinstance(actor.error, Abandoned))
        return next((f"{actor.name} raised {actor.error!r}" for actor in failed), None)


World = tuple[tuple[int, ...], tuple[tuple[str, int], ...], int]
"""What those have seen who are not done, what was written last to each thing, and what the one has seen who goes on."""


class Past:
    """What each actor has seen: a number for it that is the same whenever that is the same.

    What an actor sees of a thing, and what it makes of it, follows from what was written to it last. Who else has
    looked at it changes nothing.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._seen = [hash(name) for name in names]
        self._written: dict[str, int] = {}

    def add(self, actor: int, call: Call) -> None:
        """The actor makes this call."""
        found = sorted((thing, self._written.get(thing, 0)) for thing in call.reads | call.writes)
        now = hash((self._seen[actor], call.operation, tuple(found)))
        self._seen[actor] = now
        self._written.update(dict.fromkeys(call.writes, now))

    def world(self, going_on: int, others: Iterable[int]) -> World:
        """The world as it is when this actor goes on, and those that are not done."""
        seen = tuple(sorted(self._seen[actor] for actor in others))
        return seen, tuple(sorted(self._written.items())), self._seen[going_on]


class Step(NamedTuple):
    """One choice of the scheduler."""

    chosen: int
    enabled: tuple[int, ...]
    current: int | None
    """Who ran before."""
    preemptions: int
    """Up to and with this choice."""
    call: Call
    worlds: Mapping[int, World]
    """Before this choice, for each that could be chosen."""


@dataclass
class Report:
    """What was found."""

    schedules: int = 0
    """How many were run."""
    equal: int = 0
    """How many of those were broken off because the world was one that had been met before."""
    complete: bool = True
    """Whether these were all schedules within the bound, but for those that lead through equal worlds."""
    violations: dict[str, str] = field(default_factory=dict)
    """What went wrong, with the first schedule that led there."""


@dataclass
class Explorer:
    """Follows schedules.

    :param preemptions: the most in one schedule.
    :param merged: whether of schedules that lead to the same world one is followed.
    """

    scene: Callable[[], Scene]
    preemptions: int
    merged: bool = True
    _met: dict[World, int] = field(default_factory=dict)
    """Worlds from which everything is followed, and the fewest preemptions by which they were reached."""

    def explore(self, *, limit: int | None = None, seed: int = 0) -> Report:
        """All schedules, or ``limit`` of them, chosen by the seed."""
        report = Report()
        chance = random.Random(seed)
        waiting: list[list[int]] = [[]]
        while waiting:
            if report.schedules == limit:
                report.complete = False
                break
            prefix = waiting.pop() if limit is None else waiting.pop(chance.randrange(len(waiting)))
            scene = self.scene()
            trace, ended = self._run(scene.actors, prefix)
            violation = scene.failed() or (scene.wrong() if ended else None)
            report.schedules += 1
            report.equal += not ended
            if violation:
                told = " ".join(f"{scene.actors[s.chosen].name}:{s.call.operation}" for s in trace)
                report.violations.setdefault(violation, told)
            waiting += self._branches(trace, len(prefix))
        return report

    def _run(self, actors: Sequence[Actor], prefix: list[int]) -> tuple[list[Step], bool]:
        """Run the choices of ``prefix``, then without preemption to the end, or to a world that was met before."""
        for actor in actors:
            actor.step()  # to its first call
        trace: list[Step] = []
        past = Past(actor.name for actor in actors)
        current: int | None = None
        preempted = 0
        while True:
            enabled = tuple(n for n, actor in enumerate(actors) if not actor.done)
            if not enabled:
                return trace, True
            decided = len(trace) < len(prefix)
            if decided:
                chosen = prefix[len(trace)]
                assert chosen in enabled, "the same choices led somewhere else"
            else:
                chosen = current if current in enabled else enabled[0]
            preempted += _is_preemption(chosen, current, enabled)
            worlds = {n: past.world(n, enabled) for n in enabled}
            if not decided and not self._is_new(worlds[chosen], preempted):
                for actor in actors:
                    actor.abandon()
                return trace, False
            actor = actors[chosen]
            call = actor.next_call
            trace.append(Step(chosen, enabled, current, preempted, call, worlds))
            actor.step()
            past.add(chosen, call.refused if actor.refused else call)
            current = chosen

    def _branches(self, trace: list[Step], decided: int) -> list[list[int]]:
        """The other choices that could have been made after the decided ones."""
        found = []
        for at in range(decided, len(trace)):
            step = trace[at]
            before = trace[at - 1].preemptions if at else 0
            if step.chosen == step.current and step.call.is_apart:
                continue  # to be preempted after it comes to the same
            for other in step.enabled:
                preempted = before + _is_preemption(other, step.current, step.enabled)
                if (
                    other != step.chosen
                    and preempted <= self.preemptions
                    and self._is_new(step.worlds[other], preempted)
                ):
                    found.append([*(s.chosen for s in trace[:at]), other])
        return found

    def _is_new(self, world: World, preempted: int) -> bool:
        """Whether nothing is followed from this world yet; it is from now on."""
        if self.merged and self._met.get(world, self.preemptions + 1) <= preempted:
            return False
        self._met[world] = preempted
        return True


def _is_preemption(chosen: int, current: int | None, enabled: tuple[int, ...]) -> bool:
    return current is not None and current in enabled and chosen != current
