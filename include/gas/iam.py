"""The least that each part of GAS needs of AWS, as IAM policies.

The lists below name what each role calls and on what. Tests watch every call that each role's code makes: one without a
permission here fails them, and so does a permission here that nothing needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parseaddr
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gas.errors import SettingsError
from gas.job import ArchiveBackend

if TYPE_CHECKING:
    from gas.settings import Settings

#: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
VERSION = "2012-10-17"


class Role(StrEnum):
    """Who calls AWS."""

    WEB = "web"
    WORKER = "worker"
    TRIGGERER = "triggerer"


class On(StrEnum):
    """What a permission is for; :func:`arns` gives each its name in AWS."""

    JOBS = "jobs"
    JOB_INDEXES = "job-indexes"
    PROFILES = "profiles"
    PROFILE_INDEXES = "profile-indexes"
    INPUTS = "inputs"
    INPUT_OBJECTS = "input-objects"
    RESULTS = "results"
    RESULT_OBJECTS = "result-objects"
    COLD_OBJECTS = "cold-objects"
    COMPLETED_TOPIC = "completed-topic"
    RESTORE_TOPIC = "restore-topic"
    THAW_TOPIC = "thaw-topic"
    COMPLETED_QUEUE = "completed-queue"
    RESTORE_QUEUE = "restore-queue"
    THAW_QUEUE = "thaw-queue"
    WAKE_QUEUE = "wake-queue"
    VAULT = "vault"
    SENDER = "sender"
    SENDERS = "senders"


_STORED = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
_CLEARED = ("s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload")
#: What it takes to carry a record on from any state in which an actor may have left it.
_REPAIR: Mapping[On, tuple[str, ...]] = {
    On.JOBS: ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
    On.JOB_INDEXES: ("dynamodb:Query",),
    On.PROFILES: ("dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"),
    On.PROFILE_INDEXES: ("dynamodb:Query",),
    On.INPUTS: ("s3:ListBucketVersions", "s3:ListBucketMultipartUploads"),
    On.INPUT_OBJECTS: ("s3:DeleteObjectVersion", "s3:AbortMultipartUpload"),
    On.RESULTS: _STORED,
    On.RESULT_OBJECTS: (*_CLEARED, "s3:PutObject"),
    On.COLD_OBJECTS: ("s3:RestoreObject",),
    On.COMPLETED_TOPIC: ("sns:Publish",),
    On.VAULT: (
        "glacier:UploadArchive",
        "glacier:InitiateMultipartUpload",
        "glacier:UploadMultipartPart",
        "glacier:CompleteMultipartUpload",
        "glacier:ListMultipartUploads",
        "glacier:AbortMultipartUpload",
        "glacier:DeleteArchive",
        "glacier:InitiateJob",
        "glacier:ListJobs",
        "glacier:DescribeJob",
        "glacier:GetJobOutput",
    ),
}

GRANTS: Mapping[Role, Mapping[On, tuple[str, ...]]] = {
    Role.WEB: {
        On.JOBS: ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        On.JOB_INDEXES: ("dynamodb:Query",),
        On.PROFILES: ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        On.INPUTS: _STORED,
        On.INPUT_OBJECTS: ("s3:GetObject", "s3:PutObject", *_CLEARED),
        On.RESULTS: _STORED,
        On.RESULT_OBJECTS: _CLEARED,
        On.SENDER: ("ses:SendEmail",),
        On.VAULT: ("glacier:DeleteArchive",),
    },
    Role.WORKER: {
        **_REPAIR,
        On.PROFILES: (*_REPAIR[On.PROFILES], "dynamodb:BatchGetItem"),
        On.INPUTS: _STORED,
        On.INPUT_OBJECTS: _CLEARED,
        On.RESTORE_TOPIC: ("sns:Publish",),
        On.THAW_TOPIC: ("sns:Publish",),
        On.SENDER: ("ses:SendEmail",),
    },
    Role.TRIGGERER: {
        On.RESULTS: ("s3:ListBucket",),
        On.COLD_OBJECTS: ("s3:GetObjectVersion",),
        On.WAKE_QUEUE: ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"),
        On.VAULT: ("glacier:ListJobs", "glacier:DescribeJob"),
    },
}


def arns(settings: Settings) -> dict[On, str]:
    """The names of an installation's things in AWS.

    :raises SettingsError: without ``GAS_AWS_ACCOUNT``.
    """
    if not settings.aws_account:
        raise SettingsError("GAS_AWS_ACCOUNT: policies name the account, so set its 12 digits")
    partition = "aws-cn" if settings.region.startswith("cn-") else "aws"

    def arn(service: str, name: str) -> str:
        return f"arn:{partition}:{service}:{settings.region}:{settings.aws_account}:{name}"

    jobs, profiles = (arn("dynamodb", f"table/{n}") for n in (settings.annotations_table, settings.profiles_table))
    inputs, results = (f"arn:{partition}:s3:::{name}" for name in (settings.inputs_bucket, settings.results_bucket))
    return {
        On.JOBS: jobs,
        On.JOB_INDEXES: f"{jobs}/index/*",
        On.PROFILES: profiles,
        On.PROFILE_INDEXES: f"{profiles}/index/*",
        On.INPUTS: inputs,
        On.INPUT_OBJECTS: f"{inputs}/*",
        On.RESULTS: results,
        On.RESULT_OBJECTS: f"{results}/*",
        On.COLD_OBJECTS: f"{results}/archive/*",
        On.COMPLETED_TOPIC: arn("sns", settings.completed_topic),
        On.RESTORE_TOPIC: arn("sns", settings.restore_topic),
        On.THAW_TOPIC: arn("sns", settings.thaw_topic),
        On.COMPLETED_QUEUE: arn("sqs", settings.completed_topic),
        On.RESTORE_QUEUE: arn("sqs", settings.restore_topic),
        On.THAW_QUEUE: arn("sqs", settings.thaw_topic),
        On.WAKE_QUEUE: arn("sqs", settings.thaw_wake_queue),
        On.VAULT: arn("glacier", f"vaults/{settings.vault}"),
        On.SENDER: arn("ses", "identity/*"),
        On.SENDERS: "*",  # SES knows no resource for these
    }


def policy(role: Role, settings: Settings, *, vault: bool | None = None) -> dict[str, Any]:
    """The role's policy document.

    Without ``GAS_MAIL_FROM`` it lets no mail be sent.

    :param vault: whether cold copies may lie in the vault; as ``GAS_ARCHIVE`` says when ``None``.
    :raises SettingsError: without ``GAS_AWS_ACCOUNT``.
    """
    names = arns(settings)
    if vault is None:
        vault = settings.archive is ArchiveBackend.VAULT
    left_out = set() if vault else {On.VAULT}
    if not settings.mail_from:
        left_out |= {On.SENDER, On.SENDERS}
    statements = []
    for thing, actions in GRANTS[role].items():
        if thing in left_out:
            continue
        statement: dict[str, Any] = {
            "Sid": thing.title().replace("-", ""),
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": [names[thing]],
        }
        if thing is On.SENDER:
            statement["Condition"] = {"StringEquals": {"ses:FromAddress": parseaddr(settings.mail_from)[1]}}
        statements.append(statement)
    return {"Version": VERSION, "Statement": statements}
