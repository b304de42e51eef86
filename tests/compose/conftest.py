"""The services of ``docker-compose.yaml``, running without Docker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.configured import compose, model, secrets
from tests.compose.topology import Topology, shim_wget
from tests.conftest import free_ports

DELAY_S = 10


@pytest.fixture(scope="session")
def topology(_no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Everything that the file describes, with the stand-ins, healthy."""
    if compose() is None:
        pytest.fail("without Docker Compose nothing can be read from docker-compose.yaml")
    folder = tmp_path_factory.mktemp("compose")
    first = free_ports(3)
    variables = {
        **secrets(),
        "GAS_WEB_URL": f"https://localhost:{first}",
        "GAS_AIRFLOW_PUBLIC_URL": f"https://localhost:{first + 1}",
        "GAS_HTTPS_PORT": str(first),
        "GAS_HTTP_PORT": str(first + 2),
        "GAS_FREE_RESULT_TTL": str(DELAY_S),
    }
    running = Topology(model(variables, folder=folder, dev=True)["services"], folder)
    shim_wget(folder / "shims")
    try:
        running.up()
        yield running
    finally:
        running.down()
