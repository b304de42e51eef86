"""The job that lines of tasks and triggers are about, as structlog merges it into each."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, clear_contextvars, get_contextvars

from gas.findings import Finding
from gas.job import new_job_id
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS

pytestmark = AIRFLOWS_OWN_WARNINGS


@pytest.fixture(autouse=True)
def _nothing_bound() -> None:
    """Tasks that other tests ran in this process have bound their jobs."""
    clear_contextvars()


def test_each_task_binds_the_job_of_its_run(dag_bag: Any) -> None:
    """Before it does anything else, in every DAG; a run without a job binds nothing."""
    job_id = new_job_id()
    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            callbacks = task.partial_kwargs.get("on_execute_callback") if task.is_mapped else task.on_execute_callback
            callbacks = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
            for params, bound in (({"job_id": job_id}, {"job_id": job_id}), ({"job_id": None}, {}), ({}, {})):
                clear_contextvars()
                for callback in callbacks:
                    callback({"params": params})
                assert get_contextvars() == bound, f"{dag.dag_id}.{task.task_id}"
    clear_contextvars()


def test_each_finding_names_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding about a bucket names none."""
    from gas_airflow.findings import told

    seen: list[Any] = []
    log = logging.getLogger("findings")
    monkeypatch.setattr(log, "info", lambda *_: seen.append(get_contextvars().get("job_id")))
    job_id = new_job_id()
    told([Finding(subject=f"job {job_id}", found="lost"), Finding(subject="bucket gas-results", found="odd")], log)
    assert seen == [job_id, None]


def test_sets_of_jobs_are_named_too() -> None:
    """One job as ``job_id``, several as ``job_ids``."""
    from gas_airflow.job_log import bind_jobs

    first, second = new_job_id(), new_job_id()
    for ids, bound in (([first, first], {"job_id": first}), ([first, second], {"job_ids": [first, second]}), ([], {})):
        with bound_contextvars():
            clear_contextvars()
            bind_jobs(ids)
            assert get_contextvars() == bound
            clear_contextvars()
