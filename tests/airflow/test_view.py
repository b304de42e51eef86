"""The pages "GAS" ask Airflow who may see them; what they show is in ``tests/live/test_backfills.py``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS

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
