"""Airflow's local executor, for a scheduler that somebody starts again when it ends.

The workers take turns at one queue, and whoever waits at it holds its lock. A worker that is killed there, as the
kernel does when memory runs out, takes the lock along: the others wait for ever, and no task is started any more,
while the scheduler goes on as if nothing had happened. Such a scheduler ends itself here; its tasks are taken up again.

A worker that is killed just after it took a task leaves that one queued, and the scheduler believes for ever that it
is about to begin. Airflow hands such tasks out anew after ``task_queued_timeout``, if the executor can let go of them.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.executors import local_executor

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

log = logging.getLogger(__name__)

STUCK_S = 30
"""How long tasks lie in the queue while workers are idle before nobody is believed to take them."""


NICER = 5
"""By how much workers, and what they start, stand back: pages, upgrades and the scheduler come first."""


class LocalExecutor(local_executor.LocalExecutor):
    """Runs tasks in processes of this machine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent = 0
        self._taken = 0
        self._untaken_since: float | None = None

    def sync(self) -> None:
        """Called many times a second: note what came of tasks, and see that workers take new ones.

        In a burst there is always a task that an idle worker is just about to take, whenever one looks; so that only
        tasks of which none is taken count.
        """
        super().sync()
        unread = int(self._unread_messages.value)
        taken, before = self._sent - unread, self._taken
        self._taken = taken
        workers_idle = len(self.running) - unread < len(self.workers)
        if taken != before or unread == 0 or not workers_idle:
            self._untaken_since = None
        elif self._untaken_since is None:
            self._untaken_since = time.monotonic()
        elif time.monotonic() - self._untaken_since > STUCK_S:
            log.critical("idle workers take no tasks: one was killed while it held the queue. The scheduler ends")
            self.end_scheduler()

    def _spawn_worker(self) -> None:
        before = set(self.workers)
        super()._spawn_worker()
        for pid in self.workers.keys() - before:
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER)

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Let go of a task that nobody began. Should one still do, Airflow lets only one of the two run."""
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)

    def end_scheduler(self) -> None:
        """At once: an orderly end would wait for the workers."""
        os.kill(os.getpid(), signal.SIGKILL)

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        self._sent += len(workload_list)
        super()._process_workloads(workload_list)
