"""A GAS server's API from Python: submit a VCF, watch its job, read and download what came out.

    with Client("https://gas.example.org", token=token) as gas:
        job = gas.submit(Path("cohort.vcf.gz"), reference="grch38")
        job = gas.wait(job["job_id"])
        gas.download(job["job_id"], "vcf", Path("cohort.annot.vcf.gz"))

Files are streamed both ways, so memory does not grow with them. Whatever can be repeated safely is repeated when the
network or the server falters; every error is a :class:`gas.errors.GasError` with a sentence for a person.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, NotRequired, Self, TypedDict, cast
from urllib.parse import urlencode, urlsplit

import httpx

from gas import transfers
from gas.errors import (
    Conflict,
    Damaged,
    GasError,
    InputError,
    NotAllowed,
    NotFound,
    ReferenceProblem,
    SettingsError,
    TooManyRequests,
    Unavailable,
    UploadTooLarge,
)
from gas.explore.view import document
from gas.job import JOB_ID, JobStatus, new_job_id
from gas.transfers import ATTEMPTS, TIMEOUT, TRANSIENT, ByteProgress, back_off, storage_client

DEFAULT_SERVER = "http://localhost:8800"

START_ATTEMPTS = 12
"""How often a server that has answered before is looked for, and the start of an uploaded job is tried: over about
30 s, which outlives a restart."""

LIMITED_ATTEMPTS = 20
"""How often one that asks too often waits as long as the server says, and asks again."""

IN_PROGRESS_ATTEMPTS = 60
"""How often one is asked again that is still at the first of two same requests: about a second apart, for longer than
a server that died at it is believed to live (20 s)."""

PATIENCE_S = 120.0
"""How long a watched server may be out of reach before watching gives up."""

EACH_S = 0.1
"""What each watched job adds to the pause between two looks at all of them: a server allows ten calls a second."""

_ENDED = frozenset(status.value for status in JobStatus if status.ended)


class Person(TypedDict):
    """Who a token speaks for, and what their plan allows."""

    user_id: str
    name: str
    email: str
    tier: str
    upload_limit_bytes: int
    premium_until: NotRequired[str]
    """When a subscription that was just cancelled ends."""


class Checkout(TypedDict):
    """Where premium is paid for, in a browser."""

    checkout_url: str


class IdentityJson(TypedDict):
    """An identity that the person has linked at Globus."""

    sub: str
    username: str
    email: str
    organization: str
    provider: str


class Me(Person):
    """The person at length."""

    institution: str
    joined_at: str | None
    identities: list[IdentityJson]


class UsageJson(TypedDict):
    """What the person has used this month (UTC)."""

    month: str
    jobs: int
    completed: int
    jobs_at_least: bool
    """There are more jobs than were counted."""
    variants: int
    uploaded_bytes: int
    sums_at_least: bool
    """Variants and bytes are those of the newest jobs alone."""


class OutputJson(TypedDict):
    """One file of a finished job."""

    size_bytes: int
    sha256: str
    file_name: str
    available: NotRequired[bool]
    """Whether it can be downloaded now: not while it is in the archive."""


class ChangesJson(TypedDict):
    """What differs from an earlier result of the same input: what changed in clinical significance first."""

    job_id: str
    previous_job_id: str | None
    why_not: str | None
    """Why no variants are named, where none can be."""
    counts: dict[str, dict[str, int]] | None
    """Variants: ``significance`` and ``consequence``, each by ``new``, ``lost`` and ``changed``."""
    differences: list[dict[str, Any]]
    more: int
    """How many further variants differ."""


class StorageJson(TypedDict):
    """Where the result lies: HOT, ARCHIVING, ARCHIVED or THAWING. Times are ISO 8601 in UTC."""

    state: str
    not_before: str | None
    """When it moves to the archive at the earliest, where it does."""
    archive_time: str | None
    restore_time: str | None
    retrieval_tier: str | None
    expected_by: str | None
    error: str | None


class ProgressJson(TypedDict):
    """How far a running job is: ``done`` of ``total`` variants, ``total`` 0 while unknown."""

    stage: str
    done: int
    total: int


class TotalJson(TypedDict):
    """How much of a table a filter lets through."""

    rows: int
    variants: int


class TableJson(TypedDict):
    """A page of a table: its rows by column, all columns there are, and where the next page begins."""

    columns: list[dict[str, str]]
    shown: list[str]
    """Those of the rows, in their order."""
    rows: list[dict[str, Any]]
    total: TotalJson
    view: str
    next_cursor: str | None


class ProblemJson(TypedDict):
    """A line that could not be annotated, by its number from 1, and why."""

    line: int
    text: str
    sentence: str


class AnnotatedJson(TypedDict):
    """A few variants, annotated at once."""

    reference: str
    columns: list[str]
    """Those worth showing, in their order."""
    rows: list[dict[str, Any]]
    """By column, and ``line`` and ``text`` besides: one for each consequence of each variant."""
    problems: list[ProblemJson]


class JobJson(TypedDict):
    """A job as the API tells it. Times are ISO 8601 in UTC."""

    job_id: str
    file_name: str
    reference: str
    status: str
    submit_time: str
    start_time: NotRequired[str | None]
    complete_time: NotRequired[str | None]
    progress: NotRequired[ProgressJson | None]
    counts: NotRequired[dict[str, Any]]
    notes: NotRequired[list[str]]
    error: NotRequired[str | None]
    error_kind: NotRequired[str | None]
    storage: NotRequired[StorageJson | None]
    outputs: NotRequired[dict[str, OutputJson]]


class ReferenceJson(TypedDict):
    """A reference genome installed on the server."""

    name: str
    description: str
    contigs: Any
    sources: Any
    default: NotRequired[bool]


class ShareLinkJson(TypedDict):
    """A link to a result. Times are ISO 8601 in UTC."""

    id: int
    created_at: str
    expires_at: str
    url: NotRequired[str]
    """Its address, told when it is made."""


class TokenJson(TypedDict):
    """What a completed ``gas login`` yields. ``expires_in`` is in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class ApiTokenJson(TypedDict):
    """A token that acts for the person. Times are ISO 8601 in UTC."""

    id: int
    name: str
    scopes: list[str]
    """What it may do: read, jobs, account."""
    created_at: str
    expires_at: str
    last_used_at: str | None
    token: NotRequired[str]
    """Itself, told when it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A file that has arrived whole. ``sha256`` is of the bytes on disk, in hex."""

    output: str
    path: Path
    size_bytes: int
    sha256: str


