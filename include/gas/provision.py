"""Everything GAS keeps in AWS, made or brought up to date by one command that may be repeated at any time.

What stands is compared with what is wanted first, so that what would be done can be told without doing it. Nothing is
ever deleted or emptied here: an existing table keeps its data, and what others have set besides (rules of a bucket's
life cycle, notifications, encryption by a key of theirs) stays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from gas.aws import Aws
from gas.dynamodb import code
from gas.errors import GasError
from gas.iam import VERSION, On, arns
from gas.job import ArchiveBackend
from gas.jobs_table import DUE_INDEX, MONTH_INDEX, OPEN_INDEX, USER_INDEX
from gas.notice import NOTICE_INDEX
from gas.profiles_table import PENDING_INDEX

if TYPE_CHECKING:
    import boto3

    from gas.settings import Settings

QUEUE_RETENTION_S = 4 * 24 * 3600
#: Parts of an upload that a killed worker left behind cost money and show nowhere.
ABANDONED_UPLOAD_DAYS = 7
ABANDONED_UPLOADS = "abort-abandoned-uploads"
#: How often a call is made that AWS cannot take yet, and how long is waited in between, in seconds.
TRIES, PAUSE_S = 60, 5.0
#: What AWS says of a call that it takes a little later: backups are not ready in a table's first seconds, and a bucket
#: or a table is changed by one call at a time.
_LATER = frozenset(
    {"ContinuousBackupsUnavailableException", "OperationAborted", "ResourceInUseException", "LimitExceededException"}
)
#: What AWS says when another process has made the same thing meanwhile.
_ALREADY = frozenset({("create_table", "ResourceInUseException"), ("create_bucket", "BucketAlreadyOwnedByYou")})

Key = tuple[str, str]  # an attribute's name and its type: S or N

#: index -> its hash key, its range key, and what it holds besides the keys.
JOB_INDEXES: dict[str, tuple[Key, Key, tuple[str, ...]]] = {
    USER_INDEX: (
        ("user_id", "S"),
        ("user_order", "S"),
        ("job_status", "storage_state", "reference", "name_folded"),
    ),
    MONTH_INDEX: (("submit_month", "S"), ("user_order", "S"), ("user_id",)),
    OPEN_INDEX: (("open", "S"), ("submit_time", "N"), ("job_status",)),
    DUE_INDEX: (("due", "S"), ("due_since", "N"), ("user_id",)),
    NOTICE_INDEX: (("notice", "S"), ("notice_at", "N"), ("user_id",)),
}
PROFILE_INDEXES: dict[str, tuple[Key, Key, tuple[str, ...]]] = {
    PENDING_INDEX: (("pending", "S"), ("user_id", "S"), ("tier_version",)),
}


class Action(StrEnum):
    """What is to be done about a thing."""

    MAKE = "make"
    CHANGE = "change"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of AWS, by the names that boto3 has for it."""

    service: str
    operation: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.service} {self.operation} {json.dumps(self.parameters)}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a thing lacks, and the calls that give it that.

    :ivar what: the parts that differ; of a new thing, all that is set.
    :ivar trouble: what only a person can do, and GAS does not work without, as a sentence.
    :ivar note: what a person should do, and all but one thing works without.
    """

    thing: str
    action: Action
    what: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    trouble: str = ""
    note: str = ""

    def __str__(self) -> str:
        did = {
            Action.MAKE: "made",
            Action.CHANGE: f"given {', '.join(self.what)}",
            Action.NOTHING: "was there",
        }[self.action]
        left = self.trouble or self.note
        return f"{self.thing} {did}" + (f": {left}" if left else "")

    @property
    def plan(self) -> str:
        """The line of a plan: ``+`` is new, ``~`` changes, ``=`` stays."""
        sign = {Action.MAKE: "+", Action.CHANGE: "~", Action.NOTHING: "="}[self.action]
        parts = f": {', '.join(self.what)}" if self.what else ""
        left = self.trouble or self.note
        return f"{sign} {self.thing}{parts}" + (f" ({left})" if left else "")


def changes(
    settings: Settings, *, session: boto3.Session | None = None, endpoint_url: str | None = None
) -> Iterator[Change]:
    """What is there and what is not, thing by thing; changes nothing.

    :raises GasError: when a bucket of the name is somebody else's.
    """
    yield from _changes(Aws(region=settings.region, session=session, endpoint_url=endpoint_url), settings)


def provision(
    settings: Settings, *, session: boto3.Session | None = None, endpoint_url: str | None = None
) -> Iterator[Change]:
    """Make what is missing; yields each thing as soon as it stands.

    :raises GasError: when a bucket of the name is somebody else's.
    """
    aws = Aws(region=settings.region, session=session, endpoint_url=endpoint_url)
    for change in _changes(aws, settings):
        for call in change.calls:
            _send(aws, call)
        yield change


def _changes(aws: Aws, settings: Settings) -> Iterator[Change]:
    account = settings.aws_account or aws.sts.get_caller_identity()["Account"]
    names = arns(settings.model_copy(update={"aws_account": account}))
    address = urlsplit(settings.web_url)
    origin = f"{address.scheme}://{address.netloc}"
    yield _table(aws, settings.annotations_table, key="job_id", indexes=JOB_INDEXES)
    yield _table(aws, settings.profiles_table, key="user_id", indexes=PROFILE_INDEXES)
    yield _bucket(aws, settings.inputs_bucket, origin=origin, methods=["POST"])
    yield _bucket(aws, settings.results_bucket, origin=origin, methods=["GET", "HEAD"])
    yield _topic(aws, names[On.COMPLETED_TOPIC])
    yield _topic(aws, names[On.RESTORE_TOPIC])
    yield _topic(aws, names[On.THAW_TOPIC], policy=_told_by_s3(names[On.THAW_TOPIC], account))
    for queue, topic in (
        (On.COMPLETED_QUEUE, On.COMPLETED_TOPIC),
        (On.RESTORE_QUEUE, On.RESTORE_TOPIC),
        (On.THAW_QUEUE, On.THAW_TOPIC),
        (On.WAKE_QUEUE, On.THAW_TOPIC),
    ):
        yield _queue(aws, names[queue], topic_arn=names[topic])
        yield _subscription(aws, queue_arn=names[queue], topic_arn=names[topic])
    yield _notification(aws, settings.results_bucket, names[On.THAW_TOPIC])
    if settings.mail_from:
        yield _sender(aws, settings.mail_from)
    if settings.archive is ArchiveBackend.VAULT:  # a new AWS account can make none
        yield _vault(aws, settings.vault)


def _send(aws: Aws, call: Call) -> None:
    """Make the call, once AWS is ready for it."""
    for left in reversed(range(TRIES)):
        if call.operation in ("update_table", "update_continuous_backups"):
            _await_table(aws, call.parameters["TableName"])
        try:
            getattr(getattr(aws, call.service), call.operation)(**call.parameters)
        except ClientError as error:
            if (call.operation, code(error)) in _ALREADY:
                return
            if code(error) not in _LATER or not left:
                raise
            time.sleep(PAUSE_S)
        else:
            return


def _await_table(aws: Aws, name: str) -> None:
    """Wait until the table and its indexes stand: AWS builds one index at a time, for hours where there is much."""
    aws.dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 300})
    while True:
        indexes = aws.dynamodb.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", [])
        if all(index["IndexStatus"] == "ACTIVE" for index in indexes):
            return
        time.sleep(PAUSE_S)


def _asked(ask: Callable[[], Any], *missing: str) -> Any:
    """What AWS answers, or ``None`` where it says that there is no such thing."""
    try:
        return ask()
    except ClientError as error:
        if code(error) in missing:
            return None
        raise


def _changed(thing: str, there: bool, parts: Iterable[tuple[str, Call]], made: Iterable[Call] = ()) -> Change:
    parts = list(parts)
    what, calls = tuple(name for name, _ in parts), tuple(call for _, call in parts)
    if not there:
        return Change(thing=thing, action=Action.MAKE, what=what, calls=(*made, *calls))
    return Change(thing=thing, action=Action.CHANGE if calls else Action.NOTHING, what=what, calls=calls)


# Tables.
def _table(aws: Aws, name: str, *, key: str, indexes: dict[str, tuple[Key, Key, tuple[str, ...]]]) -> Change:
    described = _asked(lambda: aws.dynamodb.describe_table(TableName=name)["Table"], "ResourceNotFoundException")
    recovery = Call(
        service="dynamodb",
        operation="update_continuous_backups",
        parameters={
            "TableName": name,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        },
    )
    if described is None:
        used = {(key, "S"), *(part for hash_key, range_key, _ in indexes.values() for part in (hash_key, range_key))}
        make = Call(
            service="dynamodb",
            operation="create_table",
            parameters={
                "TableName": name,
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "AttributeDefinitions": _attributes(used),
                "BillingMode": "PAY_PER_REQUEST",
                "GlobalSecondaryIndexes": [_index(index, *indexes[index]) for index in indexes],
            },
        )
        return _changed(f"table {name}", False, [("point-in-time recovery", recovery)], [make])
    present = {index["IndexName"]: index for index in described.get("GlobalSecondaryIndexes", [])}
    parts = [
        (f"the index {index}", _add_index(name, index, indexes[index])) for index in indexes if index not in present
    ]
    backups: Any = aws.dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        parts.append(("point-in-time recovery", recovery))
    change = _changed(f"table {name}", True, parts)
    other = [index for index in indexes if index in present and not _holds(present[index], *indexes[index])]
    if not other:
        return change
    trouble = (
        f"the index {', '.join(other)} is not made as this release needs it, and AWS can change none:"
        " delete it in DynamoDB, and repeat this"
    )
    return Change(thing=change.thing, action=change.action, what=change.what, calls=change.calls, trouble=trouble)


def _add_index(table: str, index: str, made_of: tuple[Key, Key, tuple[str, ...]]) -> Call:
    return Call(
        service="dynamodb",
        operation="update_table",
        parameters={
            "TableName": table,
            "AttributeDefinitions": _attributes({made_of[0], made_of[1]}),
            "GlobalSecondaryIndexUpdates": [{"Create": _index(index, *made_of)}],
        },
    )


def _attributes(keys: set[Key]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in sorted(keys)]


def _index(name: str, hash_key: Key, range_key: Key, held: tuple[str, ...]) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [
            {"AttributeName": hash_key[0], "KeyType": "HASH"},
            {"AttributeName": range_key[0], "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(held)},
    }


def _holds(index: Any, hash_key: Key, range_key: Key, held: tuple[str, ...]) -> bool:
    keys = {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]}
    projection = index["Projection"]
    everything = projection.get("ProjectionType") == "ALL"
    return keys == {"HASH": hash_key[0], "RANGE": range_key[0]} and (
        everything or set(held) <= set(projection.get("NonKeyAttributes", []))
    )


# Buckets.
def _bucket(aws: Aws, name: str, *, origin: str, methods: list[str]) -> Change:
    there = _bucket_is_there(aws, name)
    where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    make = Call(service="s3", operation="create_bucket", parameters={"Bucket": name, **where})
    aspects = (_public_access, _versioning, _encryption, _abandoned_uploads)
    parts = [part for aspect in aspects if (part := aspect(aws, name, there))]
    if cors := _cors(aws, name, there, origin=origin, methods=methods):
        parts.append(cors)
    return _changed(f"bucket {name}", there, parts, [make])


def _bucket_is_there(aws: Aws, name: str) -> bool:
    try:
        return _asked(lambda: aws.s3.head_bucket(Bucket=name), "404", "NoSuchBucket") is not None
    except ClientError as error:
        if code(error) != "403":
            raise
        raise GasError(
            f"bucket {name} is not open to you: unless it is yours and `gas iam operator` names what you lack,"
            " somebody else has the name, so choose another GAS_PREFIX"
        ) from None


_Part = tuple[str, Call]


def _put(what: str, operation: str, **parameters: Any) -> _Part:
    return what, Call(service="s3", operation=operation, parameters=parameters)


def _public_access(aws: Aws, name: str, there: bool) -> _Part | None:
    wanted = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    found: Any = there and _asked(
        lambda: aws.s3.get_public_access_block(Bucket=name), "NoSuchPublicAccessBlockConfiguration"
    )
    if found and found["PublicAccessBlockConfiguration"] == wanted:
        return None
    return _put("no public access", "put_public_access_block", Bucket=name, PublicAccessBlockConfiguration=wanted)


def _versioning(aws: Aws, name: str, there: bool) -> _Part | None:
    if there and aws.s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled":
        return None
    return _put("versioning", "put_bucket_versioning", Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def _encryption(aws: Aws, name: str, there: bool) -> _Part | None:
    """S3's own key, unless somebody has chosen one."""
    if there and _asked(
        lambda: aws.s3.get_bucket_encryption(Bucket=name), "ServerSideEncryptionConfigurationNotFoundError"
    ):
        return None
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    return _put(
        "encryption",
        "put_bucket_encryption",
        Bucket=name,
        ServerSideEncryptionConfiguration={"Rules": [rule]},
    )


