"""Each role's IAM policy grants what its code does, and nothing else."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gas import (
    annotate_job,
    comparison,
    deletion,
    inventory,
    notices,
    reannotation,
    reconcile,
    record_schema,
    subscription,
)
from gas.archive import rebuild, transfer, vault
from gas.archive.watch import RetrievalWatch
from gas.aws import Aws
from gas.iam import Role
from gas.job import ArchiveBackend, Job, Output, new_job_id
from gas.jobs_table import MONTH_INDEX
from gas.profiles_table import PENDING_INDEX, Tier
from gas.provision import provision
from gas.services import Services, build
from gas.settings import MIB, Settings
from gas.storage_table import new_token
from tests.fakes import ALICE, BOB, FakeAirflow, FakeReferences, fake_annotate, pending_job
from tests.permissions import ACCOUNT, REGION, WATCH, acting, unused
from tests.storage import BODIES, DELAY_S, Clock, completed_job, quick_make, stock_taken, thawed

NOTHING_CHANGED = comparison.Comparison(
    counts=comparison.Counts(
        significance=dict.fromkeys(comparison.Change, 0), consequence=dict.fromkeys(comparison.Change, 0)
    ),
    differences=[],
    more=0,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an installation that sends mail and archives soon."""
    return Settings(
        aws_account=ACCOUNT,
        mail_from="GAS <gas@gas.invalid>",
        work_dir=tmp_path / "work",
        references=tmp_path / "references",
        free_result_ttl_s=DELAY_S,
    )


def installed(settings: Settings, aws: Any, backend: ArchiveBackend, clock: Clock) -> Services:
    """GAS with this back end, of which nothing is done by a role yet."""
    chosen = settings.model_copy(update={"archive": backend})
    list(provision(chosen, session=aws.session, endpoint_url=aws.endpoint_url))
    made = build(chosen, session=aws.session, endpoint_url=aws.endpoint_url, now=clock)
    return replace(made, airflow=IdleAirflow(), references=FakeReferences())  # type: ignore[arg-type]  # nothing runs


class IdleAirflow(FakeAirflow):
    """Takes every run, and works at none."""

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        return None

    def run_again(self, dag_id: str, run_id: str) -> None:
        self.runs[run_id] = (dag_id, {})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, quick annotation, no grace, and nothing that is too young to be looked at."""
    monkeypatch.setattr(annotate_job.annotation, "annotate", fake_annotate)
    monkeypatch.setattr(reannotation.comparison, "compare", lambda *_, **__: NOTHING_CHANGED)
    monkeypatch.setattr(rebuild, "make_index", quick_make)
    monkeypatch.setattr(rebuild, "make_table", quick_make)
    monkeypatch.setattr(vault, "PART_BYTES", MIB)
    monkeypatch.setattr(inventory, "YOUNG_S", -3600)
    monkeypatch.setattr(reconcile, "GRACE_S", -3600)
    monkeypatch.setattr(reconcile, "ARCHIVING_S", -3600)


def loosened(settings: Settings, aws: Aws) -> None:
    """An installation of an earlier release: without an index, and with envelopes around its messages."""
    update = {"Delete": {"IndexName": MONTH_INDEX}}
    aws.dynamodb.update_table(TableName=settings.annotations_table, GlobalSecondaryIndexUpdates=[update])
    update = {"Delete": {"IndexName": PENDING_INDEX}}
    aws.dynamodb.update_table(TableName=settings.profiles_table, GlobalSecondaryIndexUpdates=[update])
    for queue in (*settings.topics, settings.thaw_wake_queue):
        url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    for known in aws.sns.list_subscriptions()["Subscriptions"]:
        aws.sns.set_subscription_attributes(
            SubscriptionArn=known["SubscriptionArn"],
            AttributeName="RawMessageDelivery",
            AttributeValue="false",
        )


def submitted(services: Services) -> Job:
    """A job of Alice's that waits for its run."""
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
    job_id = new_job_id()
    stored = services.objects.input_key(user_id=ALICE.user_id, job_id=job_id)
    services.objects._aws.s3.put_object(Bucket=services.settings.inputs_bucket, Key=stored, Body=b"a\n")
    arrived = services.objects.head_input(user_id=ALICE.user_id, job_id=job_id)
    assert arrived is not None
    return services.jobs.create(replace(pending_job(job_id=job_id), input=arrived))


