"""The pages "GAS": who may see them, what they show, and what that takes of AWS; on a stack: ``tests/live``."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gas.iam import Role
from gas.job import new_job_id
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.fakes import pending_job
from tests.permissions import ACCOUNT, marked, unused
from tests.storage import completed_job

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = AIRFLOWS_OWN_WARNINGS

#: What the pages look like to those who may not see them: the same for everybody.
OPEN = {"/files/{name}"}


class AuthManager:
    """One that lets nobody see anything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def is_authorized_dag(self, *, method: str, access_entity: Any, details: Any, user: Any) -> bool:
        self.asked.append((method, access_entity.value, details.id))
        return False


@pytest.mark.usefixtures("airflow_home")
def test_every_page_is_for_those_who_may_see_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed in is not enough: Airflow is asked whether this person may see the runs of ``annotate``."""
    from airflow.api_fastapi.core_api import security
    from starlette.testclient import TestClient

    from gas_airflow.view import build

    manager, app = AuthManager(), build()
    monkeypatch.setattr(security, "get_auth_manager", lambda: manager)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)
    app.dependency_overrides[security.get_user] = lambda: SimpleNamespace()
    client = TestClient(app)
    paths = {route.path for route in app.routes} - OPEN  # type: ignore[attr-defined]  # all are routes of paths
    assert {"/", "/jobs/{job_id}", "/tasks"} <= paths
    for path in paths:
        asked = client.get(path.format(job_id="x"), params={"dag_id": "annotate", "run_id": "x"})
        assert asked.status_code == 403, path
    assert set(manager.asked) == {("GET", "RUN", "annotate")}
    assert len(manager.asked) == len(paths)


@pytest.mark.usefixtures("airflow_home")
def test_only_the_two_files_are_served() -> None:
    """Style and script are there for everybody, and nothing beside them."""
    from starlette.testclient import TestClient

    from gas_airflow.view import build

    client = TestClient(build())
    assert {client.get(f"/files/{name}").status_code for name in ("view.css", "view.js")} == {200}
    for name in ("overview.html", "..%2Fview.py", "%2Fetc%2Fpasswd"):
        assert client.get(f"/files/{name}").status_code == 404


@pytest.mark.usefixtures("airflow_home")
def test_times_are_told_in_two_units() -> None:
    """Long ones in the largest two, short ones in seconds, and what lies ahead as no time at all."""
    from gas_airflow.view import _ago

    told = [_ago(0, seconds) for seconds in (0, 59, 61, 3600, 90061, -5)]
    assert told == ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 1 h", "0 s"]


@pytest.fixture
def services(aws: Any, airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """GAS's services, as Airflow's API server calls them."""
    from gas_airflow import view

    settings = Settings(aws_account=ACCOUNT)
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    made = build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
    served = build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
    monkeypatch.setattr(view, "connected_services", lambda: marked(served, Role.AIRFLOW_API))
    return made


@pytest.fixture
def looking(services: Services, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who may see the runs of ``annotate``."""
    from airflow.api_fastapi.core_api import security
    from starlette.testclient import TestClient

    from gas_airflow.view import build as pages

    everybody = SimpleNamespace(is_authorized_dag=lambda **_: True)
    monkeypatch.setattr(security, "get_auth_manager", lambda: everybody)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)
    app = pages()
    app.dependency_overrides[security.get_user] = lambda: SimpleNamespace()
    return TestClient(app)


def test_pages_show_how_things_stand(looking: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs by state, what waits, failures by kind, a job and those of a task, with what ``gas iam`` grants for it."""
    from gas_airflow import view

    now = int(time.time())
    waiting, failed = (services.jobs.create(pending_job(job_id=new_job_id(), submit_time=now)) for _ in range(2))
    services.jobs.fail(failed.job_id, None, "It went wrong.", "engine")
    done = completed_job(services)

    seen = looking.get("/overview").json()
    assert seen["by_status"] == {"PENDING": 1, "FAILED": 1, "COMPLETED": 1}
    assert seen["failures"] == {"engine": 1}
    assert [job_id for job_id, _ in seen["pending"]["oldest"]] == [waiting.job_id]
    assert [job_id for job_id, _ in seen["due"]["oldest"]] == [done.job_id]
    front = looking.get("/").text
    for job in (waiting, failed, done):
        assert f'href="/gas/jobs/{job.job_id}"' in front
    assert "It went wrong." in looking.get(f"/jobs/{failed.job_id}").text
    assert looking.get(f"/jobs/{new_job_id()}").status_code == 404
    monkeypatch.setattr(view, "_jobs_of_task", lambda *_, **__: [waiting.job_id, done.job_id])
    listed = looking.get("/tasks", params={"dag_id": "archive", "run_id": "x"}).text
    for job in (waiting, done):
        assert f'href="/gas/jobs/{job.job_id}"' in listed
    assert unused(Role.AIRFLOW_API) == []
