"""The web app's log as JSON, one object a line, with the id of the job that a request is about."""

from __future__ import annotations

import logging

import structlog
from flask import Flask, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from gas.settings import Settings

#: What the parts of addresses that hold a job's id are called; of a file, the id is what comes before the first dot.
NAMES = ("job_id", "run_id")
#: Whose lines are written from INFO on; others' libraries speak from WARNING on.
OURS = ("gas", "webui")


def install(app: Flask, settings: Settings) -> None:
    """Bind the job to the lines of each request, and write JSON where the settings say so."""
    app.before_request(_about_this_request)
    if settings.log_format == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(json_lines())
        logging.getLogger().handlers = [handler]
        for name in OURS:
            logging.getLogger(name).setLevel(logging.INFO)


def json_lines() -> logging.Formatter:
    """Makes a line of a record: ``timestamp``, ``level``, ``logger``, ``event``, and what is bound or given besides."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
    )


def _about_this_request() -> None:
    """Threads serve one request after the other: what was bound for the last one goes."""
    clear_contextvars()
    there = request.view_args or {}
    job_id = next((there[name] for name in NAMES if name in there), None)
    if job_id:
        bind_contextvars(job_id=job_id)
