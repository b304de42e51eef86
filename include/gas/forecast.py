"""When a job may begin and end: what waits before it, how long recent jobs took, and its own pace. Never a promise."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gas.errors import GasError
from gas.job import DAG_ID, Job, JobStatus

if TYPE_CHECKING:
    from gas.airflow_api import AirflowApi
    from gas.services import Services

#: How many of the latest jobs are looked at, and for how long what was seen is good, in seconds.
RECENT = 40
RECENT_FOR_S = 30
#: Fewer jobs than that say nothing about the next one.
FEWEST = 3
#: A pace is told once the engine has been at it for so many seconds.
PACE_AFTER_S = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What can be said of a job that has not ended."""

    ahead: int | None = None
    """How many jobs wait before it; ``None`` once it has begun."""
    ahead_at_least: bool = False
    """Whether there may be more of them: only so many are looked at."""
    begins_in_s: int | None = None
    """Until its turn, if the jobs before it are like recent ones."""
    usual_s: tuple[int, int] | None = None
    """What a quick and a slow one of the recent jobs took: four in five lie between."""
    left_s: int | None = None
    """Until it is done, at its pace so far."""

    @property
    def sentence(self) -> str:
        """All of it for a person."""
        said = []
        if self.ahead:
            jobs = "1 job waits" if self.ahead == 1 else f"{self.ahead:,} jobs wait"
            said.append(f"{'At least ' if self.ahead_at_least else ''}{jobs} before it.")
        elif self.ahead is not None and not self.ahead_at_least:
            said.append("No job waits before it.")
        if self.begins_in_s:
            said.append(f"If they are like recent ones, its turn comes in {in_words(self.begins_in_s)}.")
        if self.left_s is not None:
            said.append(f"At this pace it is done in {in_words(self.left_s)}.")
        elif self.usual_s:
            quick, slow = map(in_words, self.usual_s)
            said.append(f"Recent jobs took {quick}." if quick == slow else f"Recent jobs took {quick} to {slow}.")
        return " ".join(said)


class RecentTimes:
    """How long the latest jobs took, in seconds. Safe to share between threads."""

    def __init__(self, airflow: AirflowApi, *, now: Callable[[], float] = time.monotonic) -> None:
        self._airflow = airflow
        self._now = now
        self._asking = threading.Lock()
        self._good_until = float("-inf")
        self.known: Sequence[float] = ()
        """As of the last time that Airflow was asked and answered."""

    def asked(self) -> Sequence[float]:
        """As of now. While one caller waits for Airflow the others make do with what is known."""
        if self._now() >= self._good_until and self._asking.acquire(blocking=False):
            try:
                self.known = self._airflow.durations(DAG_ID, RECENT)
            except GasError:
                self.known = ()  # of an engine that does not answer nothing can be foretold
            finally:
                self._good_until = self._now() + RECENT_FOR_S
                self._asking.release()
        return self.known


def forecast(services: Services, job: Job, *, recent: Sequence[float], now: float) -> Forecast:
    """What can be said of the job now (``now`` in POSIX seconds); nothing of one that has ended."""
    if job.job_status.ended:
        return Forecast()
    usual = None
    if len(recent) >= FEWEST:
        tenths = statistics.quantiles(recent, n=10, method="inclusive")
        usual = round(tenths[0]), round(tenths[-1])
    if job.job_status is JobStatus.RUNNING:
        return Forecast(usual_s=usual, left_s=_left_s(job, now))
    ahead, at_least = services.jobs.pending_before(job)
    begins = None
    if usual and ahead:
        begins = round(ahead / services.settings.max_running_jobs * statistics.mean(recent))
    return Forecast(ahead=ahead, ahead_at_least=at_least, begins_in_s=begins, usual_s=usual)


def _left_s(job: Job, now: float) -> int | None:
    progress = job.progress
    if progress is None or job.start_time is None or not 0 < progress.done <= progress.total:
        return None
    taken = now - job.start_time
    return round(taken * (progress.total - progress.done) / progress.done) if taken >= PACE_AFTER_S else None


def in_words(seconds: int) -> str:
    """``100`` as ``about 2 minutes``: no finer than it can be known."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"about {round(seconds, -1)} seconds"
    unit, length = next(pair for pair in _UNITS if seconds >= 0.9 * pair[1])
    number = max(1, round(seconds / length))
    return f"about {number} {unit}{'s' if number != 1 else ''}"


_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
