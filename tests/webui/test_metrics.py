"""How long answers take is sent, by what was asked for and how it ended."""

from __future__ import annotations

import socket

from flask import Flask, abort

from gas.metrics import Metrics
from gas.settings import Settings
from webui import metrics


def test_each_answer_is_timed() -> None:
    """Also a refusal, and an address that leads nowhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        app = Flask(__name__)
        port = listener.getsockname()[1]
        figures = Metrics(Settings(statsd_on=True, statsd_host="127.0.0.1", statsd_port=port))
        metrics.install(app, figures)
        app.add_url_rule("/", "Pages.home", lambda: "")
        app.add_url_rule("/no", "Pages.no", lambda: abort(403))
        for path in ("/", "/no", "/nowhere"):
            app.test_client().get(path)
        figures.close()
        heard = [listener.recv(200).decode().partition(":") for _ in range(3)]
    assert [name for name, _, _ in heard] == ["gas.web.Pages_home.200", "gas.web.Pages_no.403", "gas.web.unknown.404"]
    assert {value.rpartition("|")[2] for _, _, value in heard} == {"ms"}
