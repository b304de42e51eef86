"""Whether a role's permissions are there, found by calls that change nothing.

Most calls are about a thing that does not exist, or carry a condition that cannot hold: AWS says so to whoever may make
the call, and refuses whoever may not. A few permissions can only be tried by doing what they are for; those are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gas.dynamodb import code
from gas.iam import On, Role, granted
from gas.jobs_table import USER_INDEX
from gas.profiles_table import PENDING_INDEX

if TYPE_CHECKING:
    from gas.aws import Aws
    from gas.settings import Settings

#: Of a record, an object, an upload, a job and a message that nobody has.
NOBODY = "gas-doctor"
#: S3's VersionId of an object without versions: of nothing, in a bucket that always had them.
NO_VERSION = "null"
#: What AWS says to whoever may not; its services differ.
REFUSALS = frozenset(
    {"403", "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "Forbidden"}
)


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One permission of a role, as it was found.

    :ivar held: ``None`` where only doing it would tell.
    """

    action: str
    on: On
    held: bool | None


def tried(aws: Aws, settings: Settings, role: Role) -> Iterator[Permission]:
    """Each permission that the role needs in this installation."""
    for on, actions in granted(role, settings).items():
        for action in actions:
            probe = PROBES.get((action, on))
            held = None if probe is None else _may(lambda probe=probe: probe(aws, settings))  # type: ignore[misc]  # mypy infers no type for a lambda's default
            yield Permission(action=action, on=on, held=held)


