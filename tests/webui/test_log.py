"""The web app's log as JSON: what collects logs finds every line of a job."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, request
from gunicorn.config import Config

from gas.job import new_job_id
from gas.settings import Settings
from webui import log
from webui.access_log import RedactedLogger


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    logger = logging.getLogger()
    handlers, levels = logger.handlers, {name: logging.getLogger(name).level for name in log.OURS}
    yield logger
    logger.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def written(logger: logging.Logger) -> io.StringIO:
    """What the handler of the root logger writes from here on."""
    stream = io.StringIO()
    handler = logger.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    return stream


def test_each_line_names_the_job_of_its_request(root: logging.Logger) -> None:
    """Also what a deep function writes; and the next request's lines do not name it."""
    app = Flask(__name__)
    log.install(app, Settings(log_format="json"))
    stream = written(root)

    @app.get("/jobs/<job_id>")
    @app.get("/ga4gh/wes/v1/runs/<run_id>", endpoint="run")
    @app.get("/", endpoint="home")
    def page(**_: str) -> str:
        logging.getLogger("gas.deep").info("at %s", request.path)
        try:
            int("no")
        except ValueError:
            logging.getLogger("gas.deep").exception("trouble")
        return ""

    job, run = new_job_id(), new_job_id()
    for path in (f"/jobs/{job}", "/", f"/ga4gh/wes/v1/runs/{run}"):
        app.test_client().get(path)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("job_id") for line in lines] == [job, job, None, None, run, run]
    assert lines[0] | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "logger": "gas.deep",
        "event": f"at /jobs/{job}",
        "job_id": job,
    }
    assert lines[1]["exception"][0]["exc_type"] == "ValueError"


def test_access_log_is_json_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object for each request, with its job and how long it took; the secret of a link is not in it."""
    monkeypatch.setenv("GAS_LOG_FORMAT", "json")
    for name in ("gunicorn.access", "gunicorn.error"):  # which other servers of this process may have set up
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    config = Config()
    config.set("accesslog", "-")
    logger = RedactedLogger(config)
    stream = io.StringIO()
    for handler in logger.access_log.handlers:
        handler.setStream(stream)
    app = Flask(__name__)
    log.install(app, Settings())
    app.add_url_rule("/jobs/<job_id>", "job", lambda job_id: job_id)
    job = new_job_id()

    def asked(path: str) -> None:
        app.test_client().get(path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "RAW_URI": path,
            "PATH_INFO": path,
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        answer = SimpleNamespace(status="200 OK", sent=4, headers=[])
        logger.access(answer, SimpleNamespace(headers=[]), environ, timedelta(milliseconds=12))

    asked(f"/jobs/{job}")
    asked("/shared/0123456789abcdefghij0123456789abcdefghij012")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["method"], first["path"], first["status"], first["seconds"]) == ("GET", f"/jobs/{job}", 200, 0.012)
    assert first["job_id"] == job
    assert "job_id" not in second
    assert "0123456789abcdefghij" not in stream.getvalue()
