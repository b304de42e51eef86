"""The local stack from start to stop: what it tells, what it refuses, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from gas.job import Job, JobStatus, Output
from gas.local import contents, processes
from gas.local.globus_standin import BOB
from gas.local.layout import Layout, StackError
from gas.local.stack import Stack
from gas.local.supervision import recorded
from gas.references import SARS_COV_2, demo_vcf
from gas.services import Services
from gas.submission import begin_upload, submit
from tests.conftest import STACK_PORTS, free_ports

pytestmark = pytest.mark.live

GAS = str(Path(sys.executable).parent / "gas")


def _gas(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GAS_STATE": str(stack.layout.state)}
    return subprocess.run([GAS, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120)


def _members(stack: Stack) -> list[psutil.Process]:
    started = recorded(stack.layout.state)
    return processes.members(stack_id=stack.layout.secrets.stack_id, session=started.pid if started else None)


def test_status_tells_how_each_part_stands(stack: Stack) -> None:
    """``gas status --json`` names every component, running, and the web app's address."""
    told = json.loads(_gas(stack, "status", "--json").stdout)
    assert told["up"] is True
    assert told["web_url"] == stack.layout.web_url
    assert {part["name"]: part["state"] for part in told["components"]} == {
        component.name: "running" for component in stack.components
    }


def test_status_tells_a_person_how_to_sign_in(stack: Stack) -> None:
    """``gas status`` shows where the web app and Airflow are, and with what to sign in."""
    told = _gas(stack, "status").stdout
    assert stack.layout.web_url in told
    assert "Alice" in told
    assert stack.layout.secrets.airflow_admin_password in told


def test_up_again_is_fine(stack: Stack) -> None:
    """``gas up`` on a stack that is up says so and succeeds."""
    again = _gas(stack, "up")
    assert (again.returncode, "up already" in again.stdout) == (0, True)


def test_everything_listens_on_loopback_alone(stack: Stack) -> None:
    """No process of the stack can be reached from another machine."""
    pids = {process.pid for process in _members(stack)}
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("inet")  # all at once: a task's process may end meanwhile
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= STACK_PORTS
    assert set(listening) == {"127.0.0.1"}


def test_secrets_are_private(stack: Stack) -> None:
    """The files that hold secrets can be read by their owner alone."""
    for name in ("secrets.json", "supervisord.conf"):
        assert stat.S_IMODE((stack.layout.state / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.layout.sockets.stat().st_mode) == 0o700


def test_the_service_user_is_narrow(stack: Stack) -> None:
    """The user with which the web app submits runs can neither see connections nor make users."""
    who = {"username": "gas-service", "password": stack.layout.secrets.airflow_service_password}
    token = httpx.post(f"{stack.layout.airflow_url}/auth/token", json=who).raise_for_status().json()["access_token"]
    with httpx.Client(base_url=stack.layout.airflow_url, headers={"Authorization": f"Bearer {token}"}) as airflow:
        assert airflow.get("/api/v2/dags/annotate/dagRuns").status_code == httpx.codes.OK
        for path in ("/api/v2/connections", "/api/v2/variables", "/auth/fab/v1/users"):
            assert airflow.get(path).status_code == httpx.codes.FORBIDDEN


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port in use stops the start, with the port and the setting that changes it in the sentence."""
    base = free_ports(STACK_PORTS)
    with socket.socket() as other:
        other.bind(("127.0.0.1", base + 2))
        other.listen()
        with pytest.raises(StackError, match=rf"port {base + 2} .*AWS.*taken.*GAS_PORT"):
            Stack(Layout.of(state=tmp_path, base_port=base)).up(told=lambda _: None)


def test_a_broken_part_stops_the_start(tmp_path: Path) -> None:
    """A component that ends while it starts is named with the end of its log, and nothing is left running."""
    broken = Stack(Layout.of(state=tmp_path, base_port=free_ports(STACK_PORTS)))
    luckless = ("/bin/sh", "-c", "echo out of luck; exit 7")
    broken.components = tuple(
        replace(component, command=luckless) if component.name == "aws" else component
        for component in broken.components
    )
    with pytest.raises(StackError, match=r"(?s)AWS stand-in ended.*out of luck"):
        broken.up(told=lambda _: None)
    assert _members(broken) == []


def _finished_job(services: Services) -> Job:
    bob = services.profiles.ensure(BOB, name="Bob Builder", email="bob@lab.example")
    vcf = demo_vcf()
    content = vcf.read_bytes()
    upload = begin_upload(services, profile=bob, file_name=vcf.name, size_bytes=len(content), reference=SARS_COV_2)
    httpx.post(upload.url, data=upload.fields, files={"file": content}).raise_for_status()
    with closing(services.airflow):
        job = submit(services, profile=bob, job_id=upload.job_id, file_name=vcf.name, reference=SARS_COV_2)
    deadline = time.monotonic() + 120
    while not (job.job_status.ended and job.notified):
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
        job = services.jobs.get(job.job_id)
    return job


def test_nothing_is_left_and_nothing_lost_after_a_kill(stack: Stack) -> None:
    """After SIGKILL of the supervisor ``down`` ends every process; after the next ``up`` the results are there."""
    services = contents.services(stack.layout)
    job = _finished_job(services)
    assert (job.job_status, job.error) == (JobStatus.COMPLETED, None)
    log = services.objects.read_text(job.outputs[Output.LOG], 1 << 20)
    started = recorded(stack.layout.state)
    assert started is not None
    before = _members(stack)
    services.airflow.close()

    os.kill(started.pid, signal.SIGKILL)
    assert stack.down() is True
    assert [process for process in before if process.is_running()] == []
    assert [part.state for part in stack.status()] == ["stopped"] * len(stack.components)
    assert stack.down() is False

    stack.up(told=lambda _: None)
    services = contents.services(stack.layout)
    assert services.jobs.get(job.job_id) == job
    assert services.objects.read_text(job.outputs[Output.LOG], 1 << 20) == log
