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
    AIRFLOW_API = "airflow-api"
    OPERATOR = "operator"


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
    SUBSCRIPTIONS = "subscriptions"


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
    On.THAW_TOPIC: ("sns:Publish",),  # who asks a vault for something names the topic that is told
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
        "glacier:GetJobOutput",
    ),
}

#: What it takes to see whether all stands as it should, and to set right what does not.
_PROVISION: Mapping[On, tuple[str, ...]] = {
    **dict.fromkeys(
        (On.JOBS, On.PROFILES),
        (
            "dynamodb:DescribeTable",
            "dynamodb:CreateTable",
            "dynamodb:UpdateTable",
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:UpdateContinuousBackups",
        ),
    ),
    **dict.fromkeys(
        (On.INPUTS, On.RESULTS),
        (
            "s3:CreateBucket",
            "s3:ListBucket",
            "s3:GetBucketPublicAccessBlock",
            "s3:PutBucketPublicAccessBlock",
            "s3:GetBucketVersioning",
            "s3:PutBucketVersioning",
            "s3:GetEncryptionConfiguration",
            "s3:PutEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:GetBucketCORS",
            "s3:PutBucketCORS",
        ),
    ),
    **dict.fromkeys(
        (On.COMPLETED_TOPIC, On.RESTORE_TOPIC, On.THAW_TOPIC),
        ("sns:GetTopicAttributes", "sns:CreateTopic", "sns:ListSubscriptionsByTopic", "sns:Subscribe"),
    ),
    On.SUBSCRIPTIONS: ("sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes"),
    **dict.fromkeys(
        (On.COMPLETED_QUEUE, On.RESTORE_QUEUE, On.THAW_QUEUE, On.WAKE_QUEUE),
        ("sqs:GetQueueUrl", "sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes"),
    ),
    On.SENDERS: ("ses:GetIdentityVerificationAttributes", "ses:VerifyEmailIdentity"),
    On.VAULT: ("glacier:DescribeVault", "glacier:CreateVault"),
}
_TELL_OF_RESTORES: Mapping[On, tuple[str, ...]] = {
    On.RESULTS: ("s3:GetBucketNotification", "s3:PutBucketNotification"),
    On.THAW_TOPIC: ("sns:SetTopicAttributes",),
}

#: What `gas migrate` needs to find the records of an earlier layout.
_MIGRATE: Mapping[On, tuple[str, ...]] = {On.JOBS: ("dynamodb:Scan",)}


def _together(*parts: Mapping[On, tuple[str, ...]]) -> Mapping[On, tuple[str, ...]]:
    every = dict.fromkeys(thing for part in parts for thing in part)
    return {thing: tuple(dict.fromkeys(a for part in parts for a in part.get(thing, ()))) for thing in every}


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
        On.JOBS: (*_REPAIR[On.JOBS], "dynamodb:PutItem"),
        On.PROFILES: (*_REPAIR[On.PROFILES], "dynamodb:BatchGetItem"),
        On.INPUTS: _STORED,
        On.INPUT_OBJECTS: ("s3:GetObject", "s3:PutObject", *_CLEARED),
        On.RESTORE_TOPIC: ("sns:Publish",),
        On.SENDER: ("ses:SendEmail",),
        On.VAULT: (*_REPAIR[On.VAULT], "glacier:DescribeJob"),
    },
    Role.TRIGGERER: {
        On.RESULTS: ("s3:ListBucket",),
        On.COLD_OBJECTS: ("s3:GetObjectVersion",),
        On.WAKE_QUEUE: ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"),
        On.VAULT: ("glacier:ListJobs", "glacier:DescribeJob"),
    },
    # The pages "GAS" in Airflow's UI, which only look.
    Role.AIRFLOW_API: {
        On.JOBS: ("dynamodb:GetItem", "dynamodb:BatchGetItem"),
        On.JOB_INDEXES: ("dynamodb:Query",),
    },
    # `gas provision`, `gas migrate`, `gas doctor`, and what `restore`, `reconcile` and `inventory` repair by hand.
    Role.OPERATOR: _together(_PROVISION, _TELL_OF_RESTORES, _MIGRATE, _REPAIR),
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
        On.SENDERS: "*",  # SES and SNS know no resource for these
        On.SUBSCRIPTIONS: "*",
    }


def granted(role: Role, settings: Settings, *, vault: bool | None = None) -> Mapping[On, tuple[str, ...]]:
    """What the role needs in this installation; the parameters are those of :func:`policy`."""
    if vault is None:
        vault = settings.archive is ArchiveBackend.VAULT
    left_out = set() if vault else {On.VAULT}
    if not settings.mail_from:
        left_out |= {On.SENDER, On.SENDERS}
    return {thing: actions for thing, actions in GRANTS[role].items() if thing not in left_out}


def policy(role: Role, settings: Settings, *, vault: bool | None = None) -> dict[str, Any]:
    """The role's policy document.

    Without ``GAS_MAIL_FROM`` it lets no mail be sent.

    :param vault: whether cold copies may lie in the vault; as ``GAS_ARCHIVE`` says when ``None``.
    :raises SettingsError: without ``GAS_AWS_ACCOUNT``.
    """
    names = arns(settings)
    alike: dict[tuple[str, ...], list[On]] = {}
    for thing, actions in granted(role, settings, vault=vault).items():
        alike.setdefault(actions, []).append(thing)
    statements = []
    for actions, things in alike.items():
        statement: dict[str, Any] = {
            "Sid": "And".join(thing.title().replace("-", "") for thing in things),
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": list(dict.fromkeys(names[thing] for thing in things)),
        }
        if things == [On.SENDER]:
            statement["Condition"] = {"StringEquals": {"ses:FromAddress": parseaddr(settings.mail_from)[1]}}
        statements.append(statement)
    return {"Version": VERSION, "Statement": statements}
