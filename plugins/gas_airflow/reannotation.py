"""The one task of ``reannotate``: begin new jobs as there is room for them, and wait in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context

LOOK_EVERY = timedelta(seconds=5)
"""How soon a job that has ended makes room for the next one."""


class ReannotateOperator(BaseOperator):
    """Has each job that was submitted in the run's interval annotated again, some at a time.

    The wait holds no worker slot, and nothing is remembered: each look begins with the records, so that the task may be
    killed and started again at any point. A scheduled run does nothing.

    :param at_once: so many new jobs are at work at most.
    """

    def __init__(self, *, at_once: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.at_once = at_once

    def execute(self, context: Context) -> None:
        """Begin what there is room for; end when nothing is left to begin, and all that was begun has ended."""
        if context["dag_run"].run_type == "scheduled":
            self.log.info("a scheduled run has nothing to do: only backfills and runs by hand annotate again")
            return
        from gas import reannotation
        from gas_airflow.connections import connected_services

        after, before = interval(context)
        dry_run = bool(context["params"]["dry_run"])
        turn = reannotation.reannotate(
            connected_services(), after=after, before=before, at_once=self.at_once, dry_run=dry_run
        )
        if dry_run:
            self.log.info("%d jobs would be annotated again", len(turn.begun))
        elif turn.more or turn.at_work:
            self.log.info("%d new jobs are at work%s", len(turn.at_work), ", and more are to come" if turn.more else "")
            self.defer(trigger=DateTimeTrigger(moment=datetime.now(UTC) + LOOK_EVERY), method_name=self.resume.__name__)

    def resume(self, context: Context, event: Any = None) -> None:
        """After a wait: look again."""
        self.execute(context)


def interval(context: Context) -> tuple[int, int]:
    """When the jobs to look at were submitted: from the first time on, before the second (POSIX seconds).

    :raises AirflowFailException: when a run by hand names one of the two times alone, or the later one first.
    """
    run, params = context["dag_run"], context["params"]
    start, end = params["from"], params["until"]
    if (start is None) != (end is None):
        raise AirflowFailException("give from and until, or neither of them")
    if start is not None and run.run_type == "manual":
        first, last = (_moment(text) for text in (start, end))
        if last <= first:
            raise AirflowFailException(f"until {end} is not later than from {start}")
    else:
        first, last = run.data_interval_start, run.data_interval_end
    return int(first.timestamp()), int(last.timestamp())


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