class NoticeFailureJson(TypedDict):
    """The last time that the person could not be told."""

    time: str
    channel: str
    sentence: str


class NoticesJson(TypedDict):
    """How a person is told of their jobs."""

    email: str | None
    mail: dict[str, bool]
    webhook_url: str | None
    failure: NoticeFailureJson | None


class ChangedNoticesJson(NoticesJson):
    """The same after a change."""

    webhook_secret: str | None


class SentJson(TypedDict):
    """What became of a test."""

    sent: bool
    detail: str


class NoticesTestJson(TypedDict):
    """What became of both; None where there is no such thing."""

    mail: SentJson | None
    webhook: SentJson | None


def server_address(value: str) -> str:
    """A server's base address in its one spelling: scheme and host in lower case, no slash at the end.

    :raises SettingsError: if it is not an http or https address.
    """
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(f"{value!r} is not a server's address; give one such as {DEFAULT_SERVER}")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def ended(job: JobJson) -> bool:
    """Whether nothing more happens to the job by itself."""
    return job["status"] in _ENDED


class Client:
    """One server's API, spoken for one person. Use it as a context manager, or :meth:`close` it.

    :param server: base address of the web app.
    :param token: a GAS token (``gas login``) or a Globus access token with GAS's scope; None where signing in.
    """

    def __init__(self, server: str = DEFAULT_SERVER, *, token: str | None = None) -> None:
        self.server = server_address(server)
        self._heard = False
        headers = {"Accept": "application/json", "User-Agent": "gas-client"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._api = httpx.Client(base_url=f"{self.server}/api/v1/", headers=headers, timeout=TIMEOUT)
        self._storage = storage_client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._api.close()
        self._storage.close()

    def check_reachable(self) -> None:
        """Return if a GAS server answers, whoever asks.

        :raises Unavailable: naming the server and what to do.
        """
        try:
            self._exchange("GET", "me")
        except NotAllowed:
            return

    # Who and what.

    def me(self) -> Me:
        """The person the token speaks for."""
        return cast(Me, self._json("GET", "me"))

    def usage(self) -> UsageJson:
        """What the person has used this month."""
        return cast(UsageJson, self._json("GET", "usage"))

    def references(self) -> list[ReferenceJson]:
        """The reference genomes that jobs on this server can name."""
        return cast(list[ReferenceJson], self._json("GET", "references")["references"])

    def annotate(self, variants: Sequence[str], *, reference: str) -> AnnotatedJson:
        """Annotate up to 100 variants at once, without a job; nothing is kept.

        :param variants: such as ``chr21-25891784-C-T``, or VCF lines.
        :raises InputError: there is none, or more than is taken. One that cannot be used is told in ``problems``.
        :raises ReferenceProblem: the server has no such reference.
        :raises Unavailable: others' variants take up the server just now.
        """
        body = {"reference": reference, "variants": list(variants)}
        return cast(AnnotatedJson, self._json("POST", "annotate", body=body))

    def subscribe(self) -> Person | Checkout:
        """Go premium: everything of the person's that is in the archive is brought back. Repeating it is safe.

        Where premium has its price, the answer is where to pay; the plan changes when the payment is confirmed.

        :raises Conflict: a payment was made, and is about to be confirmed.
        :raises NotAllowed: the token is not one of ``gas login``.
        """
        return cast(Person | Checkout, self._json("POST", "subscribe"))

    def unsubscribe(self) -> Person:
        """Go back to the free plan: results move to the archive after a full delay. Repeating it is safe.

        What was paid for goes on until it is used up: ``premium_until`` says when.

        :raises NotAllowed: the token is not one of ``gas login``.
        """
        return cast(Person, self._json("POST", "unsubscribe"))

    # Jobs.

    def submit(
        self,
        path: Path,
        *,
        reference: str,
        file_name: str | None = None,
        on_upload: ByteProgress | None = None,
    ) -> JobJson:
        """Upload a VCF or BCF and start its job.

        An exchange that breaks off is repeated under the same job id, so one call makes one job.

        :param file_name: what the job calls its input; the file's own name when None.
        :raises InputError: the file cannot be read, or the server refuses it.
        :raises UploadTooLarge: it is larger than the person's plan allows.
        :raises ReferenceProblem: the server has no such reference.
        """
        try:
            size_bytes = path.stat().st_size
            with path.open("rb"):
                pass
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        name = path.name if file_name is None else file_name
        key = secrets.token_hex(16)
        form = self._json(
            "POST",
            "uploads",
            body={"file_name": name, "size_bytes": size_bytes, "reference": reference},
            key=f"{key}-upload",
        )
        transfers.upload(
            self._storage,
            path,
            url=form["url"],
            fields=form["fields"],
            max_bytes=form["max_bytes"],
            on_progress=on_upload,
        )
        body = {"job_id": form["job_id"], "file_name": name, "reference": reference}
        try:
            return cast(JobJson, self._json("POST", "jobs", body=body, attempts=START_ATTEMPTS, key=f"{key}-job"))
        except Unavailable as error:
            raise Unavailable(f"{error} (job {form['job_id']})") from error

    def jobs(
        self,
        *,
        name: str | None = None,
        status: str | None = None,
        storage: str | None = None,
        reference: str | None = None,
        first_day: str | None = None,
        last_day: str | None = None,
        page_size: int = 50,
    ) -> Iterator[JobJson]:
        """The person's jobs, newest first, fetched page by page as they are asked for.

        :param name: a part of the file name, in capitals or not.
        :param storage: where the result lies: HOT, ARCHIVING, ARCHIVED or THAWING.
        :param first_day: of submission, such as ``2026-11-24`` (UTC).
        :param last_day: of submission.
        """
        looked_for = {"name": name, "status": status, "storage": storage, "reference": reference}
        looked_for |= {"from": first_day, "to": last_day}
        query = {"limit": str(page_size), **{word: value for word, value in looked_for.items() if value}}
        while True:
            page = self._json("GET", f"jobs?{urlencode(query)}")
            yield from cast(list[JobJson], page["jobs"])
            if page.get("next_cursor") is None:
                return
            query["cursor"] = page["next_cursor"]

    def job(self, job_id: str) -> JobJson:
        """One job as it stands now.

        :raises NotFound: there is no such job, or it is somebody else's.
        """
        return cast(JobJson, self._json("GET", _job_path(job_id)))

    def watch(self, job_ids: Iterable[str], *, timeout_s: float | None = None) -> Iterator[JobJson]:
        """Each of the jobs as it stands, and again whenever it changed, until all have ended.

        Looks often at first, since most jobs are short, and every 2 s in the long run, at many jobs more seldom. A
        server that is out of reach for less than ``PATIENCE_S`` is waited for.

        :param timeout_s: raise Unavailable when they have not all ended after so many seconds.
        """
        started = heard = time.monotonic()
        last: dict[str, JobJson | None] = dict.fromkeys(job_ids)
        pause_s = 0.1
        while True:
            for job_id in [job_id for job_id, job in last.items() if job is None or not ended(job)]:
                try:
                    job = self.job(job_id)
                except Unavailable:
                    if time.monotonic() - heard > PATIENCE_S:
                        raise
                    continue
                heard = time.monotonic()
                if job != last[job_id]:
                    last[job_id] = job
                    yield job
            if all(job is not None and ended(job) for job in last.values()):
                return
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                raise Unavailable(f"still not done after {timeout_s:g} s; the work goes on: look again with `gas jobs`")
            still = sum(job is None or not ended(job) for job in last.values())
            time.sleep(max(pause_s, still * EACH_S))
            pause_s = min(2.0, pause_s * 1.3)

    def wait(
        self, job_id: str, *, on_change: Callable[[JobJson], None] | None = None, timeout_s: float | None = None
    ) -> JobJson:
        """Wait until the job has ended, in whatever way, and return it. See :meth:`watch`."""
        for job in self.watch([job_id], timeout_s=timeout_s):
            if on_change is not None:
                on_change(job)
        return job

    def cancel(self, job_id: str) -> JobJson:
        """End a job before it is done; what it made so far is removed. Repeating it is safe.

        :raises Conflict: it has completed or failed meanwhile.
        :raises NotFound: there is no such job, or it is somebody else's.
        """
        return cast(JobJson, self._json("POST", f"{_job_path(job_id)}/cancel"))

    def rerun(self, job_id: str, *, reference: str | None = None) -> JobJson:
        """Run a job that has ended again on the same input, as a new job. One call makes one job.

        :param reference: the one of the job when None.
        :raises Conflict: it has not ended.
        :raises InputError: what was uploaded is no longer there.
        :raises ReferenceProblem: the server has no such reference.
        :raises UploadTooLarge: the input is larger than the person's plan allows now.
        """
        body = {"job_id": new_job_id(), **({"reference": reference} if reference else {})}
        return cast(JobJson, self._json("POST", f"{_job_path(job_id)}/rerun", body=body))

    def rename(self, job_id: str, file_name: str) -> JobJson:
        """Give the job's file another name; its downloads are called after it.

        :raises InputError: it is no name that can be shown.
        :raises NotFound: there is no such job, or it is somebody else's.
        """
        return cast(JobJson, self._json("PATCH", _job_path(job_id), body={"file_name": file_name}))

    def share(self, job_id: str, *, days: int = 7) -> ShareLinkJson:
        """Make a link that shows the job's result, and nothing else, to whoever has it; its address is told this once.

        :raises Conflict: the job has no result.
        :raises InputError: ``days`` is not 1 to 365.
        """
        # Under one key: a link whose address was lost on the way would be good, and nobody's.
        path, key = f"{_job_path(job_id)}/links", secrets.token_hex(16)
        return cast(ShareLinkJson, self._json("POST", path, body={"days": days}, key=key))

    def share_links(self, job_id: str) -> list[ShareLinkJson]:
        """The links to the job's result that are good, the newest first; without their addresses."""
        return cast(list[ShareLinkJson], self._json("GET", f"{_job_path(job_id)}/links")["links"])

    def unshare(self, job_id: str) -> None:
        """Make every link to the job's result worthless. Repeating it is safe."""
        self._exchange("DELETE", f"{_job_path(job_id)}/links")

    def delete(self, job_id: str) -> None:
        """Delete a job with everything it has, for good. Repeating it is safe.

        :raises NotFound: there is no such job, or it is somebody else's.
        """
        self._exchange("DELETE", _job_path(job_id))

    def log(self, job_id: str) -> str:
        """The count log of a finished job: what was annotated, what was skipped and why.

        :raises NotFound: there is no such job, or it has no log yet.
        """
        return self._exchange("GET", f"{_job_path(job_id)}/log").text

    def changes(self, job_id: str) -> ChangesJson:
        """What differs from the earlier result, of a job that GAS made to annotate that one again.

        :raises NotFound: there is no such job.
        """
        return cast(ChangesJson, self._json("GET", f"{_job_path(job_id)}/changes"))

    def summary(self, job_id: str) -> dict[str, Any]:
        """``summary.json`` of a finished job.

        :raises NotFound: there is no such job, or it has no summary yet.
        """
        return self._json("GET", f"{_job_path(job_id)}/summary")

    def table(self, job_id: str, view: Sequence[tuple[str, str]] = ()) -> TableJson:
        """A page of the annotated variants of a finished job.

        :param view: what to show, as keys and values of a link: ``("where", "gene:is:S")``, ``("sort", "-pos")``,
            ``("columns", "pos,gene")``, ``("limit", "100")``, ``("cursor", next_cursor)``.
        :raises InputError: naming what of it cannot be used.
        :raises Conflict: the result is in the archive.
        """
        return cast(TableJson, self._json("POST", f"{_job_path(job_id)}/table", body=document(view)))

    def export_table(
        self, job_id: str, out: BinaryIO, *, form: str, view: Sequence[tuple[str, str]] = (), csq: bool = False
    ) -> int:
        """Write all rows of a view to a stream as they come; returns the bytes.

        :param form: ``vcf``, ``tsv``, ``parquet``, ``jsonl`` or ``xlsx``.
        :param csq: a VCF gets each variant's consequences as INFO/CSQ too.
        :raises Unavailable: it broke off; what was written is not the whole.
        """
        body = {**document(view), "format": form, "csq": csq}
        size_bytes = 0
        try:
            with self._api.stream("POST", f"{_job_path(job_id)}/table/export", json=body) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                for chunk in response.iter_bytes():
                    out.write(chunk)
                    size_bytes += len(chunk)
        except httpx.TransportError as error:
            raise self._out_of_reach(error) from error
        return size_bytes

    def download(
        self,
        job_id: str,
        output: str,
        target: Path,
        *,
        overwrite: bool = False,
        on_progress: ByteProgress | None = None,
    ) -> Downloaded:
        """Fetch one file of a job: an output's word (``gas.job.Output``), or ``input``.

        It is streamed to a hidden file beside ``target``, checked against the size and SHA-256 in the job's record,
        and only then given its name. A transfer that breaks off is taken up where it stopped.

        :param target: the file, or an existing folder, in which it gets the name the server gives it.
        :param overwrite: replace a file of that name; one with the very same bytes is never a problem.
        :raises NotFound: the job has no such file.
        :raises Conflict: another file of that name is there.
        :raises Damaged: what arrived is not what the record says.
        """
        job = self.job(job_id)
        expected = job.get("outputs", {}).get(output)
        if target.is_dir():
            target /= _local_name(job["file_name"] if expected is None else expected["file_name"])
        if target.exists() and not overwrite:
            return _already_there(output, target, expected)
        with written_whole(target) as stream:
            size_bytes, sha256 = transfers.fetch(
                self._storage, lambda: self._link(job_id, output), stream, on_progress=on_progress
            )
            if expected is not None and (size_bytes, sha256) != (expected["size_bytes"], expected["sha256"]):
                raise Damaged(
                    f"the {output} that arrived is not the one in the job's record (its size or SHA-256 differs); "
                    "nothing was kept: try again"
                )
        return Downloaded(output=output, path=target, size_bytes=size_bytes, sha256=sha256)

    # Signing in.

    def redeem(self, *, code: str, code_verifier: str, redirect_uri: str) -> TokenJson:
        """Turn the one-time code of a browser sign-in into a token."""
        body = {"code": code, "code_verifier": code_verifier, "redirect_uri": redirect_uri}
        # Not repeated: a code is good once, so a second try could only hide what went wrong with the first.
        return cast(TokenJson, self._json("POST", "token", body=body, attempts=1))

    def revoke(self) -> None:
        """Make the token worthless. One that already is counts as revoked."""
        try:
            self._exchange("DELETE", "token")
        except NotAllowed:
            return

    def end_sessions(self) -> None:
        """Sign the person out of every browser; tokens stay good.

        :raises NotAllowed: the token is not one of ``gas login``.
        """
        self._exchange("DELETE", "sessions")

    # Tokens for other programs, made by one that signed in with ``gas login``.

    def create_token(self, name: str, *, scope: str = "read", days: int = 90) -> ApiTokenJson:
        """Make a token; itself is told this once.

        :param scope: ``read`` (see, explore, download) or ``jobs`` (everything about the person's jobs).
        :param days: 7, 30, 90 or 365.
        :raises Conflict: there are too many.
        :raises InputError: saying what of it cannot be had.
        :raises NotAllowed: this client's own token may not make others.
        """
        body = {"name": name, "scope": scope, "expires_in_days": days}
        # Not repeated: a token whose answer was lost on the way would be good, and nobody's.
        return cast(ApiTokenJson, self._json("POST", "tokens", body=body, attempts=1))

    def tokens(self) -> list[ApiTokenJson]:
        """The tokens that act for the person, the newest first; without themselves."""
        return cast(list[ApiTokenJson], self._json("GET", "tokens")["tokens"])

    def revoke_token(self, token_id: int) -> None:
        """Make one of the person's tokens worthless.

        :raises NotFound: there is none with this id, or no longer.
        """
        # Not repeated: what the first try did, a second would call missing.
        self._exchange("DELETE", f"tokens/{token_id}", attempts=1)

    # Notices.

    def notices(self) -> NoticesJson:
        """Of what the person gets mail, where their webhook is, and what failed last."""
        return cast(NoticesJson, self._json("GET", "notices"))

    def change_notices(self, *, mail: dict[str, bool], webhook_url: str | None) -> ChangedNoticesJson:
        """Say of what there is to be mail, each kind by its word (``gas.notice.Kind``), and where the webhook is.

        :returns: with ``webhook_secret``, where a webhook is new: it is told this once.
        :raises InputError: the address cannot be used.
        """
        body = {"mail": mail, "webhook_url": webhook_url}
        # Not repeated: a secret whose answer was lost is told no more; renew_webhook_secret makes another.
        return cast(ChangedNoticesJson, self._json("PUT", "notices", body=body, attempts=1))

    def test_notices(self) -> NoticesTestJson:
        """Send a letter, and a request to the webhook, that only show that they arrive."""
        return cast(NoticesTestJson, self._json("POST", "notices/test", attempts=1))

    def renew_webhook_secret(self) -> str:
        """Another secret for the webhook; the one before is worthless at once.

        :raises InputError: there is no webhook.
        """
        return str(self._json("POST", "notices/secret", attempts=1)["webhook_secret"])

    # How an exchange is made.

    def _link(self, job_id: str, output: str) -> str:
        response = self._exchange("GET", f"{_job_path(job_id)}/download/{output}")
        if not response.has_redirect_location:
            raise self._stranger()
        return response.headers["Location"]

    def _stranger(self) -> Unavailable:
        return Unavailable(f"{self.server} does not answer as a GAS server; is the address right?")

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        attempts: int = ATTEMPTS,
        key: str | None = None,
    ) -> dict[str, Any]:
        response = self._exchange(method, path, body=body, attempts=attempts, key=key)
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self._stranger()
        return document

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        attempts: int = ATTEMPTS,
        key: str | None = None,
    ) -> httpx.Response:
        """One request to the API, repeated while that may help; every refusal as its GasError.

        :param key: by which the server knows that a repeated request is the same.
        """
        headers = {"Idempotency-Key": key} if key else {}
        limited, in_progress, tried = 0, 0, 0
        while True:
            tried += 1
            again = tried < attempts
            try:
                response = self._api.request(method, path, json=body, headers=headers)
            except httpx.TransportError as error:
                if isinstance(error, httpx.ConnectError):
                    # A server that has never answered is not there; one that has is being started again.
                    again = self._heard and tried < START_ATTEMPTS
                if again:
                    back_off(tried)
                    continue
                raise self._out_of_reach(error) from error
            self._heard = True
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and limited < LIMITED_ATTEMPTS:
                limited, tried = limited + 1, tried - 1  # nothing was done, so it is no attempt
                back_off(limited, response.headers.get("Retry-After"))
                continue
            busy = key and response.status_code == HTTPStatus.CONFLICT and "Retry-After" in response.headers
            if busy and attempts > 1 and in_progress < IN_PROGRESS_ATTEMPTS:
                in_progress, tried = in_progress + 1, tried - 1  # the server is still at the first attempt
                back_off(in_progress, response.headers["Retry-After"])
                continue
            if again and response.status_code in TRANSIENT:
                back_off(tried, response.headers.get("Retry-After"))
                continue
            if response.is_success or (response.has_redirect_location and "/download/" in path):
                return response
            raise self._refusal(response)

    def _out_of_reach(self, error: httpx.TransportError) -> Unavailable:
        if isinstance(error, httpx.ConnectError):
            return Unavailable(
                f"no GAS server answers at {self.server}: start one there (`make up`), "
                "or name another with --server or GAS_SERVER"
            )
        if isinstance(error, httpx.TimeoutException):
            return Unavailable(f"{self.server} did not answer in time; try again later")
        return Unavailable(f"the connection to {self.server} broke off ({error}); try again")

    def _refusal(self, response: httpx.Response) -> GasError:
        """The GasError for an answer that is not a success."""
        status = response.status_code
        problem: dict[str, Any] = {}
        if "json" in response.headers.get("Content-Type", ""):
            try:
                document = response.json()
            except ValueError:
                document = None
            problem = document if isinstance(document, dict) else {}
        said = str(problem.get("detail") or problem.get("title") or problem.get("message") or "")
        if status == HTTPStatus.UNAUTHORIZED:
            reason = "not signed in" if "Authorization" not in self._api.headers else "the sign-in is no longer valid"
            return NotAllowed(f"{reason} at {self.server}: run `gas login`")
        if not problem and (status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) or status < 400):
            return self._stranger()
        kind = problem.get("kind")
        error = _error_class(status, kind)(said or f"{self.server} answered {status} {response.reason_phrase}")
        if isinstance(kind, str):
            error.kind = kind
        return error


