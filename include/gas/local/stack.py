"""Bringing the local stack up and down, and what can be said about it meanwhile."""

from __future__ import annotations

import fcntl
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from gas.local import airflow, contents, postgres, processes
from gas.local.components import Component, components
from gas.local.layout import DEFAULT_PORT, Layout, StackError
from gas.local.supervision import Supervisor, forget, log_file, recorded
from gas.local.variables import process_environment
from gas.submission import DAG_ID

_START_TIMEOUT_S = 240.0
_POLL_S = 0.1
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing done while the stack starts: what, where it is reached, how long it took."""

    title: str
    address: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Status:
    """One component as it stands now."""

    name: str
    title: str
    state: str
    """``running``, ``starting``, ``stopped`` or ``failed``."""
    address: str
    since: float | None
    """POSIX seconds."""


def find(*, state: Path, port: int | None) -> Layout:
    """Lay out the stack of a state folder.

    :param port: the base port that was asked for; without one, that of the running stack, or the default.
    """
    started = recorded(state)
    if port is None:
        port = started.base_port if started else DEFAULT_PORT
    return Layout.of(state=state, base_port=port)


class Stack:
    """The local stack of one state folder."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.components = components(layout)
        self._supervisor = Supervisor(layout)

    def is_up(self) -> bool:
        """Whether its supervisor runs."""
        return self._supervisor.alive()

    def up(self, *, told: Callable[[Step], None], waiting: Callable[[str], None] = lambda _: None) -> bool:
        """Start every component in order, each awaited; False if the stack ran already.

        :param told: called with each step when it is done.
        :param waiting: called with what is awaited next.
        :raises StackError: if a port is taken or a component does not come up; then nothing is left running.
        """
        with self._lock():
            if self.is_up():
                return False
            self._sweep()  # what a killed supervisor may have left, which would hold our ports
            self._refuse_taken_ports()
            try:
                self._start(told=told, waiting=waiting)
            except BaseException:
                self._end()
                raise
        return True

    def down(self) -> bool:
        """Stop everything, also what a killed supervisor left behind; False if nothing ran."""
        with self._lock():
            return self._end()

    def restart(self, names: Sequence[str], *, told: Callable[[Step], None]) -> None:
        """Stop components and start them again, each awaited: how a running stack takes up changed code.

        :raises StackError: if one does not exist, or the stack is not up.
        """
        known = {component.name: component for component in self.components}
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise StackError(f"no component {', '.join(unknown)}; there are {', '.join(known)}")
        with self._lock():
            if not self.is_up():
                raise StackError("the stack is not up; start it with gas up")
            for component in (known[name] for name in names):
                self._supervisor.stop([component.name], patience_s=component.stop_patience_s + 5)
                began = time.time()
                self._supervisor.start([component.name])
                self._await(component, began)
                told(Step(title=component.title, address=component.address, seconds=time.time() - began))

    def status(self) -> list[Status]:
        """Say how each component stands."""
        known = self._supervisor.states() if self.is_up() else {}
        words = {"RUNNING": "running", "STARTING": "starting", "BACKOFF": "starting"}
        found = []
        for component in self.components:
            entry = known.get(component.name, {})
            state = words.get(entry["statename"], "failed") if entry else "stopped"
            found.append(
                Status(
                    name=component.name,
                    title=component.title,
                    state=state,
                    address=component.address,
                    since=entry["start"] if state == "running" else None,
                )
            )
        return found

    # Starting.
    def _start(self, *, told: Callable[[Step], None], waiting: Callable[[str], None]) -> None:
        layout = self.layout
        environment = process_environment(layout)
        stores = [component for component in self.components if component.store]
        others = [component for component in self.components if not component.store]

        @contextmanager
        def step(title: str, address: str = "", *, since: float | None = None) -> Iterator[None]:
            waiting(title)
            began = since or time.time()
            yield
            told(Step(title=title, address=address, seconds=time.time() - began))

        postgres.initialise(layout)
        self._supervisor.launch(self.components, environment)
        began = time.time()
        self._supervisor.start(component.name for component in stores)
        for component in stores:
            with step(component.title, component.address, since=began):
                self._await(component, began)
        postgres.make_databases(layout)
        if not airflow.is_prepared(layout):
            with step("Airflow database"):
                airflow.prepare(layout, environment)
        with step("AWS resources"):
            contents.provision(layout)
            contents.migrate_records(layout)
        began = time.time()
        self._supervisor.start(component.name for component in others)
        with step("Reference SARS-CoV-2"):  # while Airflow starts
            contents.install_reference(layout)
        for component in others:
            with step(component.title, component.address, since=began):
                self._await(component, began)
        with step("Workflows", since=began):
            _until(lambda: airflow.knows_dag(layout, DAG_ID), lambda: "Airflow did not take up the DAG annotate")

    def _await(self, component: Component, began: float) -> None:
        pid: int = 0

        def ready() -> bool:
            nonlocal pid
            if component.ready(began):
                return True
            entry = self._supervisor.states()[component.name]
            if entry["statename"] in ("FATAL", "EXITED", "STOPPED", "BACKOFF") or (pid and entry["pid"] != pid):
                raise StackError(self._last_words(component, "ended"))
            pid = entry["pid"]
            return False

        _until(ready, lambda: self._last_words(component, f"did not answer in {_START_TIMEOUT_S:.0f} s"))

    def _last_words(self, component: Component, what: str) -> str:
        log = log_file(self.layout, component.name)
        tail = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:] if log.exists() else []
        return "\n".join([f"{component.title} {what}; the end of {log}:", *tail])

    def _refuse_taken_ports(self) -> None:
        for component in self.components:
            if component.port is None:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", component.port))
                except OSError:
                    raise StackError(
                        f"port {component.port} ({component.title}) is taken{_by_whom(component.port)}; "
                        f"free it, or set GAS_PORT to the first of four free ports (now {self.layout.base_port})"
                    ) from None

    # Stopping.
    def _end(self) -> bool:
        ran = self.is_up()
        if ran:
            with suppress(StackError):  # a supervisor that does not answer is swept away with the rest
                for stores in (False, True):
                    group = [component for component in self.components if component.store == stores]
                    patience_s = max(component.stop_patience_s for component in group) + 5
                    self._supervisor.stop([component.name for component in group], patience_s=patience_s)
                self._supervisor.shut_down()
        swept = self._sweep()
        self._supervisor.reap()
        forget(self.layout.state)
        shutil.rmtree(self.layout.sockets)
        return ran or swept

    def _sweep(self) -> bool:
        started = recorded(self.layout.state)
        left = self._members(started.pid if started else None)
        processes.end(left)
        return bool(left)

    def _members(self, session: int | None) -> Sequence[psutil.Process]:
        return processes.members(stack_id=self.layout.secrets.stack_id, session=session)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.layout.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError("another gas up or gas down is at work on this stack; wait for it") from None
            yield


def _until(true: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not true():
        if time.monotonic() > deadline:
            raise StackError(otherwise())
        time.sleep(_POLL_S)


def _by_whom(port: int) -> str:
    """Name the program that listens on a port, where the system tells."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return ""
    return ""
