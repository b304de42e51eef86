"""What ``docker-compose.yaml`` describes, running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.configured import compose
from tests.compose.running import Running
from tests.compose.running import running as started

DELAY_S = 10


@pytest.fixture(scope="module")
def running(_no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All of it; programs of this process trust its proxy."""
    if compose() is None:
        pytest.fail("without Docker Compose nothing can be read from docker-compose.yaml")
    with (
        started(tmp_path_factory.mktemp("compose"), GAS_FREE_RESULT_TTL=str(DELAY_S)) as stack,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SSL_CERT_FILE", str(stack.authority))
        yield stack