def _job_path(job_id: str) -> str:
    if not JOB_ID.fullmatch(job_id):
        raise NotFound(f"{job_id!r} is not a job's id; `gas jobs` lists yours")
    return f"jobs/{job_id}"


def _error_class(status: int, kind: object) -> type[GasError]:
    """The class for an HTTP status, made finer by the word the server gives."""
    if kind == ReferenceProblem.kind:
        return ReferenceProblem
    if status == HTTPStatus.FORBIDDEN:
        return NotAllowed
    if status == HTTPStatus.NOT_FOUND:
        return NotFound
    if status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        return Conflict
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return UploadTooLarge
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequests
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable
    return InputError


def _local_name(file_name: str) -> str:
    """A name for this folder out of what a server sent: no path, nothing hidden, nothing unprintable."""
    name = "".join(c for c in file_name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable()).lstrip(".")
    return name or "download"


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """A stream to a hidden file beside the target, which gets the target's name when the block ends well."""
    part = target.parent / f".gas-{secrets.token_hex(8)}.part"
    try:
        with part.open("xb") as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                part.replace(target)
            except BaseException:
                part.unlink()
                raise
    except OSError as error:
        raise GasError(f"cannot write {target}: {error.strerror}") from error


def _already_there(output: str, target: Path, expected: OutputJson | None) -> Downloaded:
    """The file that is there, if it is the wanted one."""
    if expected is not None and target.is_file() and target.stat().st_size == expected["size_bytes"]:
        with target.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 == expected["sha256"]:
            return Downloaded(output=output, path=target, size_bytes=expected["size_bytes"], sha256=sha256)
    raise Conflict(f"{target} is there already and is another file: it was left alone; choose another name or folder")
