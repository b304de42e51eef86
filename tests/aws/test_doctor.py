"""``gas doctor`` sees what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from pydantic import SecretStr
from typer.testing import CliRunner

from gas import doctor
from gas.aws import Aws
from gas.cli import build_app
from gas.doctor import Health, examine
from gas.iam import GRANTS, Role, granted
from gas.job import ArchiveBackend, new_job_id
from gas.probes import PROBES, tried
from gas.provision import provision
from gas.references import Reference
from gas.services import Services, build
from gas.settings import Settings
from tests.conftest import free_ports
from tests.fakes import pending_job
from tests.permissions import WATCH, acting

#: What only doing it tells of: it makes, changes or sends something.
UNTRIED = {
    "glacier:AbortMultipartUpload",
    "glacier:CompleteMultipartUpload",
    "glacier:CreateVault",
    "glacier:DeleteArchive",
    "glacier:GetJobOutput",
    "glacier:InitiateJob",
    "glacier:InitiateMultipartUpload",
    "glacier:UploadArchive",
    "glacier:UploadMultipartPart",
    "ses:SendEmail",
    "ses:VerifyEmailIdentity",
    "sns:CreateTopic",
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Publish",
    "sns:SetSubscriptionAttributes",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
    "sqs:CreateQueue",
    "sqs:SetQueueAttributes",
    "dynamodb:CreateTable",
    "dynamodb:UpdateContinuousBackups",
    "dynamodb:UpdateTable",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Everything that a policy may speak of, and nothing that answers but AWS."""
    nobody = f"http://127.0.0.1:{free_ports()}"
    return settings.model_copy(
        update={
            "archive": ArchiveBackend.VAULT,
            "mail_from": "gas@gas.invalid",
            "airflow_url": nobody,
            "web_url": nobody,
            "web_database_url": SecretStr("postgresql+psycopg2://nobody@127.0.0.1:1/gas_web"),
        }
    )


@pytest.fixture
def seen(aws: Any, settings: Settings, services: Services) -> Callable[..., list[str]]:
    """The lines of an examination that are not OK, without their remedies' ends."""

    def look(role: Role | None = None, *, now: Callable[[], float] = time.time, **changed: Any) -> list[str]:
        checks = examine(
            settings.model_copy(update=changed),
            role=role,
            session=aws.session,
            endpoint_url=aws.endpoint_url,
            globus_url=settings.web_url,
            now=now,
        )
        return [" ".join(str(check).split()) for check in checks if check.health is not Health.OK]

    return look


@pytest.mark.parametrize("role", list(Role))
def test_probes_tell_who_may_from_who_may_not(role: Role, aws: Any, settings: Settings, services: Services) -> None:
    """Each permission is seen where it is there and missed where it is not, and trying it takes no other."""
    clients = services.objects._aws
    with acting(role):
        found = list(tried(clients, settings, role))
    assert {(one.action, one.on) for one in found} == {
        (action, on) for on, actions in granted(role, settings).items() for action in actions
    }
    assert [one for one in found if one.held is False] == []
    used = {action for action, _ in WATCH.used[role]}
    assert {one.action for one in found if one.held} <= used
    refusing = Aws(region="us-east-1", session=aws.session, endpoint_url=aws.endpoint_url)
    for service in ("dynamodb", "s3", "sqs", "ses", "glacier"):
        getattr(refusing, service).meta.events.register("before-call", refused)
    assert [one for one in tried(refusing, settings, role) if one.held] == []


def refused(**_: Any) -> tuple[Any, dict[str, Any]]:
    """AWS's answer to whoever may not."""
    return SimpleNamespace(status_code=403), {"Error": {"Code": "AccessDenied", "Message": "not you"}}


def test_every_permission_that_can_be_tried_is_tried() -> None:
    """A new permission has a probe, or is known to need none; no probe is for a permission that nobody needs."""
    needed = {(action, on) for things in GRANTS.values() for on, actions in things.items() for action in actions}
    untried = {action for action, on in needed - PROBES.keys()}
    changing = {action for action in untried if action.startswith(("s3:Put", "s3:Create"))}
    assert untried - changing == UNTRIED


def test_looking_changes_nothing(aws: Any, settings: Settings, services: Services) -> None:
    """Records, objects and messages are as they were."""
    job = services.jobs.create(pending_job(job_id=new_job_id()))
    sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
    url = sqs.get_queue_url(QueueName=settings.thaw_wake_queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="wake up")
    for role in Role:
        list(tried(services.objects._aws, settings, role))
    tables = aws.session.resource("dynamodb", endpoint_url=aws.endpoint_url)
    assert [item["job_id"] for item in tables.Table(settings.annotations_table).scan()["Items"]] == [job.job_id]
    assert tables.Table(settings.profiles_table).scan()["Items"] == []
    tables.meta.client.close()
    for bucket in (settings.inputs_bucket, settings.results_bucket):
        there = services.objects._aws.s3.list_object_versions(Bucket=bucket)
        assert "Versions" not in there
        assert "DeleteMarkers" not in there
        assert "Uploads" not in services.objects._aws.s3.list_multipart_uploads(Bucket=bucket)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert "wake up" in {message["Body"] for message in messages}