def _abandoned_uploads(aws: Aws, name: str, there: bool) -> _Part | None:
    wanted = {
        "ID": ABANDONED_UPLOADS,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABANDONED_UPLOAD_DAYS},
    }
    found: Any = there and _asked(
        lambda: aws.s3.get_bucket_lifecycle_configuration(Bucket=name), "NoSuchLifecycleConfiguration"
    )
    rules = list(found["Rules"]) if found else []
    for rule in rules:
        if rule.get("ID") == ABANDONED_UPLOADS and all(
            rule.get(part) == wanted[part] for part in ("Status", "AbortIncompleteMultipartUpload")
        ):
            return None
    others = [rule for rule in rules if rule.get("ID") != ABANDONED_UPLOADS]
    return _put(
        "an end of abandoned uploads",
        "put_bucket_lifecycle_configuration",
        Bucket=name,
        LifecycleConfiguration={"Rules": [*others, wanted]},
    )


def _cors(aws: Aws, name: str, there: bool, *, origin: str, methods: list[str]) -> _Part | None:
    wanted = {
        "AllowedOrigins": [origin],
        "AllowedMethods": methods,
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Range", "Content-Length", "x-amz-version-id"],
        "MaxAgeSeconds": 3600,
    }
    found: Any = there and _asked(lambda: aws.s3.get_bucket_cors(Bucket=name), "NoSuchCORSConfiguration")
    if found and [{part: rule.get(part) for part in wanted} for rule in found["CORSRules"]] == [wanted]:
        return None
    return _put(f"CORS for {origin} alone", "put_bucket_cors", Bucket=name, CORSConfiguration={"CORSRules": [wanted]})


