"""What all tasks of GAS have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any


def task_defaults(
    *, retries: int = 5, first: timedelta = timedelta(seconds=5), longest: timedelta = timedelta(minutes=10)
) -> dict[str, Any]:
    """The ``default_args`` of a DAG: its tasks may all be repeated, and are tried again after doubling pauses.

    :param retries: how often.
    :param first: the first pause.
    :param longest: no pause is longer.
    """
    return {
        "owner": "gas",
        "retries": retries,
        "retry_delay": first,
        "retry_exponential_backoff": 2,
        "max_retry_delay": longest,
    }
