"""The HTTP server: moto behind a gate, with what GAS needs mended."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import IO, Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gas.local.aws_standin import glacier, items, listings, outbox, storage_class, transactions
from gas.local.aws_standin.gate import Gate
from gas.local.aws_standin.presigned_post import Refusal, check_post
from gas.local.aws_standin.snapshot import Snapshot

_IN_MEMORY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_READING = ("DynamoDB_20120810.Get", "DynamoDB_20120810.Query", "DynamoDB_20120810.Scan", "DynamoDB_20120810.Describe")
_SNAPSHOT_EVERY_S = 5.0
_SNAPSHOT_SHARE = 0.02


class StandIn:
    """The WSGI application.

    Requests pass side by side but for DynamoDB's, which go one by one: moto's compare-and-set is not atomic under
    threads. Each request is read whole before it passes, so that a slow sender holds nobody up.
    """

    def __init__(self, moto: WSGIApplication) -> None:
        self.gate = Gate()
        self.changes = 0
        """Requests so far that may have changed something."""
        self._moto = moto
        self._dynamodb = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and environ.get("PATH_INFO") in (outbox.PATH, outbox.JSON_PATH):
            return self._outbox(str(environ["PATH_INFO"]), start_response)
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        with _whole_body(environ), self.gate.shared():
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD", "OPTIONS") and not target.startswith(_READING):
                self.changes += 1
            if not target.startswith("DynamoDB"):
                return self._moto(environ, start_response)
            with self._dynamodb:
                return self._moto(environ, start_response)

    def _outbox(self, path: str, start_response: StartResponse) -> list[bytes]:
        with self.gate.shared():
            kind, body = outbox.answer(path)
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        start_response("200 OK", [("Content-Type", kind), ("Content-Security-Policy", policy)])
        return [body]

    def keep_saving(self, snapshot: Snapshot, stopped: threading.Event) -> None:
        """Save what changed every few seconds, and so seldom that it takes one part in fifty of the time."""
        saved = self.changes
        pause = _SNAPSHOT_EVERY_S
        while not stopped.wait(pause):
            if self.changes == saved:
                continue
            began = time.monotonic()
            with self.gate.alone():
                saved = self.changes
                snapshot.save()
            pause = max(_SNAPSHOT_EVERY_S, (time.monotonic() - began) / _SNAPSHOT_SHARE)


def stand_in(*, secret: str, waits: glacier.Waits) -> StandIn:
    """Mend moto in this process and return it as one WSGI application.

    :param secret: the secret access key with which presigned POSTs are signed.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    glacier.mend(waits)
    items.mend()
    _mend_presigned_post(secret)
    storage_class.mend(waits)
    listings.mend()
    outbox.mend()
    transactions.mend()
    return StandIn(DomainDispatcherApplication(create_backend_app))


def serve(*, port: int, state: Path | None, secret: str, waits: glacier.Waits, host: str = "127.0.0.1") -> None:
    """Serve until SIGTERM or SIGINT, keeping the state in a folder.

    :param host: the address to listen at. It checks no signatures: whoever reaches it may read and change all.
    """
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    application = stand_in(secret=secret, waits=waits)
    snapshot = Snapshot(state) if state else None
    if snapshot:
        snapshot.load()
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    stopped = threading.Event()
    helpers = [
        threading.Thread(target=glacier.publish_completions, args=(application.gate, stopped)),
        threading.Thread(target=storage_class.publish_completions, args=(application.gate, stopped)),
    ]
    if snapshot:
        helpers.append(threading.Thread(target=application.keep_saving, args=(snapshot, stopped)))

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for the loop that this signal interrupted

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for helper in helpers:
        helper.start()
    server.serve_forever()
    stopped.set()
    for helper in helpers:
        helper.join()
    if snapshot:
        application.gate.close()  # for good: what were answered after this would not be in the snapshot
        snapshot.save()


def _mend_presigned_post(secret: str) -> None:
    from moto.s3.responses import S3Response

    original = S3Response._bucket_response_post

    def checked(response: Any, request: Any, bucket_name: str) -> Any:
        fields = {name.lower(): value for name, value in response.form_data.items() if name != "file"}
        if "key" in fields:
            size_bytes = len(response.body)
            try:
                check_post(fields, bucket=bucket_name, size_bytes=size_bytes, secret=secret, now=datetime.now(UTC))
            except Refusal as refusal:
                body = f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message></Error>"
                return refusal.status, {"content-type": "application/xml"}, body
        return original(response, request, bucket_name)

    setattr(S3Response, "_bucket_response_post", checked)  # noqa: B010 - to the type checker, an assignment is an error


def _whole_body(environ: WSGIEnvironment) -> IO[bytes]:
    """Read the request's body, into a file where it is large, and give the application that instead of the socket."""
    body: tempfile.SpooledTemporaryFile[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    source = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        while chunk := source.read(_CHUNK_BYTES):
            body.write(chunk)
    else:
        left = int(environ.get("CONTENT_LENGTH") or 0)
        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            body.write(chunk)
            left -= len(chunk)
    environ["CONTENT_LENGTH"] = str(body.tell())
    body.seek(0)
    environ["wsgi.input"] = body
    return body