# Topics and queues.
def _topic(aws: Aws, arn: str, *, policy: dict[str, Any] | None = None) -> Change:
    name = arn.rpartition(":")[2]
    found = _asked(lambda: aws.sns.get_topic_attributes(TopicArn=arn)["Attributes"], "NotFound", "NotFoundException")
    make = Call(service="sns", operation="create_topic", parameters={"Name": name})
    parts = []
    if policy and (not found or json.loads(found.get("Policy", "{}")) != policy):
        set_policy = Call(
            service="sns",
            operation="set_topic_attributes",
            parameters={"TopicArn": arn, "AttributeName": "Policy", "AttributeValue": json.dumps(policy)},
        )
        parts.append(("a policy that lets S3 tell it of restores", set_policy))
    return _changed(f"topic {name}", found is not None, parts, [make])


def _told_by_s3(topic_arn: str, account: str) -> dict[str, Any]:
    """S3 may tell this topic when an object that was archived can be read again."""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{topic_arn.split(':')[1]}:iam::{account}:root"},
                "Action": ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes", "sns:SetTopicAttributes"],
                "Resource": topic_arn,
            },
            {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": topic_arn,
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            },
        ],
    }


def _queue(aws: Aws, arn: str, *, topic_arn: str) -> Change:
    """A queue that this topic alone may write to."""
    name = arn.rpartition(":")[2]
    policy = {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
            }
        ],
    }
    wanted = {"MessageRetentionPeriod": str(QUEUE_RETENTION_S), "Policy": json.dumps(policy)}
    url = _asked(
        lambda: aws.sqs.get_queue_url(QueueName=name)["QueueUrl"],
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    )
    if url is None:
        make = Call(service="sqs", operation="create_queue", parameters={"QueueName": name, "Attributes": wanted})
        return _changed(f"queue {name}", False, [], [make])
    found: Any = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    differing = {
        "its policy": json.loads(found.get("Policy", "{}")) != policy,
        "its retention": found.get("MessageRetentionPeriod") != wanted["MessageRetentionPeriod"],
    }
    what = tuple(part for part, differs in differing.items() if differs)
    update = Call(service="sqs", operation="set_queue_attributes", parameters={"QueueUrl": url, "Attributes": wanted})
    return Change(
        thing=f"queue {name}",
        action=Action.CHANGE if what else Action.NOTHING,
        what=what,
        calls=(update,) if what else (),
    )