def litter(services: Services, job: Job) -> None:
    """What attempts and copies that died for good left: in both buckets, and in the vault."""
    s3 = services.objects._aws.s3
    key = services.objects.output_key(Output.LOG, user_id=job.user_id, job_id=job.job_id, attempt="0000-z")
    for bucket in (services.settings.inputs_bucket, services.settings.results_bucket):
        s3.put_object(Bucket=bucket, Key=key, Body=b"left")
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    if services.settings.archive is ArchiveBackend.VAULT:
        description = json.dumps(
            {"job": job.job_id, "key": job.outputs[Output.VCF].key if job.outputs else key, "token": "0" * 32}
        )
        where = {"accountId": "-", "vaultName": services.settings.vault, "archiveDescription": description}
        services.vault_inventory._aws.glacier.initiate_multipart_upload(**where, partSize=str(MIB))


def due_job(services: Services, clock: Clock) -> Job:
    """A large result whose delay is over."""
    job = completed_job(services, bodies={**BODIES, Output.VCF: bytes(2 * MIB + 1)})
    clock.ahead_s += DELAY_S + 1
    return job


def annotates(services: Services, job: Job) -> None:
    """What a run of ``annotate`` does, also after a try that failed, and when it gives up."""
    annotate_job.run(services, job_id=job.job_id, attempt="0002-a")
    notices.job_ended(services, job.job_id)
    with acting(None):
        other = submitted(services)
        services.jobs.start(other.job_id, "0001-a")
        litter(services, other)
    annotate_job.give_up(services, job_id=other.job_id, attempt="0001-a", error=None)


def reannotates(services: Services, job: Job) -> None:
    """What a run of ``reannotate`` does, and the job that it begins; the result's record is from an earlier release."""
    services.references.checksum = "newer"  # type: ignore[misc]  # the fake's
    services.jobs.table.update(job.job_id, update="REMOVE made_on", condition="attribute_exists(made_on)", values={})
    turn = reannotation.reannotate(services, after=job.submit_time, before=job.submit_time + 1, at_once=1)
    annotate_job.run(services, job_id=turn.begun[0], attempt="0001-a")


def archives_all(services: Services) -> None:
    """What a run of ``archive`` does."""
    transfer.fan_out(services)
    for chunk in transfer.due(services, before=services.storage.now()):
        transfer.archive_all(services, chunk)


def restores(services: Services, job: Job) -> None:
    """What a run of ``restore`` does."""
    subscription.begin(services, job_id=job.job_id, keep_s=3600, user_id=None, tier_version=None)
    transfer.ask_all(services, [job.job_id])
    thawed(services, job.job_id)


def left_half_done(services: Services, clock: Clock) -> None:
    """What actors that died in the midst left: archives, a deletion, restores, a message, a change of plan."""
    small, large = completed_job(services), due_job(services, clock)
    for claimed in (small, large):
        services.storage.claim([claimed], token=new_token(), backend=services.settings.archive, delay_s=DELAY_S)
    deleted, unasked, asked = (completed_job(services) for _ in range(3))
    clock.ahead_s += DELAY_S + 1
    for cold in (deleted, unasked, asked):
        transfer.archive_one(services, cold.job_id)
    services.storage.mark_deleting(services.jobs.get(deleted.job_id))
    for thawing in (unasked, asked):
        subscription.begin(services, job_id=thawing.job_id, keep_s=3600, user_id=None, tier_version=None)
    transfer.ask(services, asked.job_id)
    untold = submitted(services)
    services.jobs.start(untold.job_id, "0001-a")
    services.jobs.complete(untold.job_id, "0001-a", completed_job(services).outputs, {}, [])
    services.profiles.ensure(BOB.user_id, name=BOB.name, email=BOB.email)
    services.profiles.set_tier(BOB.user_id, Tier.PREMIUM)
    services.profiles.set_tier(BOB.user_id, Tier.FREE)


