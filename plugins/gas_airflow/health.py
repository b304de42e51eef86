"""Whether one container of Airflow's works: ``python -m gas_airflow.health scheduler``.

``airflow jobs check`` and Celery's ``inspect ping`` find the same, for four CPU seconds a look; this takes a tenth of
one, without Airflow. The exit code is 0 where it works and 1, with a sentence, where it does not.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

STALE = timedelta(seconds=60)
"""Airflow's components write down every 5 s that they live; busy ones more seldom."""
PATIENCE_S = 5.0


def hostname() -> str:
    """The container's name, by which Airflow tells this one's processes from those of its replicas.

    ``[core] hostname_callable`` names this function. Docker sets ``HOSTNAME``, to a name of its own for each replica.
    """
    return os.environ.get("HOSTNAME") or socket.gethostname()


def beats(kind: str) -> str:
    """What is wrong with this host's component; empty when it has written down lately that it lives.

    :param kind: as in Airflow's table of jobs, such as ``SchedulerJob``.
    """
    import psycopg2

    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:")
    connection = psycopg2.connect(url, connect_timeout=int(PATIENCE_S))
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(latest_heartbeat) FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'",
                (kind, hostname()),
            )
            (latest,) = cursor.fetchone()
    finally:
        connection.close()
    if latest is None:
        return f"no {kind} runs on {hostname()}"
    age = datetime.now(UTC) - latest
    return f"the {kind} of {hostname()} has not been heard of for {age.total_seconds():.0f} s" if age > STALE else ""


def takes_tasks() -> str:
    """What is wrong with this host's Celery worker; empty when it answers."""
    from celery import Celery

    name = f"celery@{hostname()}"
    with Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"]) as celery:
        answers = celery.control.ping(destination=[name], timeout=PATIENCE_S, limit=1)
    return "" if answers else f"{name} does not answer"


CHECKS: dict[str, Callable[[], str]] = {
    "scheduler": partial(beats, "SchedulerJob"),
    "triggerer": partial(beats, "TriggererJob"),
    "dag-processor": partial(beats, "DagProcessorJob"),
    "worker": takes_tasks,
}

if __name__ == "__main__":
    sys.exit(CHECKS[sys.argv[1]]() or 0)
