"""Everything GAS keeps in AWS is made by one command that may be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gas import provision as provisioning
from gas.aws import Aws
from gas.cli import build_app
from gas.job import ArchiveBackend, Job, JobStatus, Output, StoredObject, new_job_id
from gas.jobs_table import USER_INDEX
from gas.provision import JOB_INDEXES, Action, changes, provision
from gas.services import Services, build
from gas.settings import Settings
from tests.fakes import pending_job

HTTP = SimpleNamespace(status_code=400)  # all that botocore asks of an answer's envelope


def completed(job: Job) -> Job:
    stored = StoredObject(bucket="gas-results", key="k", version_id="v", sha256="ab", size_bytes=1)
    outputs = {Output.VCF: stored, Output.LOG: stored}
    return replace(job, job_status=JobStatus.COMPLETED, complete_time=7, outputs=outputs)


def test_provisioning_twice_keeps_the_data(services: Services, aws: Any, settings: Settings) -> None:
    """A second run finds everything there and loses no record."""
    job = services.jobs.create(pending_job(job_id=new_job_id()))
    said = list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    assert "table gas-annotations was there" in map(str, said)
    assert {change.action for change in said} == {Action.NOTHING}
    assert services.jobs.get(job.job_id) == job


def test_missing_index_is_added(aws: Any, settings: Settings) -> None:
    """An older installation's table is given the indexes that it lacks."""
    dynamodb = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
    dynamodb.create_table(
        TableName=settings.annotations_table,
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    table = dynamodb.describe_table(TableName=settings.annotations_table)["Table"]
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == set(JOB_INDEXES)


def test_tables_can_be_restored_in_time(services: Services, aws: Any, settings: Settings) -> None:
    """Both tables are billed on demand and kept restorable to any second."""
    dynamodb = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
    for table in (settings.annotations_table, settings.profiles_table):
        described = dynamodb.describe_table(TableName=table)["Table"]
        assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.parametrize(("bucket", "methods"), [("inputs", {"POST"}), ("results", {"GET", "HEAD"})])
def test_buckets_are_private_and_versioned(
    services: Services, aws: Any, settings: Settings, bucket: str, methods: set[str]
) -> None:
    """Buckets keep versions, are encrypted, admit no public access, and let only the web app's pages in."""
    s3 = aws.session.client("s3", endpoint_url=aws.endpoint_url)
    name = f"{settings.prefix}-{bucket}"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    (rule,) = s3.get_bucket_cors(Bucket=name)["CORSRules"]
    assert rule["AllowedOrigins"] == [settings.web_url]
    assert set(rule["AllowedMethods"]) == methods


def test_completed_job_reaches_the_queue(services: Services, aws: Any, settings: Settings) -> None:
    """What GAS publishes lies in the queue of the topic's name, as the bare message, for four days."""
    job = completed(pending_job(job_id=new_job_id()))
    services.events.job_completed(job)
    sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
    url = sqs.get_queue_url(QueueName="gas-glacier")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    body = json.loads(message["Body"])
    assert (body["job_id"], body["complete_time"], body["s3_key_result_file"]) == (job.job_id, 7, "k")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == str(4 * 24 * 3600)
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(":gas-glacier")


def test_account_is_asked_for_where_it_is_not_set(aws: Any, settings: Settings, services: Services) -> None:
    """Without GAS_AWS_ACCOUNT the topic's owner is asked of STS, and the message still arrives."""
    asking = settings.model_copy(update={"aws_account": ""})
    build(asking, session=aws.session, endpoint_url=aws.endpoint_url).events.job_completed(
        completed(pending_job(job_id=new_job_id()))
    )
    sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
    url = sqs.get_queue_url(QueueName="gas-glacier")["QueueUrl"]
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_vault_is_made_where_it_is_used(services: Services, aws: Any, settings: Settings) -> None:
    """Only where results go to a vault is one made: a new AWS account may make none."""
    glacier = aws.session.client("glacier", endpoint_url=aws.endpoint_url)
    assert glacier.list_vaults()["VaultList"] == []
    with_vault = settings.model_copy(update={"archive": ArchiveBackend.VAULT})
    for did in ("made", "was there"):
        *_, last = provision(with_vault, session=aws.session, endpoint_url=aws.endpoint_url)
        assert str(last) == f"vault gas-results {did}"
    assert [vault["VaultName"] for vault in glacier.list_vaults()["VaultList"]] == ["gas-results"]


def test_bucket_tells_of_restores(services: Services, aws: Any, settings: Settings) -> None:
    """The bucket of results may tell, and tells, the topic of retrievals what can be read again."""
    s3 = aws.session.client("s3", endpoint_url=aws.endpoint_url)
    sns = aws.session.client("sns", endpoint_url=aws.endpoint_url)
    (told,) = s3.get_bucket_notification_configuration(Bucket=settings.results_bucket)["TopicConfigurations"]
    assert told["TopicArn"].endswith(":gas-thaw")
    assert told["Events"] == ["s3:ObjectRestore:Completed"]
    policy = json.loads(sns.get_topic_attributes(TopicArn=told["TopicArn"])["Attributes"]["Policy"])
    allowed = [statement["Principal"] for statement in policy["Statement"] if "sns:Publish" in statement["Action"]]
    assert {"Service": "s3.amazonaws.com"} in allowed


def test_sender_of_mail_is_made_known(aws: Any, settings: Settings) -> None:
    """With GAS_MAIL_FROM the address is made known to SES, once; a domain that is known covers it."""

    def said(sender: str) -> list[str]:
        chosen = settings.model_copy(update={"mail_from": sender})
        lines = map(str, provision(chosen, session=aws.session, endpoint_url=aws.endpoint_url))
        return [line for line in lines if line.startswith("sender")]

    ses = aws.session.client("ses", endpoint_url=aws.endpoint_url)
    assert said("") == []
    assert "follow the link" in said("GAS <gas@gas.invalid>")[0]
    assert ses.list_identities()["Identities"] == ["gas@gas.invalid"]
    assert said("GAS <gas@gas.invalid>") == ["sender gas@gas.invalid was there"]
    ses.verify_domain_identity(Domain="example.org")
    assert said("any@example.org") == ["sender any@example.org was there"]


@pytest.fixture
def command(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``gas provision`` as an operator types it, with the stand-in's credentials."""
    credentials = aws.session.get_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("GAS_AWS_ACCOUNT", "")  # asked of AWS
    return lambda *options: CliRunner().invoke(build_app(), ["provision", *options])


def test_plan_tells_and_changes_nothing(command: Callable[..., Result], aws: Any) -> None:
    """A plan names what is new, a dry run the calls that make it, and neither makes anything."""
    s3 = aws.session.client("s3", endpoint_url=aws.endpoint_url)
    plan, calls = command("--plan"), command("--dry-run")
    assert (plan.exit_code, calls.exit_code) == (0, 0)
    assert "+ table gas-annotations: point-in-time recovery" in plan.stdout
    assert plan.stdout.endswith("16 to make, 0 to change, 0 as they should be\n")
    assert 's3 create_bucket {"Bucket": "gas-inputs"}' in calls.stdout.splitlines()
    assert s3.list_buckets()["Buckets"] == []
    assert command().exit_code == 0
    assert command("--plan").stdout.endswith("0 to make, 0 to change, 16 as they should be\n")
    assert command("--dry-run").stdout == ""
    told = json.loads(command("--plan", "--json").stdout)["changes"]
    assert {change["action"] for change in told} == {"nothing"}


def test_plan_sees_every_drift(services: Services, aws: Any, settings: Settings) -> None:
    """Whatever somebody has loosened is seen, named and set right, and nothing else is touched."""

    def client(service: str) -> Any:
        return aws.session.client(service, endpoint_url=aws.endpoint_url)

    bucket, s3, sqs = settings.inputs_bucket, client("s3"), client("sqs")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_encryption(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    anywhere = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [anywhere]})
    s3.put_bucket_notification_configuration(Bucket=settings.results_bucket, NotificationConfiguration={})
    url = sqs.get_queue_url(QueueName="gas-restore")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": "{}", "MessageRetentionPeriod": "60"})
    topics = {
        topic["TopicArn"].rpartition(":")[2]: topic["TopicArn"] for topic in client("sns").list_topics()["Topics"]
    }
    client("sns").set_topic_attributes(TopicArn=topics["gas-thaw"], AttributeName="Policy", AttributeValue="{}")
    (subscription,) = client("sns").list_subscriptions_by_topic(TopicArn=topics["gas-glacier"])["Subscriptions"]
    client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    client("dynamodb").update_continuous_backups(
        TableName=settings.profiles_table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    drifted = {
        "~ table gas-profiles: point-in-time recovery",
        f"~ bucket {bucket}: no public access, versioning, encryption, an end of abandoned uploads, CORS for"
        f" {settings.web_url} alone",
        "~ topic gas-thaw: a policy that lets S3 tell it of restores",
        "~ queue gas-restore: its policy, its retention",
        "+ subscription of queue gas-glacier to topic gas-glacier",
        "+ notifications of bucket gas-results",
    }
    where = {"session": aws.session, "endpoint_url": aws.endpoint_url}
    assert {change.plan for change in changes(settings, **where) if change.action != "nothing"} == drifted
    list(provision(settings, **where))
    assert {change.action for change in changes(settings, **where)} == {Action.NOTHING}


def test_what_others_have_set_stays(services: Services, aws: Any, settings: Settings) -> None:
    """A rule of a bucket's life cycle, a notification and a key that somebody chose outlast provisioning."""
    s3 = aws.session.client("s3", endpoint_url=aws.endpoint_url)
    bucket, where = settings.results_bucket, {"session": aws.session, "endpoint_url": aws.endpoint_url}
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [theirs]})
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "theirs"}
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": key}]},
    )
    topic = aws.session.client("sns", endpoint_url=aws.endpoint_url).create_topic(Name="theirs")["TopicArn"]
    other = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [other]})
    list(provision(settings, **where))
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert [rule["ID"] for rule in rules] == ["theirs", "abort-abandoned-uploads"]
    (encryption,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption["ApplyServerSideEncryptionByDefault"] == key
    told = s3.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"]
    assert {each["TopicArn"].rpartition(":")[2] for each in told} == {"theirs", "gas-thaw"}


def test_index_of_another_release_is_told(aws: Any, settings: Settings) -> None:
    """An index that holds less than this release reads is named: AWS cannot change it, a person must delete it."""
    dynamodb = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
    where = {"session": aws.session, "endpoint_url": aws.endpoint_url}
    list(provision(settings, **where))
    update = {"Delete": {"IndexName": USER_INDEX}}
    dynamodb.update_table(TableName=settings.annotations_table, GlobalSecondaryIndexUpdates=[update])
    create = {
        "IndexName": USER_INDEX,
        "KeySchema": [
            {"AttributeName": "user_id", "KeyType": "HASH"},
            {"AttributeName": "user_order", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    dynamodb.update_table(
        TableName=settings.annotations_table,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("user_id", "user_order")],
        GlobalSecondaryIndexUpdates=[{"Create": create}],
    )
    (change,) = (change for change in changes(settings, **where) if change.trouble)
    assert change.thing == "table gas-annotations"
    assert USER_INDEX in change.trouble
    assert "delete it" in change.trouble


def test_call_is_made_once_aws_is_ready(aws: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backups that a new table does not have yet are asked for again, and a table made meanwhile is taken as it is."""
    monkeypatch.setattr(provisioning, "PAUSE_S", 0)
    early = ["ContinuousBackupsUnavailableException"] * 3

    def answer(params: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        if not early:
            return None
        return HTTP, {"Error": {"Code": early.pop(), "Message": "Backups are being enabled"}}

    made = Aws(region="us-east-1", session=aws.session, endpoint_url=aws.endpoint_url)
    made.dynamodb.meta.events.register("before-call.dynamodb.UpdateContinuousBackups", answer)
    monkeypatch.setattr(provisioning, "Aws", lambda **_: made)
    first = next(iter(provision(settings)))
    assert (str(first), early) == ("table gas-annotations made", [])
    make, _ = first.calls
    provisioning._send(made, make)  # another process made it between our look and our call
