"""What all tasks of GAS have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gas_airflow.job_log import bind_run


def task_defaults(
    *,
    retries: int = 5,
    first: timedelta = timedelta(seconds=5),
    longest: timedelta = timedelta(minutes=10),
    at_most: timedelta = timedelta(hours=6),
) -> dict[str, Any]:
    """The ``default_args`` of a DAG: its tasks may all be repeated, and are tried again after doubling pauses.

    :param retries: how often.
    :param first: the first pause.
    :param longest: no pause is longer.
    :param at_most: what takes longer hangs, and is killed. A wait that holds no worker slot does not count.
    """
    return {
        "owner": "gas",
        "retries": retries,
        "retry_delay": first,
        "retry_exponential_backoff": 2,
        "max_retry_delay": longest,
        "execution_timeout": at_most,
        "on_execute_callback": bind_run,
    }


def jobs_label(ids: str) -> str:
    """The ``map_index_template`` of a task that is mapped over sets of jobs: a set's first id, and how many more.

    :param ids: where the template finds the ids of the set.
    """
    return f"{{{{ {ids}[0] }}}}{{% if {ids} | length > 1 %}} and {{{{ {ids} | length - 1 }}}} more{{% endif %}}"
