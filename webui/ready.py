"""Whether the web app can serve people now: ``GET /ready``, for a load balancer and for whoever watches GAS."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from typing import Any

import httpx
from flask import Flask, current_app
from flask_appbuilder import AppBuilder, BaseView, expose
from sqlalchemy import Engine, text

from gas.services import Services
from webui.access import READY_PATH
from webui.account import services

log = logging.getLogger(__name__)

#: How long each part may take to answer, in seconds.
PATIENCE_S = 2.0
#: For how long an answer serves whoever asks again.
FRESH_S = 2.0
#: Not the id of any job.
NOBODY = "-"
#: Without these nothing can be shown. Without the others pages still show what is there, and say what must wait.
NEEDED = frozenset({"database", "records"})


def register(builder: AppBuilder) -> None:
    """Add the view to ``builder``."""
    builder.add_view_no_menu(ReadyView)


class Readiness:
    """Asks each part at most once in :data:`FRESH_S`, all at once, and waits for none longer than it may."""

    def __init__(self, parts: Mapping[str, Callable[[], object]], *, now: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._now = now
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._answers: dict[str, str] = {}
        # Each has a thread of its own: one that hangs keeps no other waiting.
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=f"ready-{name}") for name in parts}

    def answers(self) -> dict[str, str]:
        """By part: ``ok``, or what is wrong with it."""
        with self._lock:
            if self._now() - self._asked_at >= FRESH_S:
                asked = {name: self._threads[name].submit(ask) for name, ask in self._parts.items()}
                deadline = time.monotonic() + PATIENCE_S
                self._answers = {}
                for name, answer in asked.items():
                    try:
                        answer.result(timeout=max(0.0, deadline - time.monotonic()))
                        self._answers[name] = "ok"
                    except TooLate:
                        answer.cancel()
                        self._answers[name] = f"no answer in {PATIENCE_S:.0f} s"
                    except Exception as error:  # whatever it is: it is not ready, and the log says why
                        log.warning("not ready: %s: %s", name, error)
                        self._answers[name] = "does not answer"
                self._asked_at = self._now()
            return dict(self._answers)


def parts(engine: Engine, gas: Services) -> dict[str, Callable[[], object]]:
    """What the web app stands on."""

    def database() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def workflows() -> None:
        url = f"{gas.settings.airflow_url}/api/v2/monitor/health"
        httpx.get(url, timeout=PATIENCE_S, trust_env=False).raise_for_status()

    return {"database": database, "records": lambda: gas.jobs.find(NOBODY), "workflows": workflows}


class ReadyView(BaseView):
    """For programs; says nothing that is not for everybody."""

    route_base = ""
    default_view = "ready"

    @expose(READY_PATH)
    def ready(self) -> tuple[dict[str, Any], int]:
        """200 when pages can be served, 503 when not; how each part answered."""
        answers = _readiness(current_app).answers()
        ready = all(answers[part] == "ok" for part in NEEDED)
        return {"status": "ready" if ready else "not ready", **answers}, 200 if ready else 503


def _readiness(app: Flask) -> Readiness:
    """The app's own; two requests that come first at once make one too many, which costs nothing."""
    if "gas_readiness" not in app.extensions:
        app.extensions.setdefault("gas_readiness", Readiness(parts(app.appbuilder.session.get_bind(), services())))
    readiness: Readiness = app.extensions["gas_readiness"]
    return readiness
