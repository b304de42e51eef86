"""``gas backfill`` against canned answers of Airflow's; the real ones are in ``tests/live/test_backfills.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
import typer
from pydantic import SecretStr

from gas import backfill
from gas.airflow_api import AirflowApi, AlreadyRunning, BackfillRuns, Reprocess
from gas.cli.backfill import _bar, first_moment, last_moment, params
from gas.errors import Conflict, InputError, NotFound, Unavailable

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
MADE = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Airflow:
    """As much of Airflow's backfills as ``gas backfill`` speaks to: one DAG, at most one open backfill."""

    def __init__(self) -> None:
        self.dates = [START, START + timedelta(hours=6)]
        self.paused = False
        self.open = False
        self.at_work = 0
        self.failed = 0
        self.refusal: httpx.Response | None = None
        self.sent: list[tuple[str, str, dict[str, object]]] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.path
        if path == "/auth/token":
            return httpx.Response(201, json={"access_token": "h.eyJleHAiOiA5OTk5OTk5OTk5fQ.s"})
        if method == "GET":
            return self.read(path, parse_qs(request.url.query.decode()))
        self.sent.append((method, path, json.loads(request.content or "{}")))
        if self.refusal is not None:
            return self.refusal
        if path.endswith("/dry_run"):
            return httpx.Response(200, json={"backfills": [{"logical_date": f"{d.isoformat()}"} for d in self.dates]})
        if path.endswith("/cancel"):
            self.open = False
            return httpx.Response(200, json=self.document())
        if self.open:
            return httpx.Response(409, json={"detail": "There is already a running backfill"})
        self.open, self.at_work = True, len(self.dates)
        return httpx.Response(200, json=self.document())

    def read(self, path: str, query: dict[str, list[str]]) -> httpx.Response:
        if path == "/api/v2/dags/archive":
            return httpx.Response(200, json={"is_paused": self.paused})
        if path == "/api/v2/backfills":
            return httpx.Response(200, json={"backfills": [self.document()]})
        if path == "/api/v2/dags/archive/dagRuns":
            assert query["run_type"] == ["backfill"]
            assert query["logical_date_gte"] == [START.isoformat()]
            assert ("end_date_gte" in query) is (query["state"] != ["queued", "running"])
            ended = len(self.dates) - self.at_work - self.failed
            counts = {"queued": self.at_work, "success": ended, "failed": self.failed}
            return httpx.Response(200, json={"total_entries": counts[query["state"][0]]})
        return httpx.Response(404)

    def document(self) -> dict[str, object]:
        return {
            "id": 7,
            "dag_id": "archive",
            "from_date": "2026-11-01T00:00:00Z",
            "to_date": "2026-11-02T00:00:00Z",
            "created_at": MADE.isoformat(),
            "is_paused": False,
            "completed_at": None if self.open else MADE.isoformat(),
        }

    def sleep(self, seconds: float) -> None:
        """A second in which one more run ends, and after which Airflow closes a backfill that has none left."""
        self.slept.append(seconds)
        self.open = self.open and self.at_work > 0
        self.at_work = max(0, self.at_work - 1)


@pytest.fixture
def airflow() -> Airflow:
    """What answers."""
    return Airflow()


@pytest.fixture
def api(airflow: Airflow) -> Iterator[AirflowApi]:
    """A client of it."""
    made = AirflowApi(
        url="http://airflow.test", user="gas", password=SecretStr("p"), transport=httpx.MockTransport(airflow)
    )
    yield made
    made.close()


@pytest.fixture
def begin(airflow: Airflow, api: AirflowApi) -> Callable[[], object]:
    """Begin a backfill of ``archive``, waiting without a clock."""
    return lambda: backfill.begin(
        api, "archive", start=START, end=END, reprocess=Reprocess.COMPLETED, at_once=2, sleep=airflow.sleep
    )


def test_plan_starts_nothing(airflow: Airflow, api: AirflowApi) -> None:
    """A dry run asks Airflow which intervals there are, and for nothing else."""
    assert backfill.plan(api, "archive", start=START, end=END, reprocess=Reprocess.COMPLETED) == airflow.dates
    assert [path for _, path, _ in airflow.sent] == ["/api/v2/backfills/dry_run"]


def test_plan_of_too_many_runs_is_refused(airflow: Airflow, api: AirflowApi) -> None:
    """More than a thousand runs are not asked for at a time; the sentence says how far one may go."""
    airflow.dates = [START + timedelta(minutes=5 * number) for number in range(backfill.MOST_RUNS + 1)]
    with pytest.raises(InputError, match=r"1,001 runs.*2026-11-04T11:15:00"):
        backfill.plan(api, "archive", start=START, end=END, reprocess=Reprocess.COMPLETED)


