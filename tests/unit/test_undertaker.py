"""What a component that died leaves of itself is ended."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil

from gas.local import undertaker

LEAVES_A_CHILD = """
import os, sys, time
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
os.kill(os.getpid(), 9)
"""


def test_children_of_a_killed_component_are_ended() -> None:
    """supervisord tells of a death; afterwards nothing of that process group is left, and it is told so."""
    with subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_CHILD], stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as component:
        assert component.stdout is not None
        child = psutil.Process(int(component.stdout.readline()))
        assert component.wait(30) == -signal.SIGKILL
    death = f"processname:web groupname:web from_state:RUNNING expected:0 pid:{component.pid}"
    header = f"ver:3.0 server:supervisor serial:1 pool:undertaker poolserial:1 eventname:{undertaker.EVENT}"
    said = subprocess.run(
        [sys.executable, "-m", undertaker.__name__],
        input=2 * f"{header} len:{len(death)}\n{death}",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert said.stdout == "READY\nRESULT 2\nOKREADY\nRESULT 2\nOKREADY\n"
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
