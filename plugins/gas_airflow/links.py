"""From a task in Airflow's UI to the jobs it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

#: Where the pages of :mod:`gas_airflow.view` are under Airflow's own address.
PREFIX = "/gas"
#: Of each DAG with tasks that carry jobs, the task that says which: it returns their ids in sets, one for each mapped
#: instance of the tasks after it. ``None`` where the run's conf names the one job.
SETS: dict[str, str | None] = {"annotate": None, "archive": "due", "restore": "begin"}


class JobLink(BaseOperatorLink):
    """The button "GAS job" at a task: its job, or its jobs. It is there while the task runs, and after a crash."""

    name = "GAS job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page's address; empty, and so no button, at tasks that carry no job."""
        from airflow.configuration import conf

        if ti_key.dag_id not in SETS:
            return ""
        base = conf.get("api", "base_url", fallback="").rstrip("/")
        where = {"dag_id": ti_key.dag_id, "run_id": ti_key.run_id, "map_index": ti_key.map_index}
        return f"{base}{PREFIX}/tasks?{urlencode(where)}"