def test_runs_are_followed_until_all_have_ended(airflow: Airflow, api: AirflowApi, begin: Callable[[], object]) -> None:
    """Each second tells how many runs are at work and have ended, the last one that none is left."""
    begun = api.backfill("archive", start=START, end=END, reprocess=Reprocess.FAILED, conf={"dry_run": True})
    ((_, _, body),) = airflow.sent
    assert body["reprocess_behavior"] == "failed"
    assert body["dag_run_conf"] == {"dry_run": True}
    seen = list(backfill.progress(api, begun, sleep=airflow.sleep))
    assert seen == [BackfillRuns(at_work=n, succeeded=2 - n, failed=0) for n in (2, 1, 0)]
    assert seen[-1].ended == 2


def test_one_that_is_at_work_is_told_of_plainly(airflow: Airflow, begin: Callable[[], object]) -> None:
    """A second backfill is refused at once, with how far the first one is and which commands show and end it."""
    begin()
    with pytest.raises(AlreadyRunning, match=r"2 runs to go.*gas backfill archive --watch.*--cancel"):
        begin()
    assert airflow.slept == []


def test_one_that_has_ended_is_waited_for_until_airflow_closes_it(
    airflow: Airflow, begin: Callable[[], object]
) -> None:
    """Right after a backfill's last run another may be asked for: it begins when Airflow has looked."""
    begin()
    airflow.at_work = 0
    begin()
    assert airflow.slept == [backfill.POLL_S]
    assert airflow.open


def test_paused_dag_is_refused(airflow: Airflow, begin: Callable[[], object]) -> None:
    """The runs of a paused DAG would wait for ever; nothing is begun."""
    airflow.paused = True
    with pytest.raises(Conflict, match="paused"):
        begin()
    assert airflow.sent == []


def test_dag_without_a_schedule_is_refused_in_a_sentence(airflow: Airflow, api: AirflowApi) -> None:
    """What Airflow says of a DAG that nothing schedules is told as bad input."""
    airflow.refusal = httpx.Response(422, json={"detail": "annotate has a non-periodic schedule"})
    with pytest.raises(InputError, match="annotate cannot be backfilled so: annotate has a non-periodic schedule"):
        backfill.plan(api, "annotate", start=START, end=END, reprocess=Reprocess.COMPLETED)


def test_unknown_dag_is_not_found(airflow: Airflow, api: AirflowApi) -> None:
    """A mistyped name is told of."""
    airflow.refusal = httpx.Response(404)
    with pytest.raises(NotFound, match="archiv"):
        backfill.plan(api, "archiv", start=START, end=END, reprocess=Reprocess.COMPLETED)
    with pytest.raises(NotFound, match="archiv"):
        api.is_paused("archiv")


def test_trouble_of_airflow_is_unavailable(airflow: Airflow, begin: Callable[[], object]) -> None:
    """A server error passes: trying again is safe, for the second would be told that the first is running."""
    airflow.refusal = httpx.Response(503)
    with pytest.raises(Unavailable):
        begin()


def test_running_one_is_cancelled(airflow: Airflow, api: AirflowApi, begin: Callable[[], object]) -> None:
    """It is found by its DAG, and once complete it is not found any more."""
    begin()
    api.cancel_backfill(backfill.running(api, "archive"))
    assert airflow.sent[-1][:2] == ("PUT", "/api/v2/backfills/7/cancel")
    with pytest.raises(NotFound, match="no backfill of archive is running"):
        backfill.running(api, "archive")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-01", "2026-11-01T00:00:00+00:00", "2026-11-01T23:59:59.999999+00:00"),
        ("2026-11-01T06:00", "2026-11-01T06:00:00+00:00", "2026-11-01T06:00:00+00:00"),
        ("2026-11-01T06:00+02:00", "2026-11-01T06:00:00+02:00", "2026-11-01T06:00:00+02:00"),
    ],
    ids=["day", "time", "offset"],
)
def test_a_day_is_the_whole_day(text: str, first: str, last: str) -> None:
    """``--from`` and ``--to`` with the same day take that day; a time is that time, UTC unless it says otherwise."""
    assert first_moment(text).isoformat() == first
    assert last_moment(text).isoformat() == last


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The sentence shows how a time is written."""
    with pytest.raises(typer.BadParameter, match="2026-11-25"):
        last_moment(text)


def test_params_are_an_object() -> None:
    """``--conf`` takes a JSON object and nothing else."""
    assert params('{"dry_run": true}') == {"dry_run": True}
    for text in ("true", "{"):
        with pytest.raises(typer.BadParameter, match="JSON object"):
            params(text)


def test_progress_is_shown_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar on standard error tells how many of how many runs have ended, and how many failed; else there is none."""
    runs = BackfillRuns(at_work=3, succeeded=5, failed=1)
    with _bar("archive") as show:
        show(runs)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with _bar("archive") as show:
        show(runs)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "archive, 1 failed" in captured.err
    assert "6/9" in captured.err
