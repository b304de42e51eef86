"""Settings come from the environment, once, and a bad one says which."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from gas.errors import SettingsError
from gas.settings import Settings


@pytest.fixture(autouse=True)
def _no_gas_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GAS_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GAS_PREFIX", "Not Allowed"),
        ("GAS_WEB_URL", "localhost:8000"),
        ("GAS_PROCESSORS", "many"),
        ("GAS_FREE_UPLOAD_LIMIT_BYTES", "0"),
        ("GAS_AWS_ACCOUNT", "12345"),
        ("GAS_MAX_RUNNING_JOBS", "0"),
        ("GAS_FREE_RESULT_TTL", "9"),
        ("GAS_ARCHIVE_INTERVAL", "24"),  # 300 s of delay, and more than 12 runs would wait
        ("GAS_INSTALLED", "yesterday"),
    ],
)
def test_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """A value that cannot be used is refused in a sentence that names the environment variable."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment()


def test_names_share_one_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every AWS name follows from GAS_PREFIX."""
    monkeypatch.setenv("GAS_PREFIX", "lab")
    settings = Settings.from_environment()
    names = (
        settings.annotations_table,
        settings.profiles_table,
        settings.inputs_bucket,
        settings.results_bucket,
        settings.thaw_wake_queue,
        *settings.topics,
    )
    assert all(name.startswith("lab-") for name in names)
    assert settings.completed_topic in settings.topics


def test_secrets_do_not_print_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No representation of the settings shows a secret."""
    monkeypatch.setenv("GAS_AIRFLOW_PASSWORD", "hunter2")
    settings = Settings.from_environment()
    assert "hunter2" not in repr(settings) + str(settings)
    assert settings.airflow_password.get_secret_value() == "hunter2"


def test_admins_are_split_at_commas_and_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """GAS_ADMINS is a list of Globus identities, however it is separated."""
    monkeypatch.setenv("GAS_ADMINS", "a, b c")
    assert Settings.from_environment().admins == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("delay", "interval"),
    [
        ("10", timedelta(seconds=10)),
        ("120", timedelta(seconds=10)),
        ("121", timedelta(minutes=1)),
        ("300", timedelta(minutes=1)),
        ("86400", timedelta(hours=6)),
        ("7776000", timedelta(weeks=2)),
        ("94608000", timedelta(weeks=14)),
    ],
)
def test_archive_interval_follows_from_the_delay(
    monkeypatch: pytest.MonkeyPatch, delay: str, interval: timedelta
) -> None:
    """The shortest of some round intervals of which at most 12 fit into the delay, or else whole weeks."""
    monkeypatch.setenv("GAS_FREE_RESULT_TTL", delay)
    settings = Settings.from_environment()
    assert settings.archive_interval == interval
    assert 1 <= settings.waiting_runs <= 12


def test_archive_interval_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """GAS_ARCHIVE_INTERVAL takes precedence where few enough runs wait with it."""
    monkeypatch.setenv("GAS_ARCHIVE_INTERVAL", "30")
    settings = Settings.from_environment()
    assert (settings.archive_interval, settings.waiting_runs) == (timedelta(seconds=30), 10)