def _subscription(aws: Aws, *, queue_arn: str, topic_arn: str) -> Change:
    """What the topic is told lies in the queue as it is, without SNS's envelope."""
    queue, topic = (arn.rpartition(":")[2] for arn in (queue_arn, topic_arn))
    thing = f"subscription of queue {queue} to topic {topic}"
    pages = aws.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    found = _asked(
        lambda: [
            one["SubscriptionArn"] for page in pages for one in page["Subscriptions"] if one["Endpoint"] == queue_arn
        ],
        "NotFound",
        "NotFoundException",
    )
    if not found:
        make = Call(
            service="sns",
            operation="subscribe",
            parameters={
                "TopicArn": topic_arn,
                "Protocol": "sqs",
                "Endpoint": queue_arn,
                "Attributes": {"RawMessageDelivery": "true"},
            },
        )
        return _changed(thing, False, [], [make])
    attributes = aws.sns.get_subscription_attributes(SubscriptionArn=found[0])["Attributes"]
    raw = Call(
        service="sns",
        operation="set_subscription_attributes",
        parameters={
            "SubscriptionArn": found[0],
            "AttributeName": "RawMessageDelivery",
            "AttributeValue": "true",
        },
    )
    bare = attributes.get("RawMessageDelivery") == "true"
    return _changed(thing, True, [] if bare else [("bare messages", raw)])


