"""What a fault test is made of: an installation, faults injected into its AWS calls, and what must hold afterwards."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import boto3
import httpx
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from gas.job import Job, JobStatus, new_job_id
from gas.services import Services, build
from gas.settings import Settings
from tests.fakes import ALICE, pending_job

BODY = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


class Crash(BaseException):
    """The process dies here: no ``except Exception`` survives it."""


Fault = Callable[[AWSRequest], AWSResponse | None]

#: Requests that a fault has answered. botocore sends these to no server; one within the process has to be told.
ANSWERED: WeakSet[AWSRequest] = WeakSet()


def crash(_: AWSRequest) -> AWSResponse | None:
    """Die before the request is sent."""
    raise Crash


def drop(request: AWSRequest) -> AWSResponse | None:
    """The request never arrives; botocore sends it again."""
    raise ConnectionClosedError(endpoint_url=request.url)


def carry_out(request: AWSRequest) -> None:
    """AWS does as asked, be it a stand-in's server or one within this process."""
    from moto.core.models import botocore_stubber

    if botocore_stubber("before-send", request) is None:
        URLLib3Session().send(request)


def lose_answer(request: AWSRequest) -> AWSResponse | None:
    """AWS does as asked and the answer is lost; botocore sends the request again."""
    carry_out(request)
    if hasattr(request.body, "seek"):
        request.body.seek(0)
    raise ConnectionClosedError(endpoint_url=request.url)


def crash_after(request: AWSRequest) -> AWSResponse | None:
    """AWS does as asked, and the process dies."""
    carry_out(request)
    raise Crash


def throttle(request: AWSRequest) -> AWSResponse | None:
    """AWS says "not now"."""
    body = b'{"__type": "ThrottlingException", "message": "slow down"}'
    if "x-amz-target" not in {name.lower() for name in request.headers}:
        body = b"<Error><Code>SlowDown</Code><Message>slow down</Message></Error>"
    return AWSResponse(request.url, 503, {"x-amzn-errortype": "ThrottlingException"}, _Raw(body))


def canned(request: AWSRequest, body: dict[str, Any]) -> AWSResponse:
    """An answer of DynamoDB's that is an error."""
    return AWSResponse(request.url, 400, {}, _Raw(json.dumps(body).encode()))


#: Writes that DynamoDB refuses while another's transaction is at work on the item.
WRITES = frozenset({"UpdateItem", "PutItem", "DeleteItem", "TransactWriteItems"})
_SHAPES = "com.amazonaws.dynamodb.v20120810#"


def conflict(request: AWSRequest) -> AWSResponse | None:
    """Another's transaction is at work on one of the items that are to be written."""
    target = next(value for name, value in request.headers.items() if name.lower() == "x-amz-target")
    if not target.endswith(b"TransactWriteItems" if isinstance(target, bytes) else "TransactWriteItems"):
        return canned(
            request,
            {"__type": f"{_SHAPES}TransactionConflictException", "message": "Transaction is ongoing for the item"},
        )
    reasons = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]
    return canned(
        request, {"__type": f"{_SHAPES}TransactionCanceledException", "CancellationReasons": reasons, "message": "no"}
    )


def refusal(word: str) -> Fault:
    """AWS refuses with this word, and no retry mends it."""

    def refuse(request: AWSRequest) -> AWSResponse | None:
        body = json.dumps({"__type": word, "code": word, "message": "no"}).encode()
        if "/gas-results/" in request.url:
            body = f"<Error><Code>{word}</Code><Message>no</Message></Error>".encode()
        return AWSResponse(request.url, 400, {"x-amzn-errortype": word}, _Raw(body))

    return refuse


refuse = refusal("AccessDeniedException")


class _Raw(bytes):
    def stream(self, *_: Any, **__: Any) -> Any:
        yield bytes(self)


@dataclass
class Faults:
    """Counts the calls of a session by operation, and lets one of them go wrong.

    ``operation`` and ``nth`` (from 1) say which; what was seen is in ``calls``.
    """

    operation: str = ""
    nth: int = 0
    fault: Fault | None = None
    calls: Counter[str] = field(default_factory=Counter)
    order: list[tuple[str, int]] = field(default_factory=list)
    """Each call so far: its operation, and its number among those of that operation."""

    def watch(self, session: boto3.Session) -> None:
        session.events.register_first("before-send", self._before)

    def met(self, operation: str) -> Fault | None:
        """Count a call; what goes wrong with it, if anything does."""
        self.calls[operation] += 1
        self.order.append((operation, self.calls[operation]))
        return self.fault if (operation, self.calls[operation]) == (self.operation, self.nth) else None

    def _before(self, request: AWSRequest, event_name: str, **_: Any) -> AWSResponse | None:
        fault = self.met(event_name.rpartition(".")[2])
        answer = fault(request) if fault else None
        if answer is not None:
            ANSWERED.add(request)
        return answer


@dataclass(frozen=True)
class Installation:
    """One GAS on the AWS stand-in. Each worker gets clients of its own, as each process has."""

    settings: Settings
    aws: Any
    now: Callable[[], float] = time.time

    def worker(self, faults: Faults | None = None) -> Services:
        """Services as a fresh worker builds them, with faults in its calls."""
        credentials = self.aws.session.get_credentials()
        session = boto3.Session(
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            region_name="us-east-1",
        )
        if faults:
            faults.watch(session)
        return build(self.settings, session=session, endpoint_url=self.aws.endpoint_url, now=self.now)

    def submitted(self) -> Job:
        """A PENDING job of Alice's whose file has arrived."""
        services = self.worker()
        job_id = new_job_id()
        form = services.objects.presigned_upload(user_id=ALICE.user_id, job_id=job_id, max_bytes=1 << 20)
        httpx.post(form["url"], data=form["fields"], files={"file": BODY}).raise_for_status()
        stored = services.objects.head_input(user_id=ALICE.user_id, job_id=job_id)
        assert stored is not None
        template = pending_job(job_id=job_id)
        return services.jobs.create(
            Job(
                job_id=job_id,
                user_id=ALICE.user_id,
                input_file_name=template.input_file_name,
                reference=template.reference,
                submit_time=template.submit_time,
                job_status=JobStatus.PENDING,
                input=stored,
            )
        )

    def result_versions(self) -> set[tuple[str, str]]:
        """Key and VersionId of everything in the results bucket."""
        s3 = self.aws.session.client("s3", endpoint_url=self.aws.endpoint_url)
        listed = s3.list_object_versions(Bucket=self.settings.results_bucket)
        assert not listed.get("DeleteMarkers")
        return {(version["Key"], version["VersionId"]) for version in listed.get("Versions", [])}

    def announcements(self) -> list[str]:
        """The job ids that the queue of completed jobs holds; they are taken from it."""
        sqs = self.aws.session.client("sqs", endpoint_url=self.aws.endpoint_url)
        url = sqs.get_queue_url(QueueName=self.settings.completed_topic)["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["job_id"] for message in messages]

    def assert_one_result(self, job_id: str) -> Job:
        """The job is COMPLETED, was announced, its outputs are all there is, and no temporary file is left."""
        job = self.worker().jobs.get(job_id)
        assert job.job_status is JobStatus.COMPLETED
        assert job.notified
        assert {(stored.key, stored.version_id) for stored in job.outputs.values()} == self.result_versions()
        assert set(self.announcements()) == {job_id}
        work = self.settings.work_dir
        assert work is not None
        assert list(work.glob("*")) == []
        return job
