"""What the local stack consists of, in the order it starts, and how each part shows that it is ready."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from gas.local import airflow, postgres
from gas.local.layout import Layout

_PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Component:
    """One supervised process."""

    name: str
    """Its name for the supervisor, and of its log file."""
    title: str
    command: tuple[str, ...]
    address: str
    """Where it is reached, for a person."""
    ready: Callable[[float], bool]
    """Whether it answers, given when it was started (POSIX seconds)."""
    port: int | None = None
    stop_signal: str = "TERM"
    stop_patience_s: int = 15
    store: bool = False
    """Whether others keep their data in it: it starts first and stops last."""


def components(layout: Layout) -> tuple[Component, ...]:
    """Return the parts of the stack, in the order they start."""
    python, scripts = sys.executable, Path(sys.executable).parent
    return (
        Component(
            name="postgres",
            title="PostgreSQL",
            command=postgres.server_command(layout),
            address=str(layout.sockets),
            ready=lambda _: postgres.answers(layout),
            stop_signal="INT",
            store=True,
        ),
        Component(
            name="aws",
            title="AWS stand-in",
            command=(
                python,
                "-m",
                "gas.local.aws_standin",
                "--port",
                str(layout.aws_port),
                "--state",
                str(layout.state / "aws"),
            ),
            address=layout.aws_url,
            port=layout.aws_port,
            ready=lambda _: _answers(f"{layout.aws_url}/moto-api/data.json"),
            stop_patience_s=60,  # it writes its snapshot
            store=True,
        ),
        Component(
            name="globus",
            title="Globus stand-in",
            command=(python, "-m", "gas.local.globus_standin"),
            address=layout.globus_url,
            port=layout.globus_port,
            ready=lambda _: _answers(f"{layout.globus_url}/.well-known/openid-configuration"),
            store=True,
        ),
        Component(
            name="airflow-api",
            title="Airflow API server",
            command=(airflow.COMMAND, "api-server", "--host", "127.0.0.1", "--port", str(layout.airflow_port)),
            address=layout.airflow_url,
            port=layout.airflow_port,
            # Its first answer to a worker takes seconds, which are spent here and not on the first job.
            ready=lambda _: _answers(f"{layout.airflow_url}/execution/health"),
        ),
        # Logs are read from the disk they lie on: no log server, which would listen beyond loopback.
        Component(
            name="airflow-scheduler",
            title="Airflow scheduler",
            command=(airflow.COMMAND, "scheduler", "--skip-serve-logs"),
            address="-",
            ready=lambda since: _beats(layout, "scheduler", since),
        ),
        Component(
            name="airflow-dags",
            title="Airflow DAG processor",
            command=(airflow.COMMAND, "dag-processor"),
            address="-",
            ready=lambda since: _beats(layout, "dag_processor", since),
        ),
        Component(
            name="airflow-triggerer",
            title="Airflow triggerer",
            command=(airflow.COMMAND, "triggerer", "--skip-serve-logs"),
            address="-",
            ready=lambda since: _beats(layout, "triggerer", since),
        ),
        Component(
            name="web",
            title="Web app",
            command=(
                str(scripts / "gunicorn"),
                "webui.app:create_app()",
                "--bind",
                f"127.0.0.1:{layout.base_port}",
                "--worker-class",
                "gthread",
                "--workers",
                "2",
                "--threads",
                "8",
                "--chdir",
                str(layout.checkout),
                "--limit-request-line",  # links to a view have up to 6,000 characters
                "8190",
                "--access-logfile",
                "-",
                "--logger-class",
                "webui.access_log.RedactedLogger",
                "--no-control-socket",  # it would lie in the home folder, one for all stacks
            ),
            address=layout.web_url,
            port=layout.base_port,
            ready=lambda _: _answers(f"{layout.web_url}/health"),
        ),
    )


def _get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=_PROBE_TIMEOUT_S, trust_env=False)
    except httpx.TransportError:
        return None  # not yet


def _answers(url: str) -> bool:
    response = _get(url)
    return response is not None and response.is_success


def _beats(layout: Layout, part: str, since: float) -> bool:
    """Whether Airflow has a heartbeat of ``part`` that is not from before this start."""
    response = _get(f"{layout.airflow_url}/api/v2/monitor/health")
    if response is None or not response.is_success:
        return False
    health: dict[str, Any] = response.json().get(part) or {}
    beat = health.get(f"latest_{part}_heartbeat")
    return health.get("status") == "healthy" and beat is not None and datetime.fromisoformat(beat).timestamp() >= since
