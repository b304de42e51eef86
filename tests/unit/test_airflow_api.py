"""The calls to Airflow's REST API, against canned answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import httpx
import pytest
from pydantic import SecretStr

from gas.airflow_api import AirflowApi
from gas.errors import GasError, Unavailable

PASSWORD = "correct"
Answer = Callable[[httpx.Request], httpx.Response]


def token(expires: float) -> str:
    """A JSON Web Token as far as anybody but Airflow looks at it."""
    payload = base64.urlsafe_b64encode(json.dumps({"exp": expires}).encode()).decode().rstrip("=")
    return f"head.{payload}.signature"


class Airflow:
    """Answers as Airflow does, and counts sign-ins. ``clock`` is the time in POSIX seconds."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.clock = 1000.0
        self.sign_ins = 0
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.sign_ins += 1
            if json.loads(request.content) != {"username": "gas", "password": PASSWORD}:
                return httpx.Response(401)
            return httpx.Response(201, json={"access_token": token(self.clock + 3600)})
        self.seen.append(request)
        return self.answer(request)

    def api(self, password: str = PASSWORD) -> AirflowApi:
        return AirflowApi(
            url="http://airflow.test",
            user="gas",
            password=SecretStr(password),
            transport=httpx.MockTransport(self),
            now=lambda: self.clock,
        )


def test_submit_sends_the_run_with_a_bearer_token() -> None:
    """A run is asked for by its id, with no logical date, and signed in for once."""
    airflow = Airflow(lambda _: httpx.Response(200, json={}))
    api = airflow.api()
    assert api.submit("annotate", run_id="r1", conf={"job_id": "r1"})
    assert api.submit("annotate", run_id="r2", conf={"job_id": "r2"})
    request = airflow.seen[0]
    assert request.url.path == "/api/v2/dags/annotate/dagRuns"
    assert json.loads(request.content) == {"dag_run_id": "r1", "logical_date": None, "conf": {"job_id": "r1"}}
    assert request.headers["authorization"] == f"Bearer {token(4600.0)}"
    assert airflow.sign_ins == 1


def test_run_that_exists_is_success() -> None:
    """409 means that an earlier call started the run."""
    assert not Airflow(lambda _: httpx.Response(409)).api().submit("annotate", run_id="r1", conf={})


def test_token_is_renewed_before_it_expires() -> None:
    """The token is taken again a minute before its end, not after a refusal."""
    airflow = Airflow(lambda _: httpx.Response(200, json={"state": "running"}))
    api = airflow.api()
    api.run_state("annotate", "r1")
    airflow.clock += 3600 - 61
    api.run_state("annotate", "r1")
    assert airflow.sign_ins == 1
    airflow.clock += 2
    api.run_state("annotate", "r1")
    assert airflow.sign_ins == 2


def test_refused_token_is_renewed_once() -> None:
    """After Airflow restarts with a new key the call is sent again with a new token."""
    answers = iter([httpx.Response(401), httpx.Response(200, json={"state": "success"})])
    airflow = Airflow(lambda _: next(answers))
    assert airflow.api().run_state("annotate", "r1") == "success"
    assert airflow.sign_ins == 2


def test_unknown_run_has_no_state() -> None:
    """A run that was never started is None, not an error."""
    assert Airflow(lambda _: httpx.Response(404)).api().run_state("annotate", "r1") is None


@pytest.mark.parametrize("status", [404, 500, 503])
def test_trouble_is_unavailable(status: int) -> None:
    """An unknown DAG and a server error are trouble that passes."""
    with pytest.raises(Unavailable):
        Airflow(lambda _: httpx.Response(status)).api().submit("annotate", run_id="r1", conf={})


def test_no_answer_is_unavailable() -> None:
    """A refused connection is told in a sentence, not as a library's exception."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unavailable, match="does not answer"):
        Airflow(refuse).api().submit("annotate", run_id="r1", conf={})


def test_wrong_password_names_the_settings() -> None:
    """An operator reads which settings to look at, and the password is not in the sentence."""
    with pytest.raises(GasError, match="GAS_AIRFLOW_PASSWORD") as caught:
        Airflow(lambda _: httpx.Response(200)).api("wrong-pw").submit("annotate", run_id="r1", conf={})
    assert "wrong-pw" not in str(caught.value)


def test_refused_request_is_an_error() -> None:
    """A 4xx that means nothing else is an error that quotes Airflow."""
    with pytest.raises(GasError, match="422 bad conf"):
        Airflow(lambda _: httpx.Response(422, text="bad conf")).api().submit("annotate", run_id="r1", conf={})


def test_failed_run_is_run_again() -> None:
    """Only its failed tasks are cleared, and really: Airflow's default is to say what it would do."""
    airflow = Airflow(lambda _: httpx.Response(200, json={}))
    airflow.api().run_again("restore", "r1")
    assert airflow.seen[0].url.path == "/api/v2/dags/restore/dagRuns/r1/clear"
    assert json.loads(airflow.seen[0].content) == {"dry_run": False, "only_failed": True}


@pytest.mark.parametrize(("state", "stopped"), [("queued", True), ("running", True), ("success", False)])
def test_only_a_run_that_goes_on_is_stopped(state: str, stopped: bool) -> None:
    """A run at work is ended as failed, which kills its task; one that has ended keeps the state it ended in."""
    airflow = Airflow(lambda _: httpx.Response(200, json={"state": state}))
    airflow.api().stop("annotate", "r1")
    sent = [(request.method, json.loads(request.content)) for request in airflow.seen if request.method != "GET"]
    assert sent == ([("PATCH", {"state": "failed"})] if stopped else [])


def test_durations_of_the_latest_runs_are_read() -> None:
    """The latest successful runs, and of those each that tells how long it took."""
    answer = {"dag_runs": [{"duration": 2.5}, {"duration": None}, {"duration": 1.0}]}
    airflow = Airflow(lambda _: httpx.Response(200, json=answer))
    assert airflow.api().durations("annotate", 3) == [2.5, 1.0]
    assert str(airflow.seen[0].url.query, "ascii") == "state=success&order_by=-end_date&limit=3"
