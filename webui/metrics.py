"""How long the web app takes for its answers, by what was asked for and how it ended."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from gas.metrics import Metrics


def install(app: Flask, metrics: Metrics) -> None:
    """Time every request, where anybody listens."""
    if not metrics.on:
        return

    def begin() -> None:
        g.gas_began = time.perf_counter()

    def end(response: Response) -> Response:
        asked = (request.endpoint or "unknown").replace(".", "_")
        if "gas_began" in g:
            took_s = time.perf_counter() - g.gas_began
            metrics.timing(f"web.{asked}.{response.status_code}", took_s)
        return response

    app.before_request(begin)
    app.after_request(end)
