"""``GET /ready``: what the web app stands on is asked, and never waited for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import create_engine

from gas.services import Services
from webui import ready
from webui.ready import Readiness


def refused() -> None:
    raise ConnectionError("nobody there")


@pytest.mark.parametrize(
    ("part", "status"), [("database", 503), ("records", 503), ("workflows", 200)], ids=lambda value: str(value)
)
def test_only_what_pages_cannot_do_without_makes_it_not_ready(app: Flask, part: str, status: int) -> None:
    """Without Airflow people still see their results; without the record or the database they see nothing."""
    asked: dict[str, Callable[[], object]] = dict.fromkeys(("database", "records", "workflows"), lambda: None)
    app.extensions["gas_readiness"] = Readiness(asked | {part: refused})
    answer = app.test_client().get("/ready")
    del app.extensions["gas_readiness"]
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json[part] == "does not answer"
    assert {answer.json[other] for other in asked if other != part} == {"ok"}
    assert answer.json["status"] == ("ready" if status == 200 else "not ready")


def test_part_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told as they are, and the hanging one as what it is."""
    monkeypatch.setattr(ready, "PATIENCE_S", 0.2)
    go_on = threading.Event()
    began = time.monotonic()
    answers = Readiness({"records": lambda: go_on.wait(30), "database": lambda: None}).answers()
    took_s = time.monotonic() - began
    go_on.set()
    assert answers == {"records": "no answer in 0 s", "database": "ok"}
    assert took_s < 5


def test_who_asks_again_at_once_gets_the_same_answer() -> None:
    """However many ask, each part is asked once in a while."""
    asked: list[float] = []
    clock = [0.0]
    readiness = Readiness({"records": lambda: asked.append(clock[0])}, now=lambda: clock[0])
    for at in (0.0, 1.0, 1.9, 2.0, 3.5):
        clock[0] = at
        assert readiness.answers() == {"records": "ok"}
    assert asked == [0.0, 2.0]


def test_parts_are_the_real_ones(wired: Services) -> None:
    """The table of jobs answers; a database that is not there and an Airflow that is not there do not."""
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
    answers = Readiness(ready.parts(nowhere, wired)).answers()
    nowhere.dispose()
    assert answers["records"] == "ok"
    assert answers["database"] == "does not answer"
    assert answers["workflows"] != "ok"
