"""Which permissions the calls of a role take, and whether its policy grants them.

A hook on every client that GAS makes sees each call with its parameters, also those that become signed links. Calls are
counted to the role that acts: the one that an ``Aws`` was marked with, else the one of the enclosing :func:`acting`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from fnmatch import fnmatchcase
from typing import Any

import pytest

from gas import aws as gas_aws
from gas.iam import Role, policy
from gas.settings import Settings

ACCOUNT, REGION = "123456789012", "us-east-1"

Needed = tuple[str, str]  # an action and the ARN it is done to

#: S3 has one permission for the newest version and another for a named one.
_OF_A_VERSION = {
    "HeadObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "GetObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "DeleteObject": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
}
_S3 = {
    **dict.fromkeys(
        ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "UploadPartCopy"),
        "s3:PutObject",
    ),
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "RestoreObject": "s3:RestoreObject",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "GetBucketCors": "s3:GetBucketCORS",
    "PutBucketCors": "s3:PutBucketCORS",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "PutBucketNotificationConfiguration": "s3:PutBucketNotification",
}
_TRANSACTED = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


def needed(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Needed]:
    """What AWS asks of the caller, after its service authorization reference."""
    yield from {"dynamodb": _dynamodb, "s3": _s3}.get(service, _other(service))(operation, parameters)


def _dynamodb(operation: str, parameters: Mapping[str, Any]) -> Iterator[Needed]:
    def arn(name: str) -> str:
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"

    if operation == "TransactWriteItems":
        for item in parameters["TransactItems"]:
            for kind, change in item.items():
                yield _TRANSACTED[kind], arn(change["TableName"])
    elif operation == "BatchGetItem":
        for name in parameters["RequestItems"]:
            yield "dynamodb:BatchGetItem", arn(name)
    elif operation == "ListTables":
        yield "dynamodb:ListTables", "*"
    else:
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield f"dynamodb:{operation}", arn(parameters["TableName"]) + index


def _s3(operation: str, parameters: Mapping[str, Any]) -> Iterator[Needed]:
    bucket = f"arn:aws:s3:::{parameters['Bucket']}"
    key = f"{bucket}/{parameters['Key']}" if "Key" in parameters else bucket
    if operation == "DeleteObjects":
        for item in parameters["Delete"]["Objects"]:
            yield _OF_A_VERSION["DeleteObject"]["VersionId" in item], f"{bucket}/{item['Key']}"
        return
    if operation in _OF_A_VERSION:
        yield _OF_A_VERSION[operation]["VersionId" in parameters], key
        if operation != "DeleteObject":  # without it S3 says 403 of what is not there, instead of 404
            yield "s3:ListBucket", bucket
        return
    if operation in ("CopyObject", "UploadPartCopy"):
        source = parameters["CopySource"]
        yield "s3:GetObjectVersion", f"arn:aws:s3:::{source['Bucket']}/{source['Key']}"
        yield "s3:ListBucket", f"arn:aws:s3:::{source['Bucket']}"
    yield _S3.get(operation, f"s3:{operation}"), key


def _other(service: str) -> Any:
    def asked(operation: str, parameters: Mapping[str, Any]) -> Iterator[Needed]:
        if service == "sts":
            return  # everybody may ask who he is
        if service == "sns":
            name = parameters.get("Name")
            arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}" if name else parameters.get("TopicArn", "*")
            yield f"sns:{operation}", arn  # a subscription is no resource that a policy could name
        elif service == "sqs":
            name = parameters.get("QueueName") or parameters["QueueUrl"].rpartition("/")[2]
            yield f"sqs:{operation.removesuffix('Batch')}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        elif service == "glacier":
            yield f"glacier:{operation}", f"arn:aws:glacier:{REGION}:{ACCOUNT}:vaults/{parameters['vaultName']}"
            topic = parameters.get("jobParameters", {}).get("SNSTopic")
            if topic:  # who asks for the message must be able to send it
                yield "sns:Publish", topic
        elif service == "ses" and operation == "SendEmail":
            yield "ses:SendEmail", f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/{parameters['Source']}"
        else:
            yield f"{service}:{operation}", "*"

    return asked


class Watch:
    """What each role has needed, and what of it was not granted."""

    def __init__(self) -> None:
        self.acting: ContextVar[Role | None] = ContextVar("acting", default=None)
        self.used: defaultdict[Role, Counter[Needed]] = defaultdict(Counter)
        self.refused: list[str] = []
        settings = Settings(aws_account=ACCOUNT, mail_from="GAS <gas@gas.invalid>")
        self.granted = {role: list(permissions(policy(role, settings, vault=True))) for role in Role}

    def forget(self) -> None:
        """Forget what was needed: each test stands for itself."""
        self.used.clear()
        self.refused.clear()

    def call(self, role: Role | None, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        if role is None:
            return
        for action, arn in needed(service, operation, parameters):
            grants = [g for g in self.granted[role] if g[0] == action and fnmatchcase(arn, g[1])]
            self.used[role].update(grants)
            if not grants:
                self.refused.append(f"{role} is not granted {action} on {arn}")


def permissions(document: Mapping[str, Any]) -> Iterator[Needed]:
    """Each action with each resource of a policy."""
    for statement in document["Statement"]:
        for action in statement["Action"]:
            for resource in statement["Resource"]:
                yield action, resource


WATCH = Watch()


@contextmanager
def acting(role: Role | None) -> Iterator[None]:
    """Count the calls made meanwhile, here and in the threads of pools used here, to this role, or to nobody."""
    before = WATCH.acting.set(role)
    try:
        yield
    finally:
        WATCH.acting.reset(before)


def acts(role: Role, app: Any) -> Any:
    """The WSGI application, whose calls are counted to this role."""

    def serve(environ: Any, start_response: Any) -> Iterator[bytes]:
        with acting(role):
            return _Answer(role, app(environ, start_response))

    return serve


class _Answer:
    """What an application answers, made by the role; what its reader does between two pieces is not the role's."""

    def __init__(self, role: Role, answer: Any) -> None:
        self._role, self._answer, self._pieces = role, answer, iter(answer)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with acting(self._role):
            return next(self._pieces)  # type: ignore[no-any-return]  # as WSGI has it

    def close(self) -> None:
        with acting(self._role):
            getattr(self._answer, "close", lambda: None)()