def _notification(aws: Aws, bucket: str, topic_arn: str) -> Change:
    """S3 tells the topic when an object that was archived can be read again; what it tells others stays."""
    event = "s3:ObjectRestore:Completed"
    found: Any = _asked(lambda: aws.s3.get_bucket_notification_configuration(Bucket=bucket), "NoSuchBucket") or {}
    kept = {part: told for part, told in found.items() if part.endswith(("Configurations", "Configuration"))}
    topics = kept.get("TopicConfigurations", [])
    there = any(told["TopicArn"] == topic_arn and event in told["Events"] for told in topics)
    tell = Call(
        service="s3",
        operation="put_bucket_notification_configuration",
        parameters={
            "Bucket": bucket,
            "NotificationConfiguration": {
                **kept,
                "TopicConfigurations": [*topics, {"TopicArn": topic_arn, "Events": [event]}],
            },
        },
    )
    return _changed(f"notifications of bucket {bucket}", there, [], [tell])


# Mail and vaults.
def _sender(aws: Aws, mail_from: str) -> Change:
    """Have SES know who mail is from: by the address, or by its domain where somebody has set that up."""
    address = parseaddr(mail_from)[1]
    known = aws.ses.get_identity_verification_attributes(Identities=[address, address.partition("@")[2]])
    states = {said["VerificationStatus"] for said in known["VerificationAttributes"].values()}
    if "Success" in states:
        return Change(thing=f"sender {address}", action=Action.NOTHING)
    return Change(
        thing=f"sender {address}",
        action=Action.MAKE,
        calls=(Call(service="ses", operation="verify_email_identity", parameters={"EmailAddress": address}),),
        note="unless this is a stand-in, follow the link in the mail that AWS has sent there",
    )


def _vault(aws: Aws, name: str) -> Change:
    where = {"accountId": "-", "vaultName": name}
    there = _asked(lambda: aws.glacier.describe_vault(**where), "ResourceNotFoundException") is not None
    make = Call(service="glacier", operation="create_vault", parameters=where)
    return _changed(f"vault {name}", there, [], [make])
