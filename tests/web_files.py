"""A web server of files on loopback, with the manners of a good one, that can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebFiles:
    """Files by path. Ranges are answered as RFC 9110 says."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """How many bytes of each of the next bodies (of packed files) arrive, until the connection breaks."""
    refusals: list[int] = field(default_factory=list)
    """What each of the next requests is answered with instead."""
    sizes: dict[str, int] = field(default_factory=dict)
    """What ``HEAD`` says instead of the truth, in bytes."""
    ranges: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and ``Range`` of each request."""

    def put(self, path: str, body: bytes) -> None:
        """Have this file there."""
        self.files[path] = body


@contextmanager
def serving() -> Iterator[WebFiles]:
    """Serve while the block lasts."""
    web = WebFiles()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(send=False)

        def do_GET(self) -> None:
            self._answer(send=True)

        def _answer(self, *, send: bool) -> None:
            web.asked.append((self.command, self.path, self.headers.get("Range", "")))
            body = web.files.get(self.path)
            if web.refusals or body is None:
                self.send_response(web.refusals.pop(0) if web.refusals else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            asked = self.headers.get("Range", "")
            first = 0
            if web.ranges and asked and self.headers.get("If-Range", etag) == etag:
                first = int(asked.removeprefix("bytes=").removesuffix("-"))
                if first >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            size = len(body) - first if send else web.sizes.get(self.path, len(body))
            self.send_header("Content-Length", str(size))
            self.send_header("ETag", etag)
            self.end_headers()
            if not send:
                return
            if web.cuts and self.path.endswith("gz"):
                self.wfile.write(body[first : first + web.cuts.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(body[first:])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that hung up."""

    server = Server(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
