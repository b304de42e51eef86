"""Webhooks: signed requests to addresses that people name.

A person may name any address, so a request must not reach what only this server can: unless the installation says
otherwise, it goes over https to a public address alone, to the very one that was looked at (a name may change its
mind), follows no redirect, knows no proxy, and takes five seconds in all, however slowly the other side speaks.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from gas.errors import InputError, Unavailable

TIMEOUT_S = 5.0
URL_CHARACTERS = 1000
#: Bytes of an answer that are looked at; nothing in them matters.
ANSWER_BYTES = 4096
SECRET_PREFIX = "gaswh_"  # noqa: S105 - what a secret begins with

SIGNATURE_HEADER = "GAS-Signature"
DELIVERY_HEADER = "GAS-Delivery"


class Refused(Unavailable):
    """The webhook answered, and did not take this request; it may take another."""


class Webhooks:
    """Sends signed requests.

    :param private: whether they may go over plain http, and to addresses that are not public.
    """

    def __init__(self, *, private: bool) -> None:
        self._private = private

    def checked(self, url: str) -> str:
        """The address, fit to be kept.

        :raises InputError: saying what is wrong with it.
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise InputError("this is not a web address") from None
        if len(url) > URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
            raise InputError(f"a webhook's address has at most {URL_CHARACTERS} plain characters, and no spaces")
        if parts.scheme != "https" and not (self._private and parts.scheme == "http"):
            raise InputError("a webhook's address begins with https://")
        if not host:
            raise InputError("a webhook's address names a host")
        if parts.username is not None or parts.fragment:
            raise InputError("a webhook's address has neither a user name nor a #fragment")
        return url

    def send(self, url: str, body: bytes, *, secret: str, delivery_id: str, now: int) -> None:
        """POST a body of JSON.

        :param now: POSIX seconds; part of what is signed, so that an old request cannot be sent again.
        :raises Refused: when it was answered by anything but a 2xx.
        :raises Unavailable: when it was not answered.
        """
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "User-Agent": "GAS-Webhook",
            SIGNATURE_HEADER: signature(secret, body, now=now),
            DELIVERY_HEADER: delivery_id,
        }
        try:
            status = self._post(self.checked(url), headers, body)
        except InputError as error:
            raise Unavailable(str(error)) from error
        except _NotPublic as error:
            raise Unavailable("the webhook's address is not a public one") from error
        except httpcore.TimeoutException as error:
            raise Unavailable(f"the webhook did not answer within {TIMEOUT_S:.0f} seconds") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Unavailable("the webhook could not be reached") from error
        if not 200 <= status < 300:
            raise Refused(f"the webhook answered {status}")

    def _post(self, url: str, headers: dict[bytes | str, bytes | str], body: bytes) -> int:
        network = _Network(deadline=time.monotonic() + TIMEOUT_S, private=self._private)
        trusted = httpx.create_ssl_context() if url.startswith("https:") else None
        with (
            httpcore.ConnectionPool(ssl_context=trusted, network_backend=network) as pool,
            pool.stream("POST", url, headers=headers, content=body) as response,
        ):
            taken = 0
            for chunk in response.iter_stream():
                taken += len(chunk)
                if taken > ANSWER_BYTES:
                    break
            return response.status


class _NotPublic(Exception):
    """The address lies in a network of this server's own."""


class _Network(httpcore.NetworkBackend):
    """Connects to the addresses that were checked, and lets nothing take longer than until the deadline."""

    def __init__(self, *, deadline: float, private: bool) -> None:
        self._deadline = deadline
        self._private = private
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private and not all(is_public(address) for address in addresses):
            raise _NotPublic
        for number, address in enumerate(addresses):
            try:
                stream = self._backend.connect_tcp(address, port, _left(self._deadline), local_address, socket_options)
            except httpcore.ConnectError:
                if number == len(addresses) - 1:
                    raise
            else:
                return _Stream(stream, deadline=self._deadline)
        raise httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, *, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(secured, deadline=self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, also where an IPv6 address only wraps one of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


#: Where NAT64 gateways put the addresses of IPv4, RFC 6052.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


def new_secret() -> str:
    """A secret to sign with."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def signature(secret: str, body: bytes, *, now: int) -> str:
    """What ``GAS-Signature`` says: ``t=POSIX seconds,v1=hex HMAC-SHA256(secret, "t.body")``."""
    signed = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={signed}"
