"""Which job a line of a log is about: a field of its own, ``job_id``, beside the sentence.

structlog merges what is bound here into every line that is written meanwhile, in tasks and triggers as Airflow sets it
up and in the web app as :mod:`webui.log` does. A thread of a pool has to bind for itself.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from structlog.contextvars import bound_contextvars


def about(job_id: str) -> AbstractContextManager[None]:
    """All lines that are written in this block are about this job."""
    return bound_contextvars(job_id=job_id)


def about_subject(subject: str) -> AbstractContextManager[None]:
    """The same for what a finding is about: ``job ID``; other subjects bind nothing."""
    kind, _, job_id = subject.partition(" ")
    return about(job_id) if kind == "job" else nullcontext()
