"""What is foretold of a job, and how it is put."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gas.errors import Unavailable
from gas.forecast import Forecast, RecentTimes, forecast, in_words
from gas.job import JobStatus, Progress, new_job_id
from tests.fakes import pending_job

RECENT = [2.0, 4.0, 4.0, 4.0, 5.0, 90.0]


def services(ahead: int, *, at_least: bool = False) -> Any:
    """Services of which only the queue and the number of slots matter."""
    return SimpleNamespace(
        jobs=SimpleNamespace(pending_before=lambda _: (ahead, at_least)), settings=SimpleNamespace(max_running_jobs=2)
    )


@pytest.mark.parametrize(
    ("ahead", "at_least", "recent", "sentence"),
    [
        (0, False, [], "No job waits before it."),
        (1, False, [], "1 job waits before it."),
        (0, True, [], ""),
        (0, False, [3.0] * 5, "No job waits before it. Recent jobs took a few seconds."),
        (
            40,
            True,
            RECENT,
            "At least 40 jobs wait before it. If they are like recent ones, its turn comes in about 6 minutes. "
            "Recent jobs took a few seconds to about 50 seconds.",
        ),
    ],
)
def test_waiting_job(ahead: int, at_least: bool, recent: list[float], sentence: str) -> None:
    """Its place, and its turn where enough recent jobs say how long those before it may take."""
    told = forecast(services(ahead, at_least=at_least), pending_job(job_id=new_job_id()), recent=recent, now=0)
    assert told.sentence == sentence


@pytest.mark.parametrize(
    ("progress", "now", "left_s"),
    [
        (Progress(stage="starting"), 1100, None),
        (Progress(stage="consequences", done=10, total=0), 1100, None),
        (Progress(stage="consequences", done=10, total=110), 1002, None),
        (Progress(stage="consequences", done=10, total=110), 1010, 100),
        (Progress(stage="consequences", done=110, total=110), 1010, 0),
    ],
)
def test_running_job_tells_what_is_left_at_its_pace(progress: Progress, now: int, left_s: int | None) -> None:
    """Once it has been at it for some seconds, and knows how much there is."""
    job = replace(pending_job(job_id=new_job_id()), job_status=JobStatus.RUNNING, start_time=1000, progress=progress)
    told = forecast(services(7), job, recent=RECENT, now=now)
    assert (told.left_s, told.ahead) == (left_s, None)


def test_nothing_is_foretold_of_what_has_ended() -> None:
    """A job at its end says for itself how it ended."""
    job = replace(pending_job(job_id=new_job_id()), job_status=JobStatus.FAILED)
    assert forecast(services(7), job, recent=RECENT, now=0) == Forecast()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (14, "about 10 seconds"),
        (54, "about 50 seconds"),
        (55, "about 1 minute"),
        (3200, "about 53 minutes"),
        (3500, "about 1 hour"),
        (100_000, "about 1 day"),
        (200_000, "about 2 days"),
    ],
)
def test_times_are_no_finer_than_known(seconds: int, words: str) -> None:
    """Every length has words."""
    assert in_words(seconds) == words


def test_airflow_is_asked_now_and_then() -> None:
    """What it told is good for half a minute; one that does not answer is left alone as long, and nothing is known."""
    clock, asked = [0.0], []

    def durations(dag_id: str, number: int) -> list[float]:
        asked.append(number)
        if len(asked) == 2:
            raise Unavailable("no answer")
        return RECENT

    airflow: Any = SimpleNamespace(durations=durations)
    times = RecentTimes(airflow, now=lambda: clock[0])
    assert (times.known, times.asked(), times.asked(), len(asked)) == ((), RECENT, RECENT, 1)
    clock[0] = 31
    assert (times.asked(), times.asked(), len(asked)) == ((), (), 2)
    clock[0] = 62
    assert (times.asked(), times.known) == (RECENT, RECENT)
