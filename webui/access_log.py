"""The access log of gunicorn, in which the secrets of links do not stand."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from webui.access import loggable


class RedactedLogger(Logger):
    """gunicorn's own, whose lines hold the addresses that were asked for."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """The parts of a line."""
        parts = super().atoms(resp, req, environ, request_time)
        return {name: loggable(part) if isinstance(part, str) else part for name, part in parts.items()}
