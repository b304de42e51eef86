"""A small GAS server for the client's tests: the JSON API and the storage behind it, over real sockets of 127.0.0.1.

It holds jobs in a dictionary, ends each when it has been asked about often enough, and can be told to falter.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

ALICE = {
    "user_id": "11111111-1111-4111-8111-111111111111",
    "name": "Alice Example",
    "email": "alice@uchicago.example",
    "tier": "free",
    "upload_limit_bytes": 10 << 20,
}
RESULT = b"##fileformat=VCFv4.2\n" + bytes(range(256)) * 1200  # more than one read of a socket


@dataclass
class Fault:
    """Something that goes wrong with the next ``times`` requests whose ``METHOD /path`` begins with ``where``."""

    where: str
    status: int = 0
    """Answer with this status and no more; 0: close the connection without an answer."""
    after_bytes: int | None = None
    """Send the true answer's head and so many bytes of its body, then close the connection."""
    after_doing: bool = False
    """Do the work first, then lose the answer."""
    times: int = 1


@dataclass
class GasServer:
    """A context manager; every attribute may be changed between requests."""

    token: str = "gas_of_alice"
    limit_bytes: int = 10 << 20
    references: tuple[str, ...] = ("sars-cov-2",)
    looks_until_done: int = 2
    outcome: dict[str, Any] = field(default_factory=lambda: {"status": "COMPLETED"})
    ranges: bool = True
    faults: list[Fault] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    tier: str = "free"
    deleted: set[str] = field(default_factory=set)
    links: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Of each job: the links to its result."""
    outputs: dict[str, bytes] = field(default_factory=lambda: {"vcf": RESULT, "index": b"TBI", "log": b"MODERATE 3\n"})
    claimed_sha256: str | None = None
    """What the records say of the VCF's checksum; the truth when None."""
    stored: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Of each uploaded job: bytes and SHA-256."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often each ``METHOD /path`` was asked for."""
    keys: dict[str, list[str]] = field(default_factory=dict)
    """The Idempotency-Key of each request to ``METHOD /path`` that had one."""
    searches: list[dict[str, str]] = field(default_factory=list)
    """The query of each list of jobs that was asked for."""
    resumed_at: list[int] = field(default_factory=list)
    """Where each download began that asked for a range."""
    tokens_at_storage: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    sessions_ended: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_job(self, **fields: Any) -> str:
        """A job that is in the records already; returns its id."""
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = {
            "job_id": job_id,
            "file_name": "wuhan.vcf",
            "reference": "sars-cov-2",
            "status": "PENDING",
            "submit_time": "2026-11-24T20:00:00Z",
            **fields,
        }
        return job_id

    def finish(self, job_id: str) -> None:
        """End the job as ``outcome`` says."""
        job = self.jobs[job_id]
        job.update(self.outcome, complete_time="2026-11-24T20:00:09Z")
        if job["status"] == "COMPLETED":
            endings = {"vcf": ".annot.vcf.gz", "index": ".annot.vcf.gz.tbi", "log": ".annot.vcf.count.log"}
            job["counts"] = {"records": 6100, "by_impact": {"HIGH": 3, "MODERATE": 8}}
            job["outputs"] = {
                name: {
                    "size_bytes": len(body),
                    "sha256": (self.claimed_sha256 or "") if name == "vcf" and self.claimed_sha256 else _sha256(body),
                    "file_name": "wuhan" + endings[name],
                }
                for name, body in self.outputs.items()
            }


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class _Refused(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        self.answer = status, {"status": status, "title": kind, "detail": detail, "kind": kind}


def _handler(gas: GasServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def do_PATCH(self) -> None:
            self._serve("PATCH")

        def do_DELETE(self) -> None:
            self._serve("DELETE")

        def _serve(self, method: str) -> None:
            address = urlsplit(self.path)
            self.query = {name: values[-1] for name, values in parse_qs(address.query).items()}
            where = f"{method} {address.path}"
            gas.seen[where] += 1
            if key := self.headers.get("Idempotency-Key"):
                gas.keys.setdefault(where, []).append(key)
            self.fault = next((f for f in gas.faults if where.startswith(f.where) and f.times > 0), None)
            if self.fault is not None:
                self.fault.times -= 1
                if self.fault.after_bytes is None and not self.fault.after_doing:
                    self._break_off()
                    return
            try:
                self._route(where)
            except _Refused as refused:
                status, problem = refused.answer
                self._send(status, json.dumps(problem).encode(), "application/problem+json")

        def _break_off(self) -> None:
            self.close_connection = True
            if self.fault is not None and self.fault.status:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(self.fault.status)
                self.send_header("Content-Length", "0")
                self.send_header("Retry-After", "0")
                self.send_header("Connection", "close")
                self.end_headers()

        def _route(self, where: str) -> None:
            for pattern, answer in ROUTES:
                if match := re.fullmatch(pattern, where):
                    answer(self, *match.groups())
                    return
            raise _Refused(404, "not-found", "there is no such page")

        def _send(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
            fault = self.fault
            if fault is not None and fault.after_doing:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if fault is not None and fault.after_bytes is not None:
                self.wfile.write(body[: fault.after_bytes])
                self.close_connection = True
                return
            self.wfile.write(body)

        def _json(self, document: Any, status: int = 200) -> None:
            self._send(status, json.dumps(document).encode())

        def _body(self) -> dict[str, Any]:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert isinstance(document, dict)
            return document

        def _authorize(self) -> None:
            if self.headers.get("Authorization") != f"Bearer {gas.token}":
                raise _Refused(401, "not-allowed", "sign in first")

        def _job(self, job_id: str) -> dict[str, Any]:
            self._authorize()
            if job_id not in gas.jobs:
                raise _Refused(404, "not-found", f"there is no job {job_id}")
            return gas.jobs[job_id]

        # The API.

        def me(self) -> None:
            self._authorize()
            self._json(ALICE)

        def change_plan(self, word: str) -> None:
            self._authorize()
            gas.tier = "premium" if word == "subscribe" else "free"
            self._json({**ALICE, "tier": gas.tier})

        def list_references(self) -> None:
            self._authorize()
            self._json({"references": [{"name": name} for name in gas.references]})

        def begin(self) -> None:
            asked = self._body()
            self._authorize()
            if asked["size_bytes"] > gas.limit_bytes:
                raise _Refused(413, "upload-too-large", "the file is larger than a free plan's 10 MiB: upgrade")
            if asked["reference"] not in gas.references:
                raise _Refused(422, "reference", f"there is no reference {asked['reference']}; there is sars-cov-2")
            job_id = str(uuid.uuid4())
            fields = {"key": f"alice/{job_id}/input", "policy": "p"}
            url = f"{gas.url}/storage/inputs"
            self._json({"job_id": job_id, "url": url, "fields": fields, "max_bytes": gas.limit_bytes}, 201)

        def submit(self) -> None:
            asked = self._body()
            self._authorize()
            if asked["job_id"] not in gas.stored:
                raise _Refused(409, "conflict", "nothing was uploaded for this job")
            new = asked["job_id"] not in gas.jobs
            if new:
                made = gas.add_job(file_name=asked["file_name"], reference=asked["reference"])
                gas.jobs[asked["job_id"]] = {**gas.jobs.pop(made), "job_id": asked["job_id"]}
            self._json(gas.jobs[asked["job_id"]], 201 if new else 200)

        def list_jobs(self) -> None:
            self._authorize()
            gas.searches.append(self.query)
            jobs = [job for job in gas.jobs.values() if self.query.get("status") in (None, job["status"])]
            first, limit = int(self.query.get("cursor", 0)), int(self.query["limit"])
            following = str(first + limit) if first + limit < len(jobs) else None
            self._json({"jobs": jobs[first : first + limit], "next_cursor": following})

        def show(self, job_id: str) -> None:
            job = self._job(job_id)
            looks = gas.seen[f"GET /api/v1/jobs/{job_id}"]
            if job["status"] == "PENDING" and looks >= gas.looks_until_done:
                job["status"] = "RUNNING"
                job["progress"] = {"stage": "consequences", "done": 3000, "total": 6100}
            elif job["status"] == "RUNNING" and looks > gas.looks_until_done:
                gas.finish(job_id)
            self._json(job)

        def delete(self, job_id: str) -> None:
            self._authorize()
            if job_id not in gas.deleted:
                self._job(job_id)
                gas.deleted.add(job_id)
                del gas.jobs[job_id]
            self._send(204, b"")

        def cancel(self, job_id: str) -> None:
            job = self._job(job_id)
            if job["status"] in ("COMPLETED", "FAILED"):
                raise _Refused(409, "conflict", f"the job has ended meanwhile: it is {job['status']}")
            job["status"] = "CANCELLED"
            self._json(job)

        def rerun(self, job_id: str) -> None:
            old, asked = self._job(job_id), self._body()
            new = asked["job_id"] not in gas.jobs
            if new:
                made = gas.add_job(file_name=old["file_name"], reference=asked.get("reference", old["reference"]))
                gas.jobs[asked["job_id"]] = {**gas.jobs.pop(made), "job_id": asked["job_id"]}
            self._json(gas.jobs[asked["job_id"]], 201 if new else 200)

        def rename(self, job_id: str) -> None:
            asked = self._body()
            job = self._job(job_id)
            job["file_name"] = asked["file_name"]
            self._json(job)

        def share(self, job_id: str) -> None:
            days = self._body()["days"]
            self._job(job_id)
            link = {"id": len(gas.links) + 1, "created_at": "2026-11-24T20:00:00Z", "expires_at": f"in {days} days"}
            gas.links[job_id] = [link, *gas.links.get(job_id, [])]
            self._json({**link, "url": f"{gas.url}/shared/secret"}, 201)

        def list_links(self, job_id: str) -> None:
            self._job(job_id)
            self._json({"links": gas.links.get(job_id, [])})

        def unshare(self, job_id: str) -> None:
            self._job(job_id)
            gas.links.pop(job_id, None)
            self._send(204, b"")

        def log(self, job_id: str) -> None:
            if "outputs" not in self._job(job_id):
                raise _Refused(404, "not-found", "this job has no log")
            self._send(200, gas.outputs["log"], "text/plain; charset=utf-8")

        def summary(self, job_id: str) -> None:
            self._json({"counts": self._job(job_id).get("counts")})

        def link(self, job_id: str, output: str) -> None:
            if output != "input" and output not in self._job(job_id).get("outputs", {}):
                raise _Refused(404, "not-found", f"job {job_id} has no {output}")
            self._send(302, b"", Location=f"{gas.url}/storage/results/{output}?signature=fresh")

        def redeem(self) -> None:
            asked = self._body()
            held = gas.codes.pop(asked["code"], {})
            digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if (held.get("code_challenge"), held.get("redirect_uri")) != (challenge, asked["redirect_uri"]):
                raise _Refused(400, "input", "the code is not good")
            self._json({"access_token": gas.token, "token_type": "Bearer", "expires_in": 2592000, "scope": "api"})

        def revoke(self) -> None:
            self._authorize()
            gas.revoked.append(gas.token)
            self._send(204, b"")

        def end_sessions(self) -> None:
            self._authorize()
            gas.sessions_ended += 1
            self._send(204, b"")

        def approve(self) -> None:
            """The page at the browser, approved at once."""
            gas.codes["one-time"] = self.query
            answer = urlencode({"code": "one-time", "state": self.query["state"]})
            self._send(302, b"", Location=f"{self.query['redirect_uri']}?{answer}")

        # The storage.

        def store(self) -> None:
            gas.tokens_at_storage.append(self.headers.get("Authorization", ""))
            left = int(self.headers["Content-Length"])
            head = b""
            while b"\r\n\r\n" not in head.partition(b'name="file"')[2]:
                line = self.rfile.readline()
                head += line
                left -= len(line)
            match = re.search(rb'name="key"\r\n\r\n[^/]+/([^/]+)/', head)
            assert match is not None
            boundary = head.partition(b"\r\n")[0]
            left -= len(boundary) + len(b"\r\n") * 2 + len(b"--")
            size, digest = 0, hashlib.sha256()
            while size < left:
                chunk = self.rfile.read(min(1 << 16, left - size))
                size += len(chunk)
                digest.update(chunk)
            self.rfile.read(len(boundary) + len(b"\r\n") * 2 + len(b"--"))
            gas.stored[match[1].decode()] = size, digest.hexdigest()
            self._send(204, b"")

        def fetch(self, output: str) -> None:
            gas.tokens_at_storage.append(self.headers.get("Authorization", ""))
            body = gas.outputs.get(output, b"the input")
            begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if begin is None or not gas.ranges:
                self._send(200, body, "application/gzip")
                return
            first = int(begin[1])
            gas.resumed_at.append(first)
            span = f"bytes {first}-{len(body) - 1}/{len(body)}"
            self._send(206, body[first:], "application/gzip", Content_Range=span)

    api = "/api/v1"
    ROUTES: list[tuple[str, Callable[..., None]]] = [
        (f"GET {api}/me", Handler.me),
        (f"GET {api}/references", Handler.list_references),
        (f"POST {api}/uploads", Handler.begin),
        (f"POST {api}/jobs", Handler.submit),
        (f"GET {api}/jobs", Handler.list_jobs),
        (rf"GET {api}/jobs/([^/]+)", Handler.show),
        (rf"DELETE {api}/jobs/([^/]+)", Handler.delete),
        (rf"POST {api}/jobs/([^/]+)/cancel", Handler.cancel),
        (rf"POST {api}/jobs/([^/]+)/rerun", Handler.rerun),
        (rf"PATCH {api}/jobs/([^/]+)", Handler.rename),
        (rf"POST {api}/jobs/([^/]+)/links", Handler.share),
        (rf"GET {api}/jobs/([^/]+)/links", Handler.list_links),
        (rf"DELETE {api}/jobs/([^/]+)/links", Handler.unshare),
        (rf"POST {api}/(subscribe|unsubscribe)", Handler.change_plan),
        (rf"GET {api}/jobs/([^/]+)/log", Handler.log),
        (rf"GET {api}/jobs/([^/]+)/summary", Handler.summary),
        (rf"GET {api}/jobs/([^/]+)/download/([^/]+)", Handler.link),
        (f"POST {api}/token", Handler.redeem),
        (f"DELETE {api}/token", Handler.revoke),
        (f"DELETE {api}/sessions", Handler.end_sessions),
        ("GET /cli/authorize", Handler.approve),
        ("POST /storage/inputs", Handler.store),
        (r"GET /storage/results/([^/]+)", Handler.fetch),
    ]
    return Handler
