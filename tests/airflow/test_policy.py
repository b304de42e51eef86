"""Rules for every DAG, whatever DAGs there are."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS, DAGS

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = AIRFLOWS_OWN_WARNINGS

DAG_FILES = sorted(DAGS.glob("*.py"))


def test_every_file_is_read_without_error(dag_bag: DagBag) -> None:
    """No DAG file has an import error, and each gives at least one DAG."""
    assert dag_bag.import_errors == {}
    assert {Path(dag.fileloc).name for dag in dag_bag.dags.values()} == {path.name for path in DAG_FILES}


def test_every_dag_explains_itself(dag_bag: DagBag) -> None:
    """Each DAG shows its file's docstring, is tagged, and is named as its file is."""
    for dag in dag_bag.dags.values():
        docstring = ast.get_docstring(ast.parse(Path(dag.fileloc).read_text()), clean=False)
        assert dag.doc_md
        assert dag.doc_md.strip() == (docstring or "").strip()
        assert "gas" in dag.tags
        assert Path(dag.fileloc).stem == dag.dag_id


def test_every_dag_is_bounded(dag_bag: DagBag) -> None:
    """No DAG may take all of Airflow: runs and tasks at once are bounded, and nothing catches up unasked."""
    for dag in dag_bag.dags.values():
        assert 1 <= dag.max_active_runs <= 64
        assert 1 <= dag.max_active_tasks <= 64
        assert not dag.catchup


def test_every_task_has_an_owner_and_is_retried(dag_bag: DagBag) -> None:
    """Each task is owned, and tried again with growing waits."""
    tasks: list[Any] = [task for dag in dag_bag.dags.values() for task in dag.tasks]
    assert tasks
    for task in tasks:
        assert task.owner not in ("", "airflow")
        assert task.retries >= 2
        assert task.retry_exponential_backoff > 1
        assert task.max_retry_delay is not None


def test_every_task_has_an_end(dag_bag: DagBag) -> None:
    """What hangs is killed, so that no worker slot is lost for good."""
    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            assert task.execution_timeout is not None, f"{dag.dag_id}.{task.task_id}"
            assert timedelta(0) < task.execution_timeout <= timedelta(days=2), f"{dag.dag_id}.{task.task_id}"


def test_every_task_explains_itself(dag_bag: DagBag) -> None:
    """Each task of a function's shows what it does and returns; Airflow shows nothing of a sensor or a mapped task."""
    from airflow.sdk import BaseSensorOperator

    for dag in dag_bag.dags.values():
        for task in dag.tasks:
            if not task.is_mapped and not isinstance(task, BaseSensorOperator):
                assert task.doc_md, f"{dag.dag_id}.{task.task_id}"


def test_mapped_tasks_are_labelled_by_their_jobs(dag_bag: DagBag) -> None:
    """In Airflow's list of a task's instances each is called by its first job, not by a number."""
    mapped = [task for dag in dag_bag.dags.values() for task in dag.tasks if task.is_mapped]
    assert {task.task_id for task in mapped} >= {"archive", "retrieve"}
    for task in mapped:
        assert task.partial_kwargs.get("map_index_template"), f"{task.dag_id}.{task.task_id}"


def test_restores_come_before_jobs(dag_bag: DagBag) -> None:
    """Each of their tasks takes the next free worker slot, however many jobs have been there for longer."""
    jobs = max(task.priority_weight for task in dag_bag.dags["annotate"].tasks)
    for task in dag_bag.dags["restore"].tasks:
        said = task.partial_kwargs if task.is_mapped else {"priority_weight": task.priority_weight}
        assert said["priority_weight"] > jobs, task.task_id


@pytest.mark.parametrize(("ids", "label"), [(["a"], "a"), (["a", "b", "c"], "a and 2 more")], ids=["one", "several"])
def test_label_names_the_first_job(ids: list[str], label: str) -> None:
    """A set of one job is called by it, a larger one by its first and how many more there are."""
    from jinja2 import Environment

    from gas_airflow.defaults import jobs_label

    template = Environment(autoescape=True).from_string(jobs_label("task.op_kwargs['chunk']"))
    assert template.render(task={"op_kwargs": {"chunk": ids}}) == label


def test_every_param_is_validated(dag_bag: DagBag) -> None:
    """Each Param has a type and its words in the form, and text is bound by a pattern or a list of values."""
    for dag in dag_bag.dags.values():
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            assert "type" in schema, f"{dag.dag_id}: {name}"
            assert schema.get("title"), f"{dag.dag_id}: {name}"
            assert dag.params.get_param(name).description, f"{dag.dag_id}: {name}"
            if "string" in schema["type"]:
                assert {"pattern", "enum", "format"} & set(schema), f"{dag.dag_id}: {name}"


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_import_does_no_work(airflow_home: Path, path: Path) -> None:
    """Reading a DAG file opens no connection, starts no process and imports neither AWS's client nor the engine."""
    program = f"""
import runpy, sys

def refuse(event, arguments):
    if event in ("socket.connect", "subprocess.Popen", "os.fork", "os.system"):
        raise RuntimeError(f"{{event}} while a DAG was read")

import airflow.sdk
sys.addaudithook(refuse)
runpy.run_path({str(path)!r})
heavy = {{"boto3", "botocore", "pysam", "duckdb", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