def _may(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        return code(error) not in REFUSALS
    return True


_Probe = Callable[["Aws", "Settings"], Any]


def _table(name: Callable[[Settings], str], key: str, index: str, by: str) -> Mapping[str, _Probe]:
    """Calls about a record that does not exist, each with the condition that it does."""
    nobody = {key: {"S": NOBODY}}
    there = f"attribute_exists({key})"

    def change(operation: str, **others: Any) -> _Probe:
        return lambda aws, settings: getattr(aws.dynamodb, operation)(
            TableName=name(settings), ConditionExpression=there, **others
        )

    def check(aws: Aws, settings: Settings) -> None:
        condition: Any = {"TableName": name(settings), "Key": nobody, "ConditionExpression": there}
        aws.dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": condition}])

    return {
        "dynamodb:GetItem": lambda aws, settings: aws.dynamodb.get_item(TableName=name(settings), Key=nobody),
        "dynamodb:BatchGetItem": lambda aws, settings: aws.dynamodb.batch_get_item(
            RequestItems={name(settings): {"Keys": [nobody]}}
        ),
        "dynamodb:PutItem": change("put_item", Item=nobody),
        "dynamodb:UpdateItem": change(
            "update_item",
            Key=nobody,
            UpdateExpression="SET doctor = :doctor",
            ExpressionAttributeValues={":doctor": {"S": NOBODY}},
        ),
        "dynamodb:DeleteItem": change("delete_item", Key=nobody),
        "dynamodb:ConditionCheckItem": check,
        "dynamodb:DescribeTable": lambda aws, settings: aws.dynamodb.describe_table(TableName=name(settings)),
        "dynamodb:DescribeContinuousBackups": lambda aws, settings: aws.dynamodb.describe_continuous_backups(
            TableName=name(settings)
        ),
        "dynamodb:Scan": lambda aws, settings: aws.dynamodb.scan(TableName=name(settings), Limit=1),
        "dynamodb:Query": lambda aws, settings: aws.dynamodb.query(
            TableName=name(settings),
            IndexName=index,
            KeyConditionExpression="#by = :nobody",
            ExpressionAttributeNames={"#by": by},
            ExpressionAttributeValues={":nobody": {"S": NOBODY}},
            Limit=1,
        ),
    }


def _bucket(name: Callable[[Settings], str]) -> Mapping[str, _Probe]:
    def look(operation: str, **others: Any) -> _Probe:
        return lambda aws, settings: getattr(aws.s3, operation)(Bucket=name(settings), **others)

    return {
        "s3:ListBucket": look("list_objects_v2", MaxKeys=1),
        "s3:ListBucketVersions": look("list_object_versions", MaxKeys=1),
        "s3:ListBucketMultipartUploads": look("list_multipart_uploads", MaxUploads=1),
        "s3:GetObject": look("head_object", Key=NOBODY),
        "s3:GetBucketPublicAccessBlock": look("get_public_access_block"),
        "s3:GetBucketVersioning": look("get_bucket_versioning"),
        "s3:GetEncryptionConfiguration": look("get_bucket_encryption"),
        "s3:GetLifecycleConfiguration": look("get_bucket_lifecycle_configuration"),
        "s3:GetBucketCORS": look("get_bucket_cors"),
        "s3:GetBucketNotification": look("get_bucket_notification_configuration"),
        **_objects(name, NOBODY),
    }


def _objects(name: Callable[[Settings], str], key: str) -> Mapping[str, _Probe]:
    def about(operation: str, **others: Any) -> _Probe:
        return lambda aws, settings: getattr(aws.s3, operation)(Bucket=name(settings), Key=key, **others)

    return {
        "s3:GetObjectVersion": about("head_object", VersionId=NO_VERSION),
        "s3:DeleteObjectVersion": about("delete_object", VersionId=NO_VERSION),
        "s3:PutObject": about("upload_part", UploadId=NOBODY, PartNumber=1, Body=b""),
        "s3:AbortMultipartUpload": about("abort_multipart_upload", UploadId=NOBODY),
        "s3:RestoreObject": about("restore_object", RestoreRequest={"Days": 1}),
    }


def _queue(name: Callable[[Settings], str]) -> Mapping[str, _Probe]:
    def about(operation: str, **others: Any) -> _Probe:
        return lambda aws, settings: getattr(aws.sqs, operation)(
            QueueUrl=aws.sqs.get_queue_url(QueueName=name(settings))["QueueUrl"], **others
        )

    return {
        "sqs:GetQueueUrl": lambda aws, settings: aws.sqs.get_queue_url(QueueName=name(settings)),
        "sqs:GetQueueAttributes": about("get_queue_attributes", AttributeNames=["QueueArn"]),
        "sqs:ReceiveMessage": about("receive_message", VisibilityTimeout=0),  # it stays for whoever it is for
        "sqs:DeleteMessage": about("delete_message", ReceiptHandle=NOBODY),
    }


def _vault(operation: str, **others: Any) -> _Probe:
    return lambda aws, settings: getattr(aws.glacier, operation)(accountId="-", vaultName=settings.vault, **others)


def _of(on: On, probes: Mapping[str, _Probe]) -> dict[tuple[str, On], _Probe]:
    return {(action, on): probe for action, probe in probes.items()}


_JOBS = _table(lambda settings: settings.annotations_table, "job_id", USER_INDEX, "user_id")
_PROFILES = _table(lambda settings: settings.profiles_table, "user_id", PENDING_INDEX, "pending")
_INPUTS = _bucket(lambda settings: settings.inputs_bucket)
_RESULTS = _bucket(lambda settings: settings.results_bucket)

#: What each permission is tried by.
PROBES: Mapping[tuple[str, On], _Probe] = {
    **_of(On.JOBS, _JOBS),
    **_of(On.JOB_INDEXES, _JOBS),
    **_of(On.PROFILES, _PROFILES),
    **_of(On.PROFILE_INDEXES, _PROFILES),
    **_of(On.INPUTS, _INPUTS),
    **_of(On.INPUT_OBJECTS, _INPUTS),
    **_of(On.RESULTS, _RESULTS),
    **_of(On.RESULT_OBJECTS, _RESULTS),
    **_of(On.COLD_OBJECTS, _objects(lambda settings: settings.results_bucket, f"archive/{NOBODY}")),
    **_of(On.COMPLETED_QUEUE, _queue(lambda settings: settings.completed_topic)),
    **_of(On.RESTORE_QUEUE, _queue(lambda settings: settings.restore_topic)),
    **_of(On.THAW_QUEUE, _queue(lambda settings: settings.thaw_topic)),
    **_of(On.WAKE_QUEUE, _queue(lambda settings: settings.thaw_wake_queue)),
    ("ses:GetIdentityVerificationAttributes", On.SENDERS): lambda aws, settings: (
        aws.ses.get_identity_verification_attributes(Identities=[settings.mail_from])
    ),
    **_of(
        On.VAULT,
        {
            "glacier:DescribeVault": _vault("describe_vault"),
            "glacier:ListJobs": _vault("list_jobs", limit="1"),
            "glacier:ListMultipartUploads": _vault("list_multipart_uploads", limit="1"),
            "glacier:DescribeJob": _vault("describe_job", jobId=NOBODY),
        },
    ),
}
