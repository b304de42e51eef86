"""Where webhooks may lead, and how long they may take."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gas import webhooks
from gas.errors import InputError, Unavailable
from gas.webhooks import Webhooks, is_public, signature

SECRET = "gaswh_secret"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_open_internet_is_public(address: str) -> None:
    """Addresses that anybody can reach."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - nothing listens there
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_own_networks_are_not_public(address: str) -> None:
    """Loopback, private, link-local and shared addresses, in whatever clothes."""
    assert not is_public(address)


def send(hooks: Webhooks, url: str) -> None:
    hooks.send(url, b"{}", secret=SECRET, delivery_id="1", now=1)


@pytest.mark.parametrize("url", ["http://example.org/", "https://user@example.org/", "example.org", "https:///x"])
def test_stored_address_is_checked_once_more(url: str) -> None:
    """What an installation does not allow (any more) is not called, wherever the address came from."""
    with pytest.raises(InputError):
        Webhooks(private=False).checked(url)
    with pytest.raises(Unavailable):
        send(Webhooks(private=False), url)


def test_name_that_leads_inside_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """One private address among a name's addresses is enough; nothing is connected to."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("something was connected to"))
    with pytest.raises(Unavailable, match="not a public one"):
        send(Webhooks(private=False), "https://rebinding.example.org/")


def test_address_that_was_checked_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once: what it leads to a moment later does not matter."""
    answers = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))]]
    called: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> None:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.pop())
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Unavailable, match="could not be reached"):
        send(Webhooks(private=False), "https://rebinding.example.org/")
    assert called == [("8.8.8.8", 443)]


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy could reach what must not be reached."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    called: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> None:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Unavailable):
        send(Webhooks(private=True), "http://127.0.0.1:9/")
    assert called == [("127.0.0.1", 9)]


@pytest.fixture
def slow_port() -> Iterator[int]:
    """A server that answers one byte at a time, each well within the time, and never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stopped.wait(0.02):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stopped.set()
        thread.join()


def test_slow_answer_is_not_waited_for(slow_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is one for all of it: who sends a byte now and then does not get more."""
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer within"):
        send(Webhooks(private=True), f"http://127.0.0.1:{slow_port}/")
    assert time.monotonic() - began < 5


def test_signature_is_of_time_and_body() -> None:
    """A value that can be computed by hand: ``printf '1.{}' | openssl dgst -sha256 -hmac key``."""
    digest = "1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
    assert signature("key", b"{}", now=1) == f"t=1,v1={digest}"
