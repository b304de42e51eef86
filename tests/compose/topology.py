"""The services of a Compose file as plain processes, where there is no Docker.

What runs, with which environment and after what, is read from the file; only what a container would have of its own is
put in its place: each gets a loopback address instead of a network's, a folder instead of each volume, and in commands,
environments and mounted files, names of services, addresses and paths are replaced by these.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from gas.local import postgres, processes
from tests.compose.configured import CHECKOUT, PROGRAMS

#: Where an address of one's own can be had without asking: all of 127.0.0.0/8 is this machine. Fresh for each run.
_random = random.SystemRandom()
NETWORK = f"127.{_random.randrange(1, 250)}.{_random.randrange(250)}"
ADDRESSES = [f"{NETWORK}.{number}" for number in range(1, 60)]
#: The container whose ports the file publishes is reached as a browser reaches it.
PUBLISHED = "127.0.0.1"

START_S = 240.0
#: Nobody misses what is not finished by then.
STOP_S = 8.0
POLL_S = 0.5


class NotStarted(AssertionError):
    """A service of the file cannot be started; says why."""


@dataclass
class Container:
    """One replica of a service."""

    service: str
    number: int
    spec: Mapping[str, Any]
    address: str
    folder: Path
    marker: str
    process: subprocess.Popen[bytes] | None = None
    killed: bool = False

    @property
    def name(self) -> str:
        return f"{self.service}-{self.number}"

    @property
    def one_shot(self) -> bool:
        return self.spec.get("restart") == "no"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def said(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:]) if self.log.exists() else ""

    def members(self) -> list[psutil.Process]:
        """All of its processes."""
        return processes.members(stack_id=self.marker, session=None)


@dataclass
class Topology:
    """All containers of a file."""

    services: Mapping[str, Mapping[str, Any]]
    folder: Path
    containers: list[Container] = field(default_factory=list)

    def __post_init__(self) -> None:
        free = iter(ADDRESSES)
        run = uuid.uuid4().hex
        for service, spec in self.services.items():
            for number in range(1, int(spec.get("deploy", {}).get("replicas", 1)) + 1):
                folder = self.folder / f"{service}-{number}"
                folder.mkdir()
                address = PUBLISHED if service == "proxy" else next(free)
                self.containers.append(Container(service, number, spec, address, folder, f"{run}-{service}-{number}"))

    def of(self, service: str) -> list[Container]:
        """The replicas of a service."""
        return [container for container in self.containers if container.service == service]

    def address(self, service: str) -> str:
        """Of a service's first replica."""
        return self.of(service)[0].address

    # Starting and stopping.
    def up(self) -> None:
        """Start each as soon as what it depends on is as the file wants it.

        :raises NotStarted: when one cannot be started, ends, or does not become healthy.
        """
        deadline = time.monotonic() + START_S
        healthy: set[str] = set()
        waiting = list(self.containers)
        while waiting or any(c.name not in healthy for c in self.containers if not c.one_shot):
            for container in list(waiting):
                if all(self._is(*dependency, healthy) for dependency in self._dependencies(container)):
                    self.start(container)
                    waiting.remove(container)
            for container in self.containers:
                process = container.process
                if process is None or container.name in healthy:
                    continue
                ended = process.poll()
                if ended or (ended == 0 and not container.one_shot):
                    raise NotStarted(f"{container.name} ended with {ended}:\n{container.said()}")
                if not container.one_shot and self.healthy(container):
                    healthy.add(container.name)
            if time.monotonic() > deadline:
                left = [c for c in self.containers if c.name not in healthy and not (c.one_shot and c.process)]
                told = "\n".join(f"{c.name}:\n{c.said()}" for c in left)
                raise NotStarted(f"not within {START_S:.0f} s: {told}")
            time.sleep(POLL_S)
        for container in self.containers:
            if container.one_shot and container.process:
                code = container.process.wait(timeout=max(1.0, deadline - time.monotonic()))
                if code:
                    raise NotStarted(f"{container.name} ended with {code}:\n{container.said()}")

    def start(self, container: Container) -> None:
        """Start one."""
        self._prepare(container)
        command = self._command(container)
        environment = {**self.environment(container), processes.MARKER: container.marker, "SPT_NOENV": "1"}
        with container.log.open("ab") as out:
            try:
                container.process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=self._working_folder(container),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise NotStarted(f"{container.name}: {error}") from error

    def kill(self, container: Container) -> None:
        """SIGKILL to all of its processes at once, as the kernel does when a container's first process is killed."""
        victims = container.members()
        assert victims, f"{container.name} does not run:\n{container.said()}"
        container.killed = True
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        assert container.process is not None
        container.process.wait(timeout=STOP_S)
        processes.end(container.members())

    def start_again(self, container: Container) -> None:
        """Start one that was killed, and wait until it is healthy.

        :raises NotStarted: when it does not become so.
        """
        container.killed = False
        self.start(container)
        deadline = time.monotonic() + START_S
        while not self.healthy(container):
            if time.monotonic() > deadline:
                raise NotStarted(f"{container.name} is not well again:\n{container.said()}")
            time.sleep(POLL_S)

    def down(self) -> None:
        """Stop all: what others keep their data in last."""
        stores = ("postgres", "redis", "aws", "globus")
        for group in (lambda c: c.service not in stores, lambda c: c.service in stores):
            running = [c for c in self.containers if group(c) and c.process]
            for container in running:
                assert container.process is not None
                container.process.send_signal(signal.SIGINT if container.service == "postgres" else signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            for container in running:
                assert container.process is not None
                with suppress(subprocess.TimeoutExpired):
                    container.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            processes.end([member for container in running for member in container.members()], patience_s=1)
            for container in running:
                assert container.process is not None
                container.process.wait(timeout=STOP_S)

    def healthy(self, container: Container) -> bool:
        """Whether its health check finds it well."""
        check = container.spec.get("healthcheck")
        if check is None:
            raise NotStarted(f"{container.service} has no health check")
        kind, *test = check["test"]
        if kind != "CMD":
            raise NotStarted(f"{container.service} has a health check of the kind {kind}")
        done = subprocess.run(
            [self._replaced(word, container) for word in test],
            env=self.environment(container),
            cwd=self._working_folder(container),
            capture_output=True,
            timeout=30,
        )
        with (container.folder / "health").open("ab") as log:
            log.write(done.stdout + done.stderr)
        return done.returncode == 0

    # What one depends on.
    def _dependencies(self, container: Container) -> Iterator[tuple[str, str]]:
        for service, wanted in (container.spec.get("depends_on") or {}).items():
            if service in self.services:
                yield service, wanted["condition"]
            elif wanted["required"]:
                raise NotStarted(f"{container.service} depends on {service}, which is not there")

    def _is(self, service: str, condition: str, healthy: set[str]) -> bool:
        replicas = self.of(service)
        match condition:
            case "service_started":
                return all(container.process for container in replicas)
            case "service_healthy":
                return all(container.name in healthy for container in replicas)
            case "service_completed_successfully":
                return all(container.process and container.process.poll() == 0 for container in replicas)
            case _:
                raise NotStarted(f"{service}: no such condition as {condition}")

    # What a container has of its own.
    def _command(self, container: Container) -> list[str]:
        spec = container.spec
        words = [*(spec.get("entrypoint") or ()), *(spec.get("command") or ())]
        words = [self._replaced(word, container) for word in words]
        image = str(spec["image"]).split(":")[0]
        match image:
            case "gas":
                return words
            case "caddy":
                return words
            case "redis":
                return [*words, "--bind", container.address]
            case "postgres":
                return self._postgres(container, words)
            case _:
                raise NotStarted(f"{container.service}: there is no program here for the image {spec['image']}")

    def environment(self, container: Container) -> dict[str, str]:
        """Its environment, as its processes see it."""
        given = {
            name: str(value) for name, value in (container.spec.get("environment") or {}).items() if value is not None
        }
        shims = self.folder / "shims"
        return {
            "PATH": os.pathsep.join(map(str, [PROGRAMS, postgres_programs(), os.environ["PATH"], shims])),
            "HOME": str(container.folder),
            "TMPDIR": str(container.folder),
            "PYTHONUNBUFFERED": "1",
            "HOSTNAME": container.name,
            "NO_PROXY": "*",
            **{name: self._replaced(value, container) for name, value in given.items()},
        }

    def _working_folder(self, container: Container) -> Path:
        wanted = container.spec.get("working_dir")
        return Path(self._replaced(wanted, container)) if wanted else CHECKOUT

    def _paths(self, container: Container) -> dict[str, Path]:
        """Its paths that lie elsewhere here: volumes, mounted files and what is in memory."""
        spec, found = container.spec, {"/opt/gas": CHECKOUT}
        for target in (entry.split(":")[0] for entry in spec.get("tmpfs") or ()):
            found[target] = container.folder / f"tmpfs{target.replace('/', '-')}"
        for volume in spec.get("volumes") or ():
            target = volume["target"]
            if volume["type"] == "bind":
                found[target] = container.folder / Path(target).name
            elif volume.get("source"):
                found[target] = self.folder / "volumes" / volume["source"]
            else:
                found[target] = container.folder / f"volume{target.replace('/', '-')}"
        return found

    def _prepare(self, container: Container) -> None:
        """Make its folders and its mounted files."""
        paths = self._paths(container)
        mounted = {
            volume["target"]: Path(volume["source"])
            for volume in container.spec.get("volumes") or ()
            if volume["type"] == "bind"
        }
        for target, path in paths.items():
            if target in mounted:
                path.write_text(self._replaced(mounted[target].read_text(), container))
            else:
                path.mkdir(parents=True, exist_ok=True)

    def _replaced(self, text: str, container: Container) -> str:
        """In one go, so that nothing is replaced twice."""
        paths = self._paths(container)

        def here(found: re.Match[str]) -> str:
            if found["path"]:
                return str(paths[found["path"]])
            return self._names[found["name"]] if found["name"] else container.address

        longest_first = sorted(paths, key=len, reverse=True)
        return re.sub(
            rf"(?<![\w.])(?P<path>{'|'.join(map(re.escape, longest_first))})(?![\w.])"
            rf"|(?<![\w.-])(?P<name>{'|'.join(map(re.escape, self._names))})(?=:\d)"
            rf"|(?P<any>0\.0\.0\.0|127\.0\.0\.1)",
            here,
            text,
        )

    @cached_property
    def _names(self) -> dict[str, str]:
        """What a container is called by others."""
        names = {}
        for service, spec in self.services.items():
            if self.of(service)[0].one_shot:
                continue
            aliases = [
                alias
                for network in (spec.get("networks") or {}).values()
                for alias in (network or {}).get("aliases", ())
            ]
            for name in (service, *aliases):
                names[name] = self.address(service)
        return names

    def _postgres(self, container: Container, words: Sequence[str]) -> list[str]:
        """What the image does before its command: make the data folder, the database, and what the scripts say."""
        given = container.spec["environment"]
        as_user = postgres._as_ordinary_user()
        data, sockets = container.folder / "data", container.folder / "s"
        sockets.mkdir()
        password = container.folder / "password"
        password.write_text(given["POSTGRES_PASSWORD"])
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        run(
            [
                *as_user,
                "initdb",
                f"--pgdata={data}",
                f"--username={given['POSTGRES_USER']}",
                f"--pwfile={password}",
                *options,
            ]
        )
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all 127.0.0.0/8 scram-sha-256\n")
        single = [*as_user, "postgres", "--single", "-D", str(data), "-j", "postgres"]
        run(single, typed=f"CREATE DATABASE {given['POSTGRES_DB']};\n\n")
        for script in container.spec["volumes"]:
            if script["target"].startswith("/docker-entrypoint-initdb.d/"):
                sql = re.sub(r"^--.*\n", "", Path(script["source"]).read_text(), flags=re.MULTILINE)
                run(single, typed=f"{sql}\n\n")
        listening = ("listen_addresses", container.address), ("unix_socket_directories", str(sockets)), ("fsync", "off")
        settings = [word for name, value in listening for word in ("-c", f"{name}={value}")]
        return [*as_user, *words, "-D", str(data), *settings]


def postgres_programs() -> Path:
    """Where the programs of PostgreSQL lie."""
    return postgres._binaries()


def run(command: Sequence[str], *, typed: str = "") -> None:
    """Run one of PostgreSQL's programs to its end."""
    path = os.pathsep.join([str(postgres_programs()), os.environ["PATH"]])
    done = subprocess.run(
        command, input=typed, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise NotStarted(f"{' '.join(command)}: {done.stderr or done.stdout}")


def shim_wget(folder: Path) -> None:
    """A ``wget`` for the health check of an image that has one, where this machine has none."""
    if shutil.which("wget"):
        return
    folder.mkdir()
    program = folder / "wget"
    program.write_text(
        f"#!{sys.executable}\nimport sys, urllib.request\nurllib.request.urlopen(sys.argv[-1], timeout=5)\n"
    )
    program.chmod(0o755)
