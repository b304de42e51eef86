"""Backfills: past intervals of a scheduled DAG done again, by Airflow's own means and with plain answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from gas.airflow_api import AirflowApi, AlreadyRunning, Backfill, BackfillRuns, Reprocess
from gas.errors import Conflict, InputError, NotFound

#: Airflow makes each run at once, and looks at each waiting one again and again.
MOST_RUNS = 1000
#: Airflow looks every 30 s which backfills are complete; one whose runs have all ended is waited for so long.
CLOSING_S = 90.0
POLL_S = 1.0


def plan(airflow: AirflowApi, dag_id: str, *, start: datetime, end: datetime, reprocess: Reprocess) -> list[datetime]:
    """The intervals that a backfill would run, by when each begins.

    :raises InputError: the DAG cannot be backfilled, or there are more than :data:`MOST_RUNS`.
    :raises NotFound: Airflow knows no such DAG.
    """
    dates = airflow.backfill_dates(dag_id, start=start, end=end, reprocess=reprocess)
    if len(dates) > MOST_RUNS:
        raise InputError(
            f"that is {len(dates):,} runs of {dag_id}, and more than {MOST_RUNS:,} at a time would slow Airflow: "
            f"take a shorter range; the first {MOST_RUNS:,} begin until {dates[MOST_RUNS - 1].isoformat()}"
        )
    return dates


def begin(
    airflow: AirflowApi,
    dag_id: str,
    *,
    start: datetime,
    end: datetime,
    reprocess: Reprocess,
    at_once: int,
    conf: Mapping[str, Any] | None = None,
    told: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Backfill:
    """Begin a backfill. One whose runs have all ended, and which Airflow has not closed yet, is waited for.

    :param told: hears why there is a wait.
    :raises AlreadyRunning: another one is at work, with how far it is.
    :raises Conflict: the DAG is paused, and its runs would wait.
    """
    if airflow.is_paused(dag_id):
        raise Conflict(f"the DAG {dag_id} is paused, and its runs would wait: switch it on in Airflow first")
    patience = CLOSING_S
    while True:
        try:
            return airflow.backfill(dag_id, start=start, end=end, reprocess=reprocess, at_once=at_once, conf=conf)
        except AlreadyRunning:
            other = airflow.running_backfill(dag_id)
            runs = airflow.backfill_runs(other) if other else None
            if other and runs and (runs.at_work or patience <= 0):
                raise AlreadyRunning(_busy(other, runs)) from None
        if patience == CLOSING_S:
            told(f"The runs of an earlier backfill of {dag_id} have ended; waiting until Airflow has closed it.")
        patience -= POLL_S
        sleep(POLL_S)


def running(airflow: AirflowApi, dag_id: str) -> Backfill:
    """The backfill of a DAG that is not complete.

    :raises NotFound: there is none.
    """
    found = airflow.running_backfill(dag_id)
    if found is None:
        raise NotFound(f"no backfill of {dag_id} is running")
    return found


def progress(
    airflow: AirflowApi, backfill: Backfill, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[BackfillRuns]:
    """How far it has come, every second, until all of its runs have ended."""
    while True:
        runs = airflow.backfill_runs(backfill)
        yield runs
        if not runs.at_work:
            return
        sleep(POLL_S)


def _busy(other: Backfill, runs: BackfillRuns) -> str:
    state = "paused" if other.is_paused else "running"
    return (
        f"a backfill of {other.dag_id} is already {state}, from {other.start.isoformat()} to {other.end.isoformat()}, "
        f"with {runs.at_work} runs to go, and Airflow allows one at a time: `gas backfill {other.dag_id} --watch` "
        f"shows it, `gas backfill {other.dag_id} --cancel` starts none of its runs any more"
    )
