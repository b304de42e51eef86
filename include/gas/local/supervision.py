"""The one supervisor of a stack: supervisord, in a session of its own, driven over its unix socket."""

from __future__ import annotations

import configparser
import http.client
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc import client as xmlrpc

import psutil

from gas.local import undertaker
from gas.local.components import Component
from gas.local.layout import Layout, StackError, write_private
from gas.local.processes import MARKER

_UNDERTAKER = "undertaker"
_RUNNING, _STARTING, _STOPPING = "RUNNING", "STARTING", "STOPPING"


@dataclass(frozen=True, kw_only=True)
class Started:
    """What is remembered of a start, so that ``down`` finds the supervisor, or what it left behind."""

    pid: int
    create_time: float
    base_port: int


class Supervisor:
    """Starts, watches and stops the components of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._socket = layout.sockets / "supervisor.sock"
        self._process: subprocess.Popen[bytes] | None = None  # of the supervisor that this object launched

    # The process itself.
    def launch(self, components: Iterable[Component], environment: Mapping[str, str]) -> None:
        """Start supervisord, with nothing running under it yet.

        :raises StackError: if it does not answer within 15 s.
        """
        configuration = self._layout.state / "supervisord.conf"
        write_private(configuration, self._configuration(components))
        self._socket.unlink(missing_ok=True)
        with (self._layout.log / "supervisord.out").open("w") as out:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._layout.state,
                env={**environment, MARKER: self._layout.secrets.stack_id},
            )
        started = Started(
            pid=process.pid,
            create_time=psutil.Process(process.pid).create_time(),
            base_port=self._layout.base_port,
        )
        write_private(self._layout.state / "stack.json", json.dumps(started.__dict__))
        deadline = time.monotonic() + 15
        while not self._socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"the supervisor did not start; see {self._layout.log}")
            time.sleep(0.02)

    def alive(self) -> bool:
        """Whether the supervisor that was started last still runs."""
        started = recorded(self._layout.state)
        if started is None:
            return False
        try:
            process = psutil.Process(started.pid)
            return bool(process.create_time() == started.create_time and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def shut_down(self) -> None:
        """Ask supervisord to stop whatever still runs and then itself; returns when it is gone or after 30 s."""
        self.stop([_UNDERTAKER], patience_s=10)  # or supervisord takes a second for each component on its way to it
        self._call("supervisor.shutdown")
        deadline = time.monotonic() + 30
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def reap(self) -> None:
        """Take note that the supervisor has ended, where this process is its parent."""
        if self._process:
            self._process.wait()
            self._process = None

    # Its programs.
    def start(self, names: Iterable[str]) -> None:
        """Start programs without waiting for them; their states tell of one that ended at once."""
        for name in names:
            try:
                self._call("supervisor.startProcess", name, False)
            except xmlrpc.Fault as fault:
                if fault.faultString.split(":")[0] != "SPAWN_ERROR":
                    raise

    def stop(self, names: Iterable[str], *, patience_s: float) -> None:
        """Stop programs side by side and wait until they are gone, or ``patience_s`` is over."""
        states = self.states()
        waiting = [name for name in names if states.get(name, {}).get("statename") in (_RUNNING, _STARTING, "BACKOFF")]
        for name in waiting:
            try:
                self._call("supervisor.stopProcess", name, False)
            except xmlrpc.Fault as fault:
                if fault.faultString.split(":")[0] != "NOT_RUNNING":
                    raise
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            states = self.states()
            if not any(states[name]["statename"] in (_RUNNING, _STARTING, _STOPPING) for name in waiting):
                return
            time.sleep(0.05)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return what supervisord says of each program, by name: ``statename``, ``start`` (POSIX seconds), ``pid``."""
        return {entry["name"]: entry for entry in self._call("supervisor.getAllProcessInfo")}

    def _call(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with xmlrpc.ServerProxy("http://localhost", transport=transport) as server:
                return getattr(server, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise StackError(f"the supervisor does not answer ({error}); run gas down, then start again") from error

    def _configuration(self, components: Iterable[Component]) -> str:
        layout = self._layout
        parser = configparser.RawConfigParser()
        parser["unix_http_server"] = {"file": str(self._socket), "chmod": "0600"}
        parser["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        parser["supervisord"] = {
            "logfile": str(layout.log / "supervisord.log"),
            "logfile_maxbytes": "5MB",
            "logfile_backups": "1",
            "pidfile": str(layout.state / "supervisord.pid"),
            "childlogdir": str(layout.log),
            "umask": "077",
            **({"user": "root"} if os.geteuid() == 0 else {}),  # or it warns about running as root
        }
        parser[f"eventlistener:{_UNDERTAKER}"] = {
            "command": shlex.join((sys.executable, "-m", undertaker.__name__)),
            "events": undertaker.EVENT,
            "stdout_logfile": "NONE",  # it speaks to supervisord there
            "stderr_logfile": str(log_file(layout, _UNDERTAKER)),
        }
        for component in components:
            parser[f"program:{component.name}"] = {
                "command": shlex.join(component.command),
                "autostart": "false",
                "autorestart": "true",
                "startsecs": "1",
                "startretries": "3",
                "stopsignal": component.stop_signal,
                "stopasgroup": "false" if component.store else "true",
                "killasgroup": "true",
                "stopwaitsecs": str(component.stop_patience_s),
                "redirect_stderr": "true",
                "stdout_logfile": str(log_file(layout, component.name)),
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "2",
            }
        lines: list[str] = []
        for section in parser.sections():
            lines.append(f"[{section}]")
            lines += [f"{name} = {value.replace('%', '%%')}" for name, value in parser[section].items()]
        return "\n".join(lines) + "\n"


def log_file(layout: Layout, name: str) -> Path:
    """Where a component writes what it has to say."""
    return layout.log / f"{name}.log"


def recorded(state: Path) -> Started | None:
    """Return what the last start left in the state folder, if it was not stopped since."""
    file = state / "stack.json"
    return Started(**json.loads(file.read_text())) if file.exists() else None


def forget(state: Path) -> None:
    """Remember that nothing of the stack runs any more."""
    (state / "stack.json").unlink(missing_ok=True)
