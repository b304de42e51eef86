"""The waits of GAS's DAGs: when they begin, what they carry over, and how they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gas.archive import ArchiveGone, Outcome, Retrieval, RetrievalTier
from gas.errors import NotFound
from gas.job import ArchiveBackend
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS

if TYPE_CHECKING:
    from airflow.sdk.exceptions import TaskDeferred

pytestmark = [*AIRFLOWS_OWN_WARNINGS, pytest.mark.usefixtures("airflow_home")]


def deferral(wait: Callable[[], object]) -> TaskDeferred:
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as caught:
        wait()
    return caught.value


# The delay of free users' results.


def run_of(*, end: datetime | None, run_type: str = "scheduled") -> Any:
    return {"dag_run": SimpleNamespace(run_type=run_type, data_interval_end=end)}


def delay_sensor() -> Any:
    from gas_airflow.sensors import FreeUserDelaySensor

    return FreeUserDelaySensor(task_id="wait")


def test_delay_runs_from_the_end_of_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before interval end plus delay the sensor waits until exactly then; resumed, it hands the interval's end on."""
    monkeypatch.setenv("GAS_FREE_RESULT_TTL", "60")
    sensor, end = delay_sensor(), datetime.now(UTC).replace(microsecond=0)
    waits = deferral(lambda: sensor.execute(run_of(end=end)))
    assert waits.trigger.moment == end + timedelta(seconds=60)
    past = end - timedelta(seconds=61)
    assert getattr(sensor, waits.method_name)(run_of(end=past), event=None) == int(past.timestamp())


