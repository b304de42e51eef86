"""What ``docker-compose.yaml`` describes runs: jobs go round archive and restore while one of each pair is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import httpx
import pytest

from gas.client import Client
from gas.job import StorageState
from tests.compose.running import Running
from tests.live.calamities import until
from tests.live.crowd import (
    Crowd,
    assert_archived,
    assert_back,
    assert_nobody_has_other_jobs,
    assert_nothing_is_left,
    crowd_of,
    submit_all,
    told,
)
from tests.live.people import client_of

pytestmark = [
    pytest.mark.live,
    pytest.mark.allow_hosts(["127.0.0.0/8", "::1", "localhost"]),  # each container has a loopback address of its own
    pytest.mark.timeout(900),
]

FEW, MANY = 6, 50
HOT, ARCHIVED = StorageState.HOT, StorageState.ARCHIVED


def crowd(size: int, running: Running, folder: Path) -> AbstractContextManager[Crowd]:
    """Everybody, through the proxy."""
    signed_in = partial(client_of, running, verify=running.trust)
    return crowd_of(size, running.services(), folder, client_of=signed_in)


def kill_busy(running: Running, service: str) -> None:
    """SIGKILL to one of a pair, the one that has something in hand; it stays dead."""
    found: list[object] = []

    def hit() -> bool:
        container = running.busy(service)
        if container is not None:
            running.topology.kill(container)
            found.append(container.name)
        return container is not None

    until(hit, f"a {service} has something to do")
    told(*found, "killed")


def start_killed(running: Running) -> None:
    """What was killed is started again, as Docker does at once."""
    for container in running.topology.containers:
        if container.killed:
            running.topology.start_again(container)
            told(container.name, "started again")


def round_trip(
    crowd: Crowd, running: Running, folder: Path, *, there: Callable[[], None], back: Callable[[], None]
) -> None:
    """All jobs go to the archive and come back, whatever happens on the way there and on the way back."""
    submit_all(crowd, there)
    crowd.await_settled(ARCHIVED)
    told("archived")
    assert_nobody_has_other_jobs(crowd)
    assert_archived(crowd, folder)
    crowd.everybody(Client.subscribe)
    back()
    crowd.await_settled(HOT)
    told("back")
    assert_back(crowd, folder)
    in_three_days = running.services(now=lambda: time.time() + 3 * 86400)
    with closing(in_three_days.airflow):
        assert_nothing_is_left(crowd, in_three_days, None)


def test_jobs_go_round_while_one_of_a_pair_is_dead(running: Running, tmp_path: Path) -> None:
    """A few jobs are annotated, archived and restored though a worker dies at work and nobody starts it again."""
    with crowd(FEW, running, tmp_path) as people:
        round_trip(people, running, tmp_path, there=lambda: kill_busy(running, "worker"), back=lambda: None)


@pytest.mark.long
def test_fifty_jobs_go_round_while_one_of_each_pair_is_killed(running: Running, tmp_path: Path) -> None:
    """Scheduler, triggerer and worker die in the middle of it, on the way there and, started again, on the way back."""
    start_killed(running)
    with crowd(MANY, running, tmp_path) as people:

        def on_the_way_there() -> None:
            until(lambda: len(people.owner) >= 5, "some are submitted")
            for service in ("worker", "scheduler", "triggerer"):
                kill_busy(running, service)

        def on_the_way_back() -> None:
            start_killed(running)
            for service in ("triggerer", "worker", "scheduler"):
                kill_busy(running, service)

        round_trip(people, running, tmp_path, there=on_the_way_there, back=on_the_way_back)


def test_both_doors_and_no_other_way_in(running: Running) -> None:
    """The proxy leads to the web app and to Airflow, by TLS, and not to what tasks alone have business with."""
    airflow_url = running.topology.environment(running.topology.of("airflow-api")[0])["AIRFLOW__API__BASE_URL"]
    with httpx.Client(verify=running.trust, trust_env=False, timeout=30) as client:
        web = client.get(f"{running.web_url}/health")
        assert (web.status_code, "max-age" in web.headers["Strict-Transport-Security"]) == (200, True)
        assert "Server" not in web.headers
        assert client.get(f"{airflow_url}/api/v2/version").status_code == 200
        assert client.get(f"{airflow_url}/execution/health").status_code == 404
        sign_in = client.get(f"{airflow_url}/auth/login/globus")
        assert (sign_in.status_code, sign_in.headers["Location"].startswith(running.globus_url)) == (302, True)
