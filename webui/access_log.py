"""The logs of gunicorn, in which the secrets of links and of sign-ins do not stand."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger

from webui.access import loggable


class RedactedLogger(Logger):
    """gunicorn's own, whose lines hold the addresses that were asked for."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.addFilter(_without_secrets)

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """The parts of a line."""
        parts = super().atoms(resp, req, environ, request_time)
        return {name: loggable(part) if isinstance(part, str) else part for name, part in parts.items()}


def _without_secrets(record: logging.LogRecord) -> bool:
    """Keeps a line of the error log, which may name the address of a request that went wrong."""
    record.msg, record.args = loggable(record.getMessage()), None
    return True
