"""The Airflow plugin of GAS."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from gas_airflow.links import PREFIX, JobLink

#: The components whose child processes run tasks, as they are named on Airflow's command line.
RUNS_TASKS = frozenset({"scheduler", "celery", "standalone"})
#: Where the pages are on Airflow's host.
HREF = f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}{PREFIX}/"


class Pages:
    """The application of :mod:`gas_airflow.view`, made at its first request.

    Every process of Airflow's loads this plugin, and one kind of them serves pages.
    """

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, as ASGI has it."""
        if self._app is None:
            from gas_airflow.view import build

            self._app = build()
        await self._app(scope, receive, send)


class GasPlugin(AirflowPlugin):
    """Adds the pages "GAS" and the links to jobs, and warms the processes that tasks are forked from.

    A task is a fresh fork; what its parent has imported, it need not. Set ``[core] lazy_load_plugins`` to False.
    """

    name = "gas"
    fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "GAS"}]  # noqa: RUF012 - Airflow's own form
    external_views = [  # noqa: RUF012 - Airflow's own form
        {"name": "GAS", "href": HREF, "destination": "nav", "url_route": "gas", "nav_top_level": True}
    ]
    global_operator_extra_links = [JobLink()]  # noqa: RUF012 - Airflow's own form

    @classmethod
    def on_load(cls, *_: Any) -> None:
        """Called once a process, when Airflow has loaded its plugins."""
        if RUNS_TASKS.intersection(sys.argv[1:3]):
            from gas_airflow.warm import warm

            warm()
