"""The gate of the AWS stand-in: nothing that a snapshot misses may be answered."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gas.local.aws_standin.gate import Gate


def _in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_closing_waits_for_the_last_inside() -> None:
    """Whoever is inside may go on; only then is the gate closed."""
    gate, closed = Gate(), threading.Event()

    def close() -> None:
        gate.close()
        closed.set()

    with gate.shared():
        _in_thread(close)
        assert not closed.wait(0.05)
    assert closed.wait(10)


def test_a_closed_gate_lets_nobody_in() -> None:
    """A request that comes after the last snapshot is not answered: it would be lost."""
    gate, entered = Gate(), threading.Event()

    def enter() -> None:
        with gate.shared():
            entered.set()

    gate.close()
    _in_thread(enter)
    assert not entered.wait(0.05)


def test_a_snapshot_opens_the_gate_again() -> None:
    """Requests wait while somebody is alone, and pass afterwards."""
    gate, entered = Gate(), threading.Event()

    def enter() -> None:
        with gate.shared():
            entered.set()

    with gate.alone():
        _in_thread(enter)
        assert not entered.wait(0.05)
    assert entered.wait(10)