def test_what_does_not_answer_is_named_with_a_remedy(seen: Callable[..., list[str]], settings: Settings) -> None:
    """Nothing that is down stops the examination of the rest."""
    lines = seen()
    for part in (
        "failed settings GAS_WEB_SECRET_KEY is not set: set 32 random bytes",
        "failed settings GAS_AIRFLOW_PASSWORD is not set: set the password",
        f"failed references none in {settings.references}: `gas reference install`",
        f"failed airflow {settings.airflow_url}/api/v2/monitor/health does not answer (ConnectError): start the API",
        f"failed web {settings.web_url}/health does not answer (ConnectError): start the web app",
        f"failed globus {settings.web_url}/.well-known/openid-configuration does not answer",
        "failed database no connection (",
    ):
        assert any(line.startswith(part) for line in lines), (part, lines)
    assert not any(line.startswith(("failed aws", "failed clock")) for line in lines)


def test_drift_and_foreign_credentials_are_seen(seen: Callable[..., list[str]], services: Services) -> None:
    """What AWS lacks is named thing by thing; another account's credentials are told before anything else of AWS."""
    s3 = services.objects._aws.s3
    s3.put_bucket_versioning(Bucket="gas-inputs", VersioningConfiguration={"Status": "Suspended"})
    (line,) = (line for line in seen(Role.OPERATOR) if " aws " in line)
    assert line.startswith("failed aws bucket gas-inputs lacks versioning: `gas provision --plan`")
    (line,) = (line for line in seen(Role.OPERATOR, prefix="other") if "aws bucket other-inputs" in line)
    assert "is not there" in line
    (line,) = (line for line in seen(Role.OPERATOR, aws_account="210987654321") if " aws " in line)
    assert "credentials of account 123456789012, and GAS_AWS_ACCOUNT is 210987654321" in line


def test_clock_that_is_wrong_is_seen(seen: Callable[..., list[str]]) -> None:
    """Some seconds are a warning, half a minute is a failure, and the remedy is a time server."""
    clocks = {
        ahead: [line for line in seen(Role.OPERATOR, now=lambda a=ahead: time.time() + a) if " clock " in line]
        for ahead in (0, 9, -90)
    }
    assert clocks[0] == []
    assert clocks[9][0].startswith(("warning clock 9 s ahead of AWS's: have chrony", "warning clock 10 s ahead"))
    assert "behind AWS's" in clocks[-90][0]
    assert clocks[-90][0].startswith("failed clock")


def test_role_looks_at_what_it_needs(seen: Callable[..., list[str]], sars_cov_2: Reference) -> None:
    """A triggerer needs no reference, no database and no Airflow; a worker's own reference is enough for it."""
    assert seen(Role.TRIGGERER) == []
    lines = seen(Role.WORKER, references=sars_cov_2.folder.parent, airflow_password=SecretStr("known"))
    assert [line.split()[1] for line in lines] == ["airflow"]


def test_wrong_packages_are_seen(seen: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is older than GAS needs, or missing, is named."""
    monkeypatch.setattr(doctor, "requires", lambda _: ["boto3>=99", "no-such-thing>=1", "moto>=99; extra == 'local'"])
    lines = [line for line in seen(Role.TRIGGERER) if " versions " in line]
    assert len(lines) == 2
    assert "and GAS needs >=99" in lines[0]
    assert "no-such-thing is missing" in lines[1]


def test_command_ends_with_one_where_something_failed(
    aws: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``gas doctor`` prints a line for each thing or one document, and its exit code says whether all is well."""
    credentials = aws.session.get_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("GAS_AWS_ACCOUNT", settings.aws_account)
    monkeypatch.setenv("GAS_WORK_DIR", str(tmp_path))

    def run(*options: str) -> Result:
        return CliRunner().invoke(build_app(), ["doctor", "triggerer", *options])

    # Nothing is provisioned: what is not there can be looked for by whoever may.
    well = run()
    assert well.exit_code == 0, well.output
    assert well.stdout.startswith("ok ")
    monkeypatch.setenv("GAS_AWS_ACCOUNT", "210987654321")
    ill = run("--json")
    assert ill.exit_code == 1
    assert "failed" in {check["health"] for check in json.loads(ill.stdout)["checks"]}


@pytest.fixture
def services(aws: Any, settings: Settings) -> Services:
    """GAS on everything that it needs in AWS."""
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    return build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
