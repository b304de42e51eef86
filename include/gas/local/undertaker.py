"""Ends what a component that died has left of itself.

A component that is killed cannot end its children: the scheduler's workers would wait for work for ever, and the web
app's would hold its port. supervisord tells this process, one of its event listeners, of each death; it has made each
component the leader of a process group.

Run by supervisord as ``python -m gas.local.undertaker``. http://supervisord.org/events.html has the protocol.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

#: supervisord's word for a component that ended without being asked to.
EVENT = "PROCESS_STATE_EXITED"


def main() -> None:
    """Serve until supervisord closes the line."""
    while True:
        print("READY", flush=True)
        header = sys.stdin.readline()
        if not header:
            return
        death = sys.stdin.read(int(_fields(header)["len"]))
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(int(_fields(death)["pid"]), signal.SIGKILL)
        print("RESULT 2\nOK", end="", flush=True)


def _fields(line: str) -> dict[str, str]:
    return dict(field.split(":", 1) for field in line.split())


if __name__ == "__main__":
    main()
