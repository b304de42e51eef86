"""The environment of the local stack's processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gas.local.layout import Layout
from gas.local.variables import SLOTS, process_environment


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(state=tmp_path / "state", base_port=20_000)


def test_airflows_figures_go_where_those_of_gas_go(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """One choice, by the environment or the .env, for both."""
    monkeypatch.setenv("GAS_STATSD_ON", "True")
    (layout.state.parent / ".env").write_text("GAS_STATSD_PORT=9125\n")
    environment = process_environment(layout)
    for option, value in (("ON", "True"), ("PORT", "9125")):
        assert environment[f"GAS_STATSD_{option}"] == value
        assert environment[f"AIRFLOW__METRICS__STATSD_{option}"] == value
    assert "AIRFLOW__METRICS__STATSD_HOST" not in environment


def test_jobs_leave_worker_slots_to_the_rest(layout: Layout) -> None:
    """Half of them: an upgrade waits for no job to end."""
    environment = process_environment(layout)
    assert int(environment["AIRFLOW__CORE__PARALLELISM"]) == SLOTS
    assert int(environment["GAS_MAX_RUNNING_JOBS"]) * 2 <= SLOTS
