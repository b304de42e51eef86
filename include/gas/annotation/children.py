"""Running functions in forked children, a bounded number at once, with their outcomes back.

Only the engine's own process forks here: it has one thread. What a child dies of (a signal, a limit) comes back as a
sentence, never as the death of the engine.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gas.annotation.bcftools import ToolFailed, die_with_parent
from gas.errors import EngineError, GasError


@dataclass(frozen=True, slots=True)
class _Running:
    work: str
    outcome: Path
    done: Callable[[Any], None]


class Children:
    """Starts children, at most ``at_once`` at a time; outcomes are given to callbacks in this process."""

    def __init__(self, *, at_once: int, folder: Path) -> None:
        self._at_once = at_once
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._running: dict[int, _Running] = {}
        self._started = 0
        self.alone = False
        """Run what is started here and now, without a child: for work that is one piece anyway."""

    def start(self, work: str, function: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``function`` in a child, when there is room; until then, wait for others and take their outcomes.

        :param work: what it does, for the sentence about its death ("annotating").
        :raises GasError: what the function of an earlier child raised, or how it died; a ToolFailed likewise.
        """
        if self.alone:
            done(function())
            return
        while len(self._running) >= self._at_once:
            self._take(wait=True)
        outcome = self._folder / f"outcome-{self._started}"
        self._started += 1
        child = os.fork()
        if child == 0:
            _run(function, outcome)
        self._running[child] = _Running(work, outcome, done)

    @property
    def running(self) -> int:
        """How many are at work."""
        return len(self._running)

    def poll(self) -> None:
        """Take the outcomes that are there, without waiting."""
        while self._running and self._take(wait=False):
            pass

    def finish(self) -> None:
        """Wait for all, and take their outcomes."""
        while self._running:
            self._take(wait=True)

    def stop(self) -> None:
        """Kill all."""
        for child in self._running:
            os.kill(child, signal.SIGKILL)
        for child in self._running:
            os.waitpid(child, 0)
        self._running.clear()

    def _take(self, *, wait: bool) -> bool:
        child, status = os.waitpid(-1, 0 if wait else os.WNOHANG)
        running = self._running.pop(child, None)
        if running is None:
            return child != 0
        code = os.waitstatus_to_exitcode(status)
        if code:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise EngineError(
                f"The annotation engine {how} while {running.work}; the memory limit may be too low, or the input "
                "reached a fault in bcftools."
            )
        outcome = pickle.loads(running.outcome.read_bytes())  # noqa: S301 - written by our own child, in our own folder
        running.outcome.unlink()
        if isinstance(outcome, BaseException):
            raise outcome
        running.done(outcome)
        return True


def _run(function: Callable[[], Any], outcome: Path) -> None:
    """The child: run, leave the outcome, and be gone without the parent's clean-up."""
    status = 70  # EX_SOFTWARE
    try:
        die_with_parent()
        result: Any
        try:
            result = function()
        except (GasError, ToolFailed) as error:
            result = error
        except MemoryError:
            result = EngineError("The annotation engine reached its memory limit.")
        except OSError as error:
            result = EngineError(f"The annotation engine failed: {error.strerror or error}.")
        outcome.write_bytes(pickle.dumps(result))
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
