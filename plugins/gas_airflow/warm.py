"""What the parent of task processes imports ahead, so that each task finds it done.

Measured on two cores, in CPU seconds that every task would pay otherwise: the AWS provider's hook 0.11, boto3 0.06,
the models of DynamoDB, S3 and SNS 0.12, NumPy 0.16, DuckDB 0.14. An empty task costs 0.4.
"""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
import time

from gas import annotation
from gas.aws import warm_models
from gas.settings import Settings

log = logging.getLogger(__name__)

MODULES = (
    "gas_airflow.connections",
    "gas.annotate_job",
    "gas.archive.transfer",
    "gas.notices",
    "pysam.bcftools",
    "duckdb",
    *(f"gas.annotation.{module.name}" for module in pkgutil.iter_modules(annotation.__path__)),
)


@functools.cache
def warm() -> None:
    """Import what the tasks of GAS use. What cannot be imported here fails in the task, with its own message.

    Once in a process and its forks: Airflow loads the plugins of a task again, in the task.
    """
    began = time.monotonic()
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError:
            log.warning("%s could not be imported ahead of the tasks", module, exc_info=True)
    warm_models(Settings.from_environment().region)
    log.info("imported what tasks use in %.2f s", time.monotonic() - began)
