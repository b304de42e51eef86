"""Which processes belong to a stack, and ending them all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

import psutil

#: In the environment of every process that the supervisor starts, with the stack's id as its value.
MARKER = "GAS_STACK"


def members(*, stack_id: str, session: int | None) -> list[psutil.Process]:
    """Return the processes of one stack, wherever they hang in the process tree.

    A process belongs if its environment carries the stack's marker, if it is in the supervisor's session, or if it
    descends from one that belongs: PostgreSQL overwrites its environment, and its children lead sessions of their own.

    :param session: the id of the supervisor's session. While any process is in it, the system gives the number to no
        other; a session leader that lacks the marker took the number over after all had ended.
    """
    found: dict[int, psutil.Process] = {}
    stranger = session is not None and psutil.pid_exists(session) and not _marked(session, stack_id)
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            in_session = session is not None and not stranger and os.getsid(process.pid) == session
        except (ProcessLookupError, PermissionError):
            continue
        if in_session or _marked(process.pid, stack_id):
            found[process.pid] = process
    for process in list(found.values()):
        try:
            descendants = process.children(recursive=True)
        except psutil.NoSuchProcess:
            continue
        found.update((child.pid, child) for child in descendants if child.pid != os.getpid())
    return [process for process in found.values() if _alive(process)]


def end(processes: Iterable[psutil.Process], *, patience_s: float = 10.0) -> None:
    """End processes: PostgreSQL last, since the others write to it; by SIGKILL what does not heed a signal in time."""
    everyone = list(processes)
    database = [process for process in everyone if _name(process) == "postgres"]
    others = [process for process in everyone if process not in database]
    _signal(others, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(others, timeout=patience_s)
    _signal(stubborn, signal.SIGKILL)
    _signal(database, signal.SIGINT)  # a fast shutdown; SIGTERM would wait for the last client
    _, more = psutil.wait_procs(database, timeout=patience_s)
    _signal(more, signal.SIGKILL)
    psutil.wait_procs([*stubborn, *more], timeout=patience_s)


def _marked(pid: int, stack_id: str) -> bool:
    try:
        return bool(psutil.Process(pid).environ().get(MARKER) == stack_id)
    except (psutil.Error, OSError):
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)  # psutil checks that the pid was not reused
        except psutil.NoSuchProcess:
            continue