def repairs(services: Services, clock: Clock) -> None:
    """What ``reconcile`` and ``inventory`` do about everything that can be left."""
    with acting(None):
        litter(services, due_job(services, clock))
        deleted, cancelled = submitted(services), submitted(services)
        litter(services, deleted)
        services.storage.mark_deleting(deleted)
        services.jobs.cancel(cancelled.job_id, ALICE.user_id)
    list(reconcile.reconcile(services))
    now = services.storage.now()
    list(reconcile.check(services, after=now - 7200, before=now + 1))
    request = services.vault_inventory.request()
    with acting(None):
        listed = stock_taken(services)
    if request:
        services.vault_inventory.latest()
    list(inventory.inventory(services, vault_inventory=listed))
    clock.ahead_s += deletion.TOMBSTONE_S + 1
    list(reconcile.reconcile(services))


def test_worker_is_granted_what_it_does(settings: Settings, aws: Any) -> None:
    """Annotating, archiving, restoring, telling and repairing need each permission of a worker, and no other."""
    for backend in ArchiveBackend:
        clock = Clock()
        services = installed(settings, aws, backend, clock)
        job = submitted(services)
        with acting(Role.WORKER):
            annotates(services, job)
            reannotates(services, job)
        cold = due_job(services, clock)
        services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM)
        services.profiles.set_tier(ALICE.user_id, Tier.FREE)
        with acting(Role.WORKER):
            notices.warn(services)
            notices.deliver(services)
        clock.ahead_s += DELAY_S + 1
        with acting(Role.WORKER):
            archives_all(services)
            restores(services, cold)
            repairs(services, clock)
    assert unused(Role.WORKER) == []


def test_triggerer_is_granted_what_it_does(settings: Settings, aws: Any) -> None:
    """Looking after retrievals and inventories needs each permission of a triggerer, and no other."""
    for backend in ArchiveBackend:
        clock = Clock()
        services = installed(settings, aws, backend, clock)
        job = due_job(services, clock)
        archives_all(services)
        subscription.begin(services, job_id=job.job_id, keep_s=3600, user_id=None, tier_version=None)
        retrieval = transfer.ask(services, job.job_id)
        assert retrieval is not None
        asked = services.vault_inventory.ask()
        watch = RetrievalWatch(services)
        told = False
        while not told:
            with acting(Role.TRIGGERER):
                watch.look([retrieval])
                told = watch.await_wake([retrieval], 1)
        if asked:
            with acting(Role.TRIGGERER):
                services.vault_inventory.status(asked)
    assert unused(Role.TRIGGERER) == []


def test_operator_is_granted_what_he_does(settings: Settings, aws: Any) -> None:
    """Making everything, making it good, looking after it and repairing need each permission, and no other."""
    where = {"session": aws.session, "endpoint_url": aws.endpoint_url}
    for backend in ArchiveBackend:
        chosen = settings.model_copy(update={"archive": backend})
        with acting(Role.OPERATOR):
            list(provision(chosen, **where))
        clock = Clock()
        services = installed(chosen, aws, backend, clock)
        loosened(chosen, services.objects._aws)
        left_half_done(services, clock)
        with acting(Role.OPERATOR):
            list(provision(chosen, **where))
            record_schema.migrate(services)
            repairs(services, clock)
    assert unused(Role.OPERATOR) == []


def test_call_without_a_permission_is_seen(settings: Settings, aws: Any) -> None:
    """What a role's policy does not grant is held against it, also in a pool's thread; others may do it."""
    services = installed(settings, aws, ArchiveBackend.STORAGE_CLASS, Clock())
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:{settings.completed_topic}"

    def publish() -> None:
        services.objects._aws.sns.publish(TopicArn=topic, Message="not the web app's to say")

    publish()
    assert WATCH.refused == []
    with acting(Role.WEB), ThreadPoolExecutor() as threads:
        threads.submit(publish).result()
    assert WATCH.refused == [f"web is not granted sns:Publish on {topic}"]
    WATCH.forget()
