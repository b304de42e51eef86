"""How often the API may be called, and how a caller learns of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from limits.errors import StorageError

from gas.errors import SettingsError
from gas.settings import Settings
from tests.webui.conftest import Browser
from webui.limits import EXTENSION, Limits


@pytest.fixture
def limited(app: Flask) -> Iterator[Flask]:
    """The web app with three calls a minute."""
    app.extensions[EXTENSION] = Limits("3/minute", "memory://")
    yield app
    app.extensions[EXTENSION] = None


def test_answers_say_what_is_left(alice: Browser, limited: Flask) -> None:
    """Each answer of the API tells the limit, what is left of it and when there is more."""
    for left in ("2", "1", "0"):
        answer = alice.get("/api/v1/me")
        assert answer.status_code == 200
        assert (answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]) == ("3", left)
        assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
        assert answer.headers["RateLimit-Policy"] == "3;w=60"


def test_who_asks_too_often_is_told_to_wait(alice: Browser, limited: Flask) -> None:
    """Beyond the limit the answer is 429, a problem like any other, and says when to come back."""
    for _ in range(3):
        alice.get("/api/v1/me")
    refused = alice.get("/api/v1/me")
    assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
    assert refused.json["kind"] == "too-many-requests"
    assert refused.json["detail"].startswith("More than 3 calls in 60 s: wait ")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Remaining"] == "0"


def test_each_person_has_their_own(alice: Browser, bob: Browser, visitor: Browser, limited: Flask) -> None:
    """One who asks too often takes nothing from another; those whom nobody knows share what their address has."""
    for _ in range(4):
        alice.get("/api/v1/me")
    assert bob.get("/api/v1/me").status_code == 200
    junk = {"Authorization": "Bearer gas_junk"}
    assert [visitor.get("/api/v1/me", headers=junk).status_code for _ in range(4)] == [401, 401, 401, 429]


def test_pages_are_not_counted(alice: Browser, limited: Flask) -> None:
    """A page shows however often it is asked for."""
    answers = [alice.get("/jobs/") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any("RateLimit-Limit" in answer.headers for answer in answers)


def test_no_limit_no_headers(alice: Browser) -> None:
    """A server without a limit counts nothing."""
    assert "RateLimit-Limit" not in alice.get("/api/v1/me").headers


@pytest.mark.parametrize("rate", ["600", "600/fortnight", "0/minute", "-1/minute", "600 / minute"])
def test_a_bad_limit_is_refused_at_start(rate: str) -> None:
    """A limit that cannot be read names its variable."""
    with pytest.raises(SettingsError, match="GAS_RATE_LIMIT"):
        Settings.of({"GAS_RATE_LIMIT": rate})


def test_an_unknown_storage_is_refused_at_start() -> None:
    """A place to count in that there is not names its variable."""
    with pytest.raises(SettingsError, match="GAS_RATE_LIMIT_STORAGE"):
        Limits("1/minute", "nowhere://")


def test_a_storage_that_fails_turns_nobody_away(
    alice: Browser, limited: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While calls cannot be counted they are answered, and the log says so."""

    def fail(*_: object) -> None:
        raise StorageError(ConnectionError("redis is away"))

    storage = limited.extensions[EXTENSION]._window.storage
    monkeypatch.setattr(storage, "acquire_sliding_window_entry", fail)
    assert alice.get("/api/v1/me").status_code == 200
    assert "calls are not counted" in caplog.text
