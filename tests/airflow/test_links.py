"""The button that leads from a task in Airflow's UI to its jobs, and the plugin that brings it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = AIRFLOWS_OWN_WARNINGS


def link(dag_id: str) -> str:
    """Where the button of a task leads."""
    from gas_airflow.links import JobLink

    key: Any = SimpleNamespace(dag_id=dag_id, run_id="manual__2026-11-01T00:00:00+00:00", map_index=3)
    operator: Any = None
    return JobLink().get_link(operator, ti_key=key)


@pytest.mark.usefixtures("airflow_home")
def test_task_of_jobs_has_the_button() -> None:
    """The address names the run and which of the mapped instances it is, whatever characters the run's id has."""
    for dag_id in ("annotate", "archive", "restore"):
        address = urlsplit(link(dag_id))
        assert address.path.endswith("/gas/tasks")
        assert parse_qs(address.query) == {
            "dag_id": [dag_id],
            "run_id": ["manual__2026-11-01T00:00:00+00:00"],
            "map_index": ["3"],
        }


@pytest.mark.usefixtures("airflow_home")
def test_task_without_jobs_has_no_button() -> None:
    """An empty address, of which Airflow shows nothing; so it is at DAGs that are not GAS's."""
    assert link("inventory") == link("somebody-elses") == ""


def test_sets_of_jobs_are_told_by_tasks_that_are_there(dag_bag: DagBag) -> None:
    """Each DAG with a button has the task that returns which jobs its mapped tasks carry."""
    from gas_airflow.links import SETS

    for dag_id, task_id in SETS.items():
        mapped = [task for task in dag_bag.dags[dag_id].tasks if task.is_mapped]
        assert bool(mapped) is (task_id is not None)
        for task in mapped:
            assert task_id in task.upstream_task_ids


def test_plugin_makes_no_pages_where_none_are_served(airflow_home: Path) -> None:
    """Loading the plugin, as the scheduler and every worker does, imports neither the pages nor AWS's client."""
    program = """
import sys
from gas_airflow.plugin import GasPlugin
assert [app["url_prefix"] for app in GasPlugin.fastapi_apps] == ["/gas"]
heavy = {"boto3", "botocore", "gas_airflow.view"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
