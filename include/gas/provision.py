"""Everything GAS keeps in AWS, made or brought up to date by one command that may be repeated at any time.

Nothing is ever deleted or emptied here, and an existing table keeps its data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gas.aws import Aws
from gas.dynamodb import code
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


def provision(
    settings: Settings, *, session: boto3.Session | None = None, endpoint_url: str | None = None
) -> Iterator[str]:
    """Make what is missing; yields a line about each thing as soon as it stands."""
    aws = Aws(region=settings.region, session=session, endpoint_url=endpoint_url)
    yield _table(aws, settings.annotations_table, key="job_id", indexes=JOB_INDEXES)
    yield _table(aws, settings.profiles_table, key="user_id", indexes=PROFILE_INDEXES)
    yield _bucket(aws, settings.inputs_bucket, origin=settings.web_url, methods=["POST"])
    yield _bucket(aws, settings.results_bucket, origin=settings.web_url, methods=["GET", "HEAD"])
    topics = {}
    for name in settings.topics:
        topics[name] = aws.sns.create_topic(Name=name)["TopicArn"]
        _queue(aws, name, topics[name])
        yield f"topic {name}, with its queue"
    _queue(aws, settings.thaw_wake_queue, topics[f"{settings.prefix}-thaw"])
    yield f"queue {settings.thaw_wake_queue}"
    _tell_of_restores(aws, settings.results_bucket, topics[settings.thaw_topic])
    yield f"notifications of bucket {settings.results_bucket}"
    if settings.mail_from:
        yield _sender(aws, settings.mail_from)
    if settings.archive is ArchiveBackend.VAULT:  # a new AWS account can make none
        aws.glacier.create_vault(accountId="-", vaultName=settings.vault)
        yield f"vault {settings.vault}"


def _table(aws: Aws, name: str, *, key: str, indexes: dict[str, tuple[Key, Key, tuple[str, ...]]]) -> str:
    there = _described(aws, name)
    if there is None:
        used = {(key, "S"), *(part for hash_key, range_key, _ in indexes.values() for part in (hash_key, range_key))}
        optional: dict[str, Any] = {"GlobalSecondaryIndexes": [_index(i, *indexes[i]) for i in indexes]}
        aws.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=_attributes(used),
            BillingMode="PAY_PER_REQUEST",
            **(optional if indexes else {}),
        )
        made = "made"
    else:
        present = {index["IndexName"] for index in there.get("GlobalSecondaryIndexes", [])}
        missing = [index for index in indexes if index not in present]
        for index in missing:  # AWS builds one index at a time
            aws.dynamodb.get_waiter("table_exists").wait(TableName=name)
            aws.dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=_attributes({indexes[index][0], indexes[index][1]}),
                GlobalSecondaryIndexUpdates=[{"Create": _index(index, *indexes[index])}],  # type: ignore[typeddict-item]  # the same shape under another name
            )
        made = f"given the index {', '.join(missing)}" if missing else "was there"
    aws.dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
    aws.dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return f"table {name} {made}"


def _sender(aws: Aws, mail_from: str) -> str:
    """Have SES know who mail is from: by the address, or by its domain where somebody has set that up."""
    address = parseaddr(mail_from)[1]
    known = aws.ses.get_identity_verification_attributes(Identities=[address, address.partition("@")[2]])
    states = {said["VerificationStatus"] for said in known["VerificationAttributes"].values()}
    if "Success" in states:
        return f"sender {address} was there"
    aws.ses.verify_email_identity(EmailAddress=address)
    return f"sender {address}: unless this is a stand-in, follow the link in the mail that AWS has sent there"


def _described(aws: Aws, name: str) -> Any | None:
    try:
        return aws.dynamodb.describe_table(TableName=name)["Table"]
    except ClientError as error:
        if code(error) != "ResourceNotFoundException":
            raise
        return None


def _attributes(keys: set[Key]) -> Any:
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


def _bucket(aws: Aws, name: str, *, origin: str, methods: list[str]) -> str:
    s3 = aws.s3
    where: Any = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    try:
        s3.head_bucket(Bucket=name)
        made = "was there"
    except ClientError as error:
        if code(error) not in ("404", "NoSuchBucket"):
            raise
        s3.create_bucket(Bucket=name, **where)
        made = "made"
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_bucket_cors(
        Bucket=name,
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedOrigins": [origin],
                    "AllowedMethods": methods,
                    "AllowedHeaders": ["*"],
                    "ExposeHeaders": ["ETag", "Content-Range", "Content-Length", "x-amz-version-id"],
                    "MaxAgeSeconds": 3600,
                }
            ]
        },
    )
    s3.put_bucket_lifecycle_configuration(
        Bucket=name,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "abort-abandoned-uploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABANDONED_UPLOAD_DAYS},
                }
            ]
        },
    )
    return f"bucket {name} {made}"


def _queue(aws: Aws, name: str, topic_arn: str) -> None:
    """A queue that this topic alone may write to, subscribed to it with the bare message as its body."""
    url = aws.sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
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
    aws.sqs.set_queue_attributes(
        QueueUrl=url,
        Attributes={"MessageRetentionPeriod": str(QUEUE_RETENTION_S), "Policy": json.dumps(policy)},
    )
    aws.sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})


def _tell_of_restores(aws: Aws, bucket: str, topic_arn: str) -> None:
    """S3 tells this topic when an object that was archived can be read again."""
    account = topic_arn.split(":")[4]
    policy = {
        "Version": "2012-10-17",
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
    aws.sns.set_topic_attributes(TopicArn=topic_arn, AttributeName="Policy", AttributeValue=json.dumps(policy))
    aws.s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "TopicConfigurations": [{"TopicArn": topic_arn, "Events": ["s3:ObjectRestore:Completed"]}]
        },
    )
