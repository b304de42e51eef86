"""A live stack of its own for measuring; how its Airflow stands, and its web app as a person uses it."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from jobs import Airflow
from standin import free_ports

from gas.local import contents
from gas.local.layout import Layout
from gas.local.stack import Stack
from gas.services import Services

PORTS = 4
PAGE = 100  # items that Airflow's API gives at once

#: The tasks that wait: for the delay of free results, and for retrievals.
WAITS = {("archive", "wait"), ("restore", "retrieve")}
TaskInstance = tuple[str, str, str, int]
"""DAG, run, task and number of the mapped task."""


@dataclass(frozen=True, kw_only=True)
class LiveStack:
    """A running stack that archives after ``delay_s`` and whose AWS needs ``retrieval_s`` for every retrieval."""

    layout: Layout
    services: Services
    airflow: Overview
    delay_s: int
    retrieval_s: float


class Overview(Airflow):
    """How all of Airflow stands."""

    def running(self) -> Counter[str]:
        """DAG runs in state running, by DAG."""
        return Counter(run["dag_id"] for run in self._all("dags/~/dagRuns", "dag_runs", state="running"))

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Every run of a DAG."""
        return self._all(f"dags/{dag_id}/dagRuns", "dag_runs")

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every task of a run."""
        return self._all(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def waits(self, state: str) -> set[TaskInstance]:
        """The waiting tasks that are in this state: ``running`` ones hold a worker slot, ``deferred`` ones do not."""
        return {
            (task["dag_id"], task["dag_run_id"], task["task_id"], task["map_index"])
            for task in self._all("dags/~/dagRuns/~/taskInstances", "task_instances", state=state)
            if (task["dag_id"], task["task_id"]) in WAITS
        }

    def occupied_slots(self) -> int:
        """Slots of all pools that are taken, by whatever task."""
        return sum(pool["occupied_slots"] for pool in self._all("pools", "pools"))

    def _all(self, path: str, name: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            asked = {**query, "limit": PAGE, "offset": len(found)}
            answer = self._http.get(f"/api/v2/{path}", params=asked).raise_for_status().json()
            found += answer[name]
            if not answer[name] or len(found) >= answer["total_entries"]:
                return found


class Person:
    """Somebody at the web app, signed in with Globus as a browser does it."""

    def __init__(self, layout: Layout, user_id: str) -> None:
        self.user_id = user_id
        self._http = httpx.Client(base_url=layout.web_url, timeout=30, trust_env=False, follow_redirects=True)
        self._http.post(f"{layout.globus_url}/_fauxbus/auth/session", json={"account": user_id}).raise_for_status()
        page = self._http.get("/login/globus").raise_for_status().text
        token = re.search(r'<meta name="csrf-token" content="([^"]+)"', page)
        if token is None:
            raise RuntimeError("the web app's page holds no token for forms")
        self._http.headers["X-CSRFToken"] = token[1]

    @property
    def cookie(self) -> str:
        """What the person's browser sends with every request."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._http.cookies.jar)

    def storage_states(self) -> dict[str, str]:
        """Where the result of each job is, by job, as the API tells."""
        jobs = self._http.get("/api/v1/jobs", params={"limit": 100}).raise_for_status().json()["jobs"]
        return {job["job_id"]: job["storage"]["state"] for job in jobs if job["storage"]}

    def upgrade(self) -> None:
        """Go to the premium plan."""
        self._http.post("/api/v1/subscribe", json={}).raise_for_status()


@contextmanager
def live_stack(*, delay_s: int, retrieval_s: float, **settings: str) -> Iterator[LiveStack]:
    """Start one in a folder of its own, with these settings, and stop it."""
    chosen = patch.dict(os.environ, {"GAS_FREE_RESULT_TTL": str(delay_s), **settings})
    with chosen, tempfile.TemporaryDirectory(prefix="gas-bench-") as folder:
        layout = Layout.of(state=Path(folder) / "state", base_port=free_ports(PORTS))
        stack = Stack(layout)
        waits = ("--expedited-s", str(retrieval_s), "--standard-s", str(retrieval_s))
        stack.components = tuple(
            replace(part, command=(*part.command, *waits)) if part.name == "aws" else part for part in stack.components
        )
        try:
            stack.up(told=lambda _: None)
            yield LiveStack(
                layout=layout,
                services=contents.services(layout),
                airflow=Overview(layout),
                delay_s=delay_s,
                retrieval_s=retrieval_s,
            )
        finally:
            stack.down()
