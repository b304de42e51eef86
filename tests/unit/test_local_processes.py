"""A stack finds and ends its own processes, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from gas.local.processes import MARKER, end, members

#: Stays, deaf to SIGTERM, with a child that has neither its environment nor its session.
PARENT = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
subprocess.run(child, env={}, start_new_session=True)
"""


@pytest.fixture
def stack_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def family(stack_id: str) -> Iterator[subprocess.Popen[bytes]]:
    """A marked process and its child, both running."""
    command = [sys.executable, "-c", PARENT]
    environment = {**os.environ, MARKER: stack_id}
    with subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        child = psutil.Process(process.pid).children()[0]
        yield process
        process.kill()
        if child.is_running():
            child.kill()


def test_descendants_belong(stack_id: str, family: subprocess.Popen[bytes]) -> None:
    """A child without the marker, in a session of its own, belongs to the stack through its parent."""
    found = members(stack_id=stack_id, session=None)
    assert {process.pid for process in found} == {family.pid, *(p.pid for p in psutil.Process(family.pid).children())}
    assert len(found) == 2
    end(found, patience_s=0.2)


def test_the_session_belongs(stack_id: str, family: subprocess.Popen[bytes]) -> None:
    """What is in the supervisor's session belongs to the stack."""
    found = members(stack_id=stack_id, session=family.pid)
    assert family.pid in {process.pid for process in found}
    end(found, patience_s=0.2)


def test_strangers_do_not_belong(family: subprocess.Popen[bytes]) -> None:
    """Another stack's processes are none of ours, also where one of them now has our supervisor's number."""
    assert members(stack_id=uuid.uuid4().hex, session=None) == []
    assert members(stack_id=uuid.uuid4().hex, session=family.pid) == []
    assert psutil.Process(family.pid).is_running()


def test_the_deaf_are_killed(stack_id: str, family: subprocess.Popen[bytes]) -> None:
    """A process that ignores SIGTERM is gone all the same."""
    end(members(stack_id=stack_id, session=None), patience_s=0.2)
    family.wait(timeout=10)
    deadline = time.monotonic() + 10
    while members(stack_id=stack_id, session=None):
        assert time.monotonic() < deadline
        time.sleep(0.02)
