"""The plugin warms the processes that tasks are forked from, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
sys.argv = ["airflow", {component!r}]
import airflow.sdk
from gas_airflow.plugin import GasPlugin
GasPlugin.on_load()
wanted = {{"boto3", "pysam.bcftools", "duckdb", "gas.annotation.engine", "gas_airflow.connections"}}
assert (wanted <= set(sys.modules)) is {warmed}, wanted - set(sys.modules)
from gas.aws import _models
assert bool(_models()._cache) is {warmed}
"""


@pytest.mark.parametrize(("component", "warmed"), [("scheduler", True), ("celery", True), ("api-server", False)])
def test_only_parents_of_tasks_are_warmed(airflow_home: Path, component: str, warmed: bool) -> None:
    """The scheduler and a Celery worker import ahead what tasks use; the API server spares its memory."""
    program = PROGRAM.format(component=component, warmed=warmed)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=os.environ)
