"""Which job the lines of a task's or a trigger's log are about; see :mod:`gas.job_log`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from structlog.contextvars import bind_contextvars

if TYPE_CHECKING:
    from airflow.sdk import Context


def bind_run(context: Context) -> None:
    """A task of a run that is about one job: every line from here on, Airflow's own too. ``on_execute_callback``."""
    job_id = context["params"].get("job_id")
    if job_id:
        bind_contextvars(job_id=job_id)


def bind_jobs(job_ids: Iterable[str]) -> None:
    """What is about several at once: ``job_id`` where it is one after all, else all of them."""
    ids = list(dict.fromkeys(job_ids))
    if len(ids) == 1:
        bind_contextvars(job_id=ids[0])
    elif ids:
        bind_contextvars(job_ids=ids)
