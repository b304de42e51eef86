"""The Airflow plugin of GAS."""

from __future__ import annotations

import sys
from typing import Any

from airflow.plugins_manager import AirflowPlugin

#: The components whose child processes run tasks, as they are named on Airflow's command line.
RUNS_TASKS = frozenset({"scheduler", "celery", "standalone"})


class GasPlugin(AirflowPlugin):
    """Warms the processes that tasks are forked from, where Airflow loads plugins at start.

    A task is a fresh fork; what its parent has imported, it need not. Set ``[core] lazy_load_plugins`` to False.
    """

    name = "gas"

    @classmethod
    def on_load(cls, *_: Any) -> None:
        """Called once a process, when Airflow has loaded its plugins."""
        if RUNS_TASKS.intersection(sys.argv[1:3]):
            from gas_airflow.warm import warm

            warm()
