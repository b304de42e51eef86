"""Everything GAS keeps in AWS is made by one command that may be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gas.job import ArchiveBackend, Job, JobStatus, Output, StoredObject, new_job_id
from gas.provision import JOB_INDEXES, provision
from gas.services import Services, build
from gas.settings import Settings
from tests.fakes import pending_job


def completed(job: Job) -> Job:
    stored = StoredObject(bucket="gas-results", key="k", version_id="v", sha256="ab", size_bytes=1)
    outputs = {Output.VCF: stored, Output.LOG: stored}
    return replace(job, job_status=JobStatus.COMPLETED, complete_time=7, outputs=outputs)


def test_provisioning_twice_keeps_the_data(services: Services, aws: Any, settings: Settings) -> None:
    """A second run finds everything there and loses no record."""
    job = services.jobs.create(pending_job(job_id=new_job_id()))
    said = list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    assert "table gas-annotations was there" in said
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
    for _ in range(2):
        said = list(provision(with_vault, session=aws.session, endpoint_url=aws.endpoint_url))
    assert said[-1] == "vault gas-results"
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
        lines = provision(chosen, session=aws.session, endpoint_url=aws.endpoint_url)
        return [line for line in lines if line.startswith("sender")]

    ses = aws.session.client("ses", endpoint_url=aws.endpoint_url)
    assert said("") == []
    assert "follow the link" in said("GAS <gas@gas.invalid>")[0]
    assert ses.list_identities()["Identities"] == ["gas@gas.invalid"]
    assert said("GAS <gas@gas.invalid>") == ["sender gas@gas.invalid was there"]
    ses.verify_domain_identity(Domain="example.org")
    assert said("any@example.org") == ["sender any@example.org was there"]
