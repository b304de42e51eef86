"""The logs of gunicorn, in which the secrets of links and of sign-ins do not stand."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger
from structlog.contextvars import clear_contextvars

from gas.settings import Settings
from webui.access import loggable
from webui.log import json_lines


class RedactedLogger(Logger):
    """gunicorn's own, whose lines hold the addresses that were asked for; JSON where the settings say so."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.addFilter(_without_secrets)
        self._json = Settings.from_environment().log_format == "json"
        if self._json:
            for handler in (*self.error_log.handlers, *self.access_log.handlers):
                handler.setFormatter(json_lines())

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """One request, and the end of what was bound for its lines."""
        if self._json and self.access_log_enabled:
            atoms = self.atoms(resp, req, environ, request_time)
            fields = {
                "method": atoms["m"],
                "path": atoms["U"],
                "status": int(atoms["s"]),
                "seconds": round(request_time.total_seconds(), 6),
                "bytes": atoms["B"],
                "address": atoms["h"],
            }
            self.access_log.info("%s %s %s", atoms["m"], atoms["U"], atoms["s"], extra=fields)
        else:
            super().access(resp, req, environ, request_time)
        clear_contextvars()

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """The parts of a line."""
        parts = super().atoms(resp, req, environ, request_time)
        return {name: loggable(part) if isinstance(part, str) else part for name, part in parts.items()}


def _without_secrets(record: logging.LogRecord) -> bool:
    """Keeps a line of the error log, which may name the address of a request that went wrong."""
    record.msg, record.args = loggable(record.getMessage()), None
    return True