def marked(services: Any, role: Role) -> Any:
    """Count every call of these services to this role."""
    services.objects._aws.role = role
    return services


def install(patch: pytest.MonkeyPatch) -> None:
    """Watch every client that GAS makes from now on."""
    submit = ThreadPoolExecutor.submit

    def inherited(pool: ThreadPoolExecutor, call: Any, /, *arguments: Any, **named: Any) -> Any:
        return submit(pool, copy_context().run, call, *arguments, **named)

    patch.setattr(ThreadPoolExecutor, "submit", inherited)
    make = gas_aws.Aws._client

    def watched(aws: Any, service: str) -> Any:
        known = service in aws._clients
        client = make(aws, service)
        if known:
            return client

        signing = False

        def saw(params: Mapping[str, Any], model: Any, **_: Any) -> None:
            if not signing:  # botocore takes another operation's model for the form's address
                WATCH.call(getattr(aws, "role", WATCH.acting.get()), service, model.name, params)

        client.meta.events.register("provide-client-params", saw)
        if service == "s3":
            form = client.generate_presigned_post

            def signed(**options: Any) -> Any:
                nonlocal signing
                WATCH.call(getattr(aws, "role", WATCH.acting.get()), "s3", "PutObject", options)
                signing = True
                try:
                    return form(**options)
                finally:
                    signing = False

            client.generate_presigned_post = signed
        return client

    patch.setattr(gas_aws.Aws, "_client", watched)


def unused(role: Role) -> list[str]:
    """What the role's policy grants and nothing has needed."""
    return [" on ".join(grant) for grant in WATCH.granted[role] if not WATCH.used[role][grant]]
