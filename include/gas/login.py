"""Signing a terminal in through the browser (loopback redirect, RFC 8252; PKCE, RFC 7636), and keeping its token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import os
import secrets
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from gas.errors import GasError, NotAllowed, SettingsError

LOGIN_TIMEOUT_S = 300.0
"""How long ``gas login`` waits for the person at the browser."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>GAS: {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1.5rem}}</style>
</head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """The secrets of one sign-in: ``state`` ties the answer to the question, the verifier the token to the code."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def s256(self) -> str:
        """The PKCE code challenge (RFC 7636, S256) of the verifier."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorize_url(server: str, *, redirect_uri: str, challenge: Challenge, client_name: str) -> str:
    """The page where the person, signed in at the browser, lets this terminal act for them."""
    query = {
        "redirect_uri": redirect_uri,
        "state": challenge.state,
        "code_challenge": challenge.s256,
        "code_challenge_method": "S256",
        "client_name": client_name,
    }
    return f"{server}/cli/authorize?{urlencode(query)}"


class Loopback:
    """A web server for one answer, on a free port of 127.0.0.1. A context manager.

    Only an answer that carries ``state`` counts, so that no other page can slip a code of its own in.
    """

    def __init__(self, *, state: str) -> None:
        self._answered = threading.Event()
        self._code: str | None = None
        self._refusal = ""
        self._state = state
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="gas-login", daemon=True)

    @property
    def redirect_uri(self) -> str:
        """Where the browser is to bring the code."""
        return f"http://127.0.0.1:{self._server.server_port}/callback"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, *, timeout_s: float = LOGIN_TIMEOUT_S) -> str:
        """The one-time code.

        :raises NotAllowed: the person refused, or nobody answered in time.
        """
        if not self._answered.wait(timeout_s):
            raise NotAllowed(f"nobody signed in within {timeout_s:g} s: run `gas login` again")
        if self._code is None:
            raise NotAllowed(f"the sign-in was refused at the browser ({self._refusal})")
        return self._code

    def _receive(self, query: dict[str, list[str]]) -> tuple[HTTPStatus, str, str]:
        """Take an answer in; what to show the person: status, title, text."""
        if not hmac.compare_digest(query.get("state", [""])[0].encode(), self._state.encode()):
            return HTTPStatus.BAD_REQUEST, "Not this sign-in", "Run gas login again, and use the address it prints."
        if self._answered.is_set():
            return HTTPStatus.GONE, "Answered already", "You can close this page."
        code = query.get("code", [""])[0]
        if not code:
            self._refusal = query.get("error", ["no code"])[0]
            self._answered.set()
            return HTTPStatus.OK, "Not signed in", "The terminal was not let in. You can close this page."
        self._code = code
        self._answered.set()
        return HTTPStatus.OK, "You are signed in", "Go back to the terminal; you can close this page."

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receive = self._receive

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                if address.path != "/callback":
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                status, title, text = receive(parse_qs(address.query))
                body = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the address holds the code."""

        return Handler


class Credentials:
    """The tokens of one person on one machine, one a server, in a file that only they can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def server(self) -> str | None:
        """The server that was signed in to last."""
        server = self._read().get("server")
        return server if isinstance(server, str) else None

    def token(self, server: str) -> str | None:
        """The token for this server, and for no other."""
        token = self._read()["tokens"].get(server)
        return token if isinstance(token, str) else None

    def keep(self, *, server: str, token: str) -> None:
        """Remember the token, and the server as the one to use from now on."""
        tokens = self._read()["tokens"]
        self._write({"server": server, "tokens": {**tokens, server: token}})

    def forget(self, *, server: str) -> None:
        """Drop the server's token. The server stays the one to use."""
        held = self._read()
        if held["tokens"].pop(server, None) is not None:
            self._write(held)

    def _read(self) -> dict[str, Any]:
        try:
            held = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"tokens": {}}
        except (OSError, ValueError) as error:
            raise SettingsError(f"cannot read {self._path} ({error}): delete it and run `gas login`") from error
        if not isinstance(held, dict) or not isinstance(held.get("tokens"), dict):
            raise SettingsError(f"{self._path} does not hold tokens: delete it and run `gas login`")
        return held

    def _write(self, held: dict[str, Any]) -> None:
        part = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                # Made with its mode: there is no moment in which anybody else could open it.
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                    json.dump(held, stream, indent=1)
                part.replace(self._path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise GasError(f"cannot write {self._path}: {error.strerror}") from error
