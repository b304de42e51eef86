"""What may befall the parts of a running stack, and how one sees that they are back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from gas.local.stack import Stack
from gas.local.supervision import Supervisor

PATIENCE_S = 120.0
#: Between two looks: the machine has better things to do.
PAUSE_S = 0.2


def until(found: Callable[[], object], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Wait until something is so.

    :param what: what is waited for, for the sentence when it does not come.
    """
    deadline = time.monotonic() + patience_s
    while not found():
        assert time.monotonic() < deadline, f"{what}: not within {patience_s:.0f} s"
        time.sleep(PAUSE_S)


@dataclass(frozen=True)
class Calamities:
    """Everything that is done to one stack. Each returns when the part that was hit answers again."""

    stack: Stack

    def kill(self, name: str) -> float:
        """SIGKILL to a component's main process; how long until the supervisor's new one answers, in seconds."""
        supervisor = Supervisor(self.stack.layout)
        began, victim = time.time(), psutil.Process(supervisor.states()[name]["pid"])
        children = victim.children(recursive=True)
        victim.kill()
        until(lambda: supervisor.states()[name]["pid"] not in (0, victim.pid), f"the supervisor starts {name} again")
        self._await(name, began)
        assert [child for child in children if _alive(child)] == [], "what it has left of itself"
        return time.time() - began

    def kill_worker(self) -> None:
        """SIGKILL to a worker in the middle of a task, and to the task.

        It is stopped first, and looked at again: one without work holds the lock on the queue that all of them share.
        """

        def hit() -> bool:
            for worker in workers(self.stack):
                with suppress(psutil.NoSuchProcess):
                    if not worker.children():
                        continue
                    worker.suspend()
                    tasks = worker.children()
                    if tasks:
                        for process in (worker, *tasks):
                            process.kill()
                        return True
                    worker.resume()
            return False

        until(hit, "a worker has something to do")

    def away(self, name: str, seconds: float) -> None:
        """A component is stopped in an orderly way (SIGTERM), and started again after some seconds."""
        supervisor = Supervisor(self.stack.layout)
        supervisor.stop([name], patience_s=60)
        assert supervisor.states()[name]["statename"] == "STOPPED"
        time.sleep(seconds)  # for so long it is to be away
        began = time.time()
        supervisor.start([name])
        self._await(name, began)

    def _await(self, name: str, began: float) -> None:
        (component,) = (component for component in self.stack.components if component.name == name)
        until(lambda: component.ready(began), f"{name} answers")


def workers(stack: Stack) -> list[psutil.Process]:
    """The worker processes of this stack's executor; a busy one has its task as a child."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        if " ".join(process.info["cmdline"] or ()).startswith("airflow worker -- LocalExecutor"):
            with suppress(psutil.Error):
                if process.environ().get("GAS_STATE") == str(stack.layout.state):
                    found.append(process)
    return found


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