def test_delay_that_was_lengthened_meanwhile_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The delay in force when the sensor resumes is the one that counts."""
    monkeypatch.setenv("GAS_FREE_RESULT_TTL", "10")
    sensor, end = delay_sensor(), datetime.now(UTC) - timedelta(seconds=11)
    assert sensor.resume(run_of(end=end))
    monkeypatch.setenv("GAS_FREE_RESULT_TTL", "3600")
    waits = deferral(lambda: sensor.resume(run_of(end=end)))
    assert waits.trigger.moment == end + timedelta(seconds=3600)


@pytest.mark.parametrize("end", [None, datetime(2099, 1, 1, tzinfo=UTC)])
def test_run_started_by_hand_does_not_wait(monkeypatch: pytest.MonkeyPatch, end: datetime | None) -> None:
    """It takes what is due now, whatever interval Airflow makes up for it."""
    monkeypatch.setenv("GAS_FREE_RESULT_TTL", "300")
    before = delay_sensor().execute(run_of(end=end, run_type="manual"))
    assert before == pytest.approx(time.time() - 300, abs=5)


# The way back from the archive.


@dataclass
class Archive:
    """Jobs on their way back: which are asked for, which can be thawed, and what is wrong with some."""

    asked: list[str] = field(default_factory=list)
    thawed: list[str] = field(default_factory=list)
    hot: set[str] = field(default_factory=set)
    trouble: dict[str, Exception] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    def ask_all(self, _: Any, job_ids: list[str]) -> list[Retrieval]:
        return [retrieval for retrieval in (self.ask(_, job_id) for job_id in job_ids) if retrieval]

    def ask(self, _: Any, job_id: str) -> Retrieval | None:
        self.asked.append(job_id)
        if job_id in self.lost:
            raise ArchiveGone(f"the cold copy of {job_id} does not exist")
        if job_id == "gone":
            raise NotFound("there is no job gone")
        if job_id in self.hot:
            return None
        return Retrieval(
            job_id=job_id,
            backend=ArchiveBackend.STORAGE_CLASS,
            token="t",
            archive_id="v",
            size_bytes=10,
            retrieval_job_id=f"retrieval of {job_id}",
            tier=RetrievalTier.STANDARD,
            asked_at=1,
        )

    def thaw(self, _: Any, job_id: str) -> Outcome:
        if job_id in self.trouble:
            raise self.trouble[job_id]
        if job_id in self.damaged:
            return Outcome.DAMAGED
        self.thawed.append(job_id)
        self.hot.add(job_id)
        return Outcome.THAWED


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    from gas.archive import transfer
    from gas_airflow import connections, triggers

    assert triggers.connected_services  # imported before the patch, which it would keep for all other tests
    made = Archive()
    monkeypatch.setattr(transfer, "ask", made.ask)
    monkeypatch.setattr(transfer, "ask_all", made.ask_all)
    monkeypatch.setattr(transfer, "thaw", made.thaw)
    monkeypatch.setattr(connections, "connected_services", lambda: None)
    return made


def retrieval_sensor(*job_ids: str) -> Any:
    from gas_airflow.sensors import GlacierRetrievalSensor

    return GlacierRetrievalSensor(task_id="retrieve", job_ids=list(job_ids))


def context(try_number: int = 1) -> Any:
    return {"ti": SimpleNamespace(try_number=try_number)}


def waits_for(deferred: TaskDeferred) -> list[str]:
    return [retrieval.job_id for retrieval in deferred.trigger.retrievals]


def resumed(sensor: Any, deferred: TaskDeferred, *job_ids: str) -> Callable[[], object]:
    """The task as a worker continues it, with what was stored when it deferred."""
    from airflow.sdk.serde import deserialize, serialize

    stored: Any = deserialize(serialize(deferred.kwargs))
    return lambda: sensor.resume_execution(deferred.method_name, {**stored, "event": {"job_ids": [*job_ids]}}, None)


def test_set_is_thawed_as_its_members_come(archive: Archive) -> None:
    """The sensor resumes for the first that is ready, thaws it, and waits on for the rest until none is left."""
    sensor = retrieval_sensor("a", "b", "c")
    first = deferral(lambda: sensor.execute(context()))
    assert (waits_for(first), archive.thawed) == (["a", "b", "c"], [])
    second = deferral(resumed(sensor, first, "b"))
    assert (waits_for(second), archive.thawed) == (["a", "c"], ["b"])
    assert resumed(sensor, second, "a", "c")() is None
    assert archive.thawed == ["b", "a", "c"]


def test_set_waits_two_days_in_all(archive: Archive) -> None:
    """The second wait ends when the first would have: thawing one does not give the others more time."""
    sensor = retrieval_sensor("a", "b")
    first = deferral(lambda: sensor.execute(context()))
    assert first.timeout == pytest.approx(timedelta(days=2), abs=timedelta(seconds=5))
    first.kwargs["until"] -= 86400
    second = deferral(resumed(sensor, first, "a"))
    assert second.timeout == pytest.approx(timedelta(days=1), abs=timedelta(seconds=5))


def test_wait_that_takes_too_long_fails_the_task(archive: Archive) -> None:
    """After two days Airflow ends the wait, and the task with it."""
    from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
    from airflow.sdk.exceptions import AirflowSensorTimeout

    with pytest.raises(AirflowSensorTimeout):
        retrieval_sensor("a").resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger timeout"}, None)


def test_trouble_with_one_job_stops_no_other(archive: Archive) -> None:
    """A member that cannot be thawed is named when the others are back, and its task fails, to be tried again."""
    from airflow.sdk.exceptions import AirflowException

    archive.trouble["a"] = ConnectionError("AWS does not answer")
    archive.damaged.add("d")
    sensor = retrieval_sensor("a", "b", "d")
    first = deferral(lambda: sensor.execute(context()))
    second = deferral(resumed(sensor, first, "a", "d"))
    assert waits_for(second) == ["b"]
    with pytest.raises(AirflowException, match="2 results are not back: a: ConnectionError: AWS does not answer; d: "):
        resumed(sensor, second, "b")()
    assert archive.thawed == ["b"]


def test_copy_that_does_not_exist_stops_no_other(archive: Archive) -> None:
    """The others are asked for and come back; then the task fails and names the one whose copy is gone."""
    from airflow.sdk.exceptions import AirflowException

    archive.lost.add("b")
    sensor = retrieval_sensor("a", "b", "c")
    first = deferral(lambda: sensor.execute(context()))
    assert waits_for(first) == ["a", "c"]
    with pytest.raises(AirflowException, match="1 results are not back: b: ArchiveGone: the cold copy of b"):
        resumed(sensor, first, "a", "c")()
    assert archive.thawed == ["a", "c"]


def test_next_try_first_finishes_what_the_last_one_left(archive: Archive) -> None:
    """A task that died between thawing and cleaning up cleans up when it is tried again."""
    archive.hot.add("a")
    assert retrieval_sensor("a").execute(context(try_number=1)) is None
    assert archive.thawed == []
    assert retrieval_sensor("a").execute(context(try_number=2)) is None
    assert archive.thawed == ["a"]


def test_deleted_job_is_no_trouble(archive: Archive) -> None:
    """A job that its owner deleted meanwhile is left out."""
    assert retrieval_sensor("gone").execute(context()) is None
