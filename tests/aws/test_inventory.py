"""What no record names is found and deleted; what might be a last copy, or might yet be named, never is."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from gas import inventory as taking_stock
from gas.archive import vault_inventory
from gas.archive.transfer import archive_one, begin_restore_job
from gas.cli import build_app
from gas.deletion import delete
from gas.errors import Unavailable
from gas.findings import Finding
from gas.inventory import inventory
from gas.job import ArchiveBackend, Job, Output, StorageState, StoredObject, new_job_id
from gas.objects import OUTPUT_KEYS
from gas.services import Services, build
from gas.storage_table import new_token
from tests.fakes import pending_job
from tests.faults.harness import Crash, Faults, crash_after, refusal
from tests.storage import ATTEMPT, Clock, archives, completed_job, inventoried, stock_taken, thawed, versions

TWO_DAYS_S = 48 * 3600 + 60
OLD_ATTEMPT = "0000-lost"
WITH_VAULT = pytest.mark.parametrize("storage_services", [ArchiveBackend.VAULT], indirect=True)
WITHOUT_VAULT = pytest.mark.parametrize("storage_services", [ArchiveBackend.STORAGE_CLASS], indirect=True)


@pytest.fixture
def services(storage_services: Services) -> Services:
    return storage_services


def found(services: Services, **options: Any) -> list[str]:
    """What the inventory says of jobs, without their ids."""
    listed = stock_taken(services)
    findings = inventory(services, vault_inventory=listed, **options)
    return [str(finding).partition(": ")[2] for finding in findings]


def put(services: Services, key: str, *, bucket: str | None = None, body: bytes = b"12 bytes long") -> StoredObject:
    """Something that no record names."""
    bucket = bucket or services.settings.results_bucket
    made = services.objects._aws.s3.put_object(Bucket=bucket, Key=key, Body=body)
    return StoredObject(bucket=bucket, key=key, version_id=made["VersionId"], sha256="", size_bytes=len(body))


def stray_version(services: Services, job: Job) -> StoredObject:
    """A version that a thaw put beside the one that the record names."""
    key = f"{job.user_id}/{job.job_id}/{ATTEMPT}/{OUTPUT_KEYS[Output.VCF][0]}"
    return put(services, key)


def stray_input(services: Services, job: Job) -> StoredObject:
    return put(services, f"{job.user_id}/{job.job_id}/input", bucket=services.settings.inputs_bucket)


def stray_copy(services: Services, job: Job, *, backend: ArchiveBackend | None = None) -> str:
    """A cold copy under a claim that no record names (any more); its id."""
    source = put(services, f"{job.user_id}/{job.job_id}/{OLD_ATTEMPT}/{OUTPUT_KEYS[Output.VCF][0]}")
    copy = services.archives[backend or services.settings.archive].store(source, job_id=job.job_id, token=new_token())
    services.objects.delete_version(source)
    return copy.archive_id


def lying(services: Services, aws: Any) -> tuple[set[tuple[str, str]], set[tuple[str, str]], int]:
    """All there is: versions of both buckets, and how many archives."""
    inputs = services.objects._versions(services.settings.inputs_bucket, "")
    return versions(services), {(stored.key, stored.version_id) for stored in inputs}, archives(services, aws)


def archived_job(services: Services, due_job: Job) -> Job:
    archive_one(services, due_job.job_id)
    return services.jobs.get(due_job.job_id)


def thawing_job(services: Services, due_job: Job) -> Job:
    archived_job(services, due_job)
    begin_restore_job(services, due_job.job_id)
    return services.jobs.get(due_job.job_id)


def archiving_job(services: Services, due_job: Job) -> Job:
    change(services, due_job, "SET storage_state = :state", state=StorageState.ARCHIVING)
    return services.jobs.get(due_job.job_id)


def change(services: Services, job: Job, update: str, **values: Any) -> None:
    """Write into the record what is to be seen there."""
    services.jobs._table.update(
        job.job_id,
        update=update,
        condition="job_id = :id",
        values={":id": job.job_id, **{f":{name}": value for name, value in values.items()}},
        names={"#input": "input"} if "#input" in update else None,
    )


# The rules, one by one.


def test_hot_result_keeps_what_its_record_names(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """Beside a HOT result, other versions, cold copies and delete markers go; its outputs stay."""
    before = lying(services, aws)
    stray_version(services, due_job)
    stray_copy(services, due_job)
    s3 = services.objects._aws.s3
    s3.delete_object(Bucket=services.settings.results_bucket, Key=due_job.outputs[Output.VCF].key)
    clock.ahead_s += TWO_DAYS_S
    assert all(line.endswith(": delete") for line in found(services))
    assert lying(services, aws) == before
    markers = s3.list_object_versions(Bucket=services.settings.results_bucket).get("DeleteMarkers", [])
    assert markers == []
    assert found(services) == []


def test_hot_result_that_is_gone_has_nothing_deleted_beside_it(services: Services, due_job: Job, clock: Clock) -> None:
    """When the version that the record names is missing, whatever lies beside it may be the last copy."""
    stray_version(services, due_job)
    stray_copy(services, due_job)
    services.objects.delete_version(due_job.outputs[Output.VCF])
    clock.ahead_s += TWO_DAYS_S
    before = versions(services)
    lines = found(services)
    assert len(lines) == 2
    assert all(line.endswith(taking_stock.GONE) for line in lines)
    assert versions(services) == before


def test_archived_result_keeps_what_its_record_names(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """Beside an ARCHIVED result's copy, log and summary, other copies and versions of the result go."""
    cold = archived_job(services, due_job)
    before = lying(services, aws)
    stray_version(services, cold)
    stray_copy(services, cold)
    clock.ahead_s += TWO_DAYS_S
    lines = found(services)
    assert len(lines) == 2
    assert all(line.endswith(": delete") for line in lines)
    assert lying(services, aws) == before
    begin_restore_job(services, cold.job_id)
    assert thawed(services, cold.job_id)


def test_archived_result_whose_copy_is_gone_has_nothing_deleted(
    services: Services, due_job: Job, clock: Clock, aws: Any
) -> None:
    """When the copy that the record names cannot be confirmed, nothing beside it goes, in bucket or vault."""
    cold = archived_job(services, due_job)
    stray_version(services, cold)
    stray_copy(services, cold)
    services.archives[services.settings.archive].delete_copy(
        job_id=cold.job_id, token=cold.archive_token or "", archive_id=cold.archive_id or ""
    )
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    lines = found(services)
    assert len(lines) == 2
    assert all(line.endswith(taking_stock.GONE) for line in lines)
    assert lying(services, aws) == before


@pytest.mark.parametrize("busy", [thawing_job, archiving_job], ids=lambda busy: busy.__name__)
def test_job_in_the_middle_of_something_is_skipped(
    services: Services, due_job: Job, clock: Clock, aws: Any, busy: Callable[[Services, Job], Job]
) -> None:
    """What lies beside a job that is ARCHIVING or THAWING may be about to be named."""
    job = busy(services, due_job)
    stray_version(services, job)
    stray_copy(services, job)
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    assert found(services) == []
    assert lying(services, aws) == before


def test_job_with_trash_is_skipped(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """Its trash has an owner: whoever meets it next."""
    stray_version(services, due_job)
    stray_copy(services, due_job)
    trash = {"token": new_token(), "backend": services.settings.archive, "versions": []}
    change(services, due_job, "SET trash = :trash", trash=trash)
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    assert found(services) == []
    assert lying(services, aws) == before


@pytest.mark.parametrize("started", [False, True], ids=["PENDING", "RUNNING"])
def test_job_that_has_not_ended_is_skipped(services: Services, clock: Clock, aws: Any, started: bool) -> None:
    """Its attempts put versions that no record names yet, and its input may be read."""
    job = services.jobs.create(pending_job(job_id=new_job_id()))
    if started:
        services.jobs.start(job.job_id, ATTEMPT)
    stray_version(services, job)
    stray_input(services, job)
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    assert found(services) == []
    assert lying(services, aws) == before


@pytest.mark.parametrize("ending", ["FAILED", "CANCELLED"])
def test_lost_attempts_of_a_job_without_result_go(services: Services, clock: Clock, ending: str) -> None:
    """Versions that an attempt put before its job failed or was cancelled are deleted; a cold copy cannot be theirs."""
    job = services.jobs.create(pending_job(job_id=new_job_id()))
    if ending == "FAILED":
        services.jobs.fail(job.job_id, None, "no", "engine")
    else:
        services.jobs.cancel(job.job_id, job.user_id)
    stray_version(services, job)
    clock.ahead_s += TWO_DAYS_S
    (line,) = found(services)
    assert line.endswith(": delete")
    assert versions(services) == set()
    stray_copy(services, job)
    clock.ahead_s += TWO_DAYS_S
    (line,) = found(services)
    assert line.endswith(taking_stock.GONE)


def test_deleted_job_has_everything_removed(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """Beside a tombstone nothing stays, of whatever kind."""
    delete(services, job_id=due_job.job_id, user_id=due_job.user_id)
    stray_version(services, due_job)
    stray_input(services, due_job)
    stray_copy(services, due_job)
    clock.ahead_s += TWO_DAYS_S
    lines = found(services)
    assert len(lines) == 3
    assert all(line.endswith(": delete") for line in lines)
    assert lying(services, aws) == (set(), set(), 0)


def test_things_without_a_record_are_told_of(services: Services, clock: Clock, aws: Any) -> None:
    """A record may be missing because the table was restored from a backup: nothing of its job is ever deleted."""
    job = pending_job(job_id=new_job_id())
    stray_version(services, job)
    stray_input(services, job)
    stray_copy(services, job)
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    lines = found(services)
    assert lines
    assert all(line.startswith("has no record, and there is") for line in lines)
    assert all(kind in "".join(lines) for kind in taking_stock.Kind)
    assert lying(services, aws) == before


def test_inputs_that_were_replaced_go(services: Services, due_job: Job, clock: Clock) -> None:
    """A second upload of the same form is deleted when the one that was annotated is there, and else told of."""
    used = stray_input(services, due_job)
    extra = stray_input(services, due_job)
    change(services, due_job, "SET #input.version_id = :version", version=used.version_id)
    clock.ahead_s += TWO_DAYS_S
    (line,) = found(services)
    assert line.endswith(": delete")
    assert services.objects.exists(used)
    assert not services.objects.exists(extra)
    extra = stray_input(services, due_job)
    services.objects.delete_version(used)
    (line,) = found(services)
    assert line.endswith(taking_stock.GONE)
    assert services.objects.exists(extra)


# What is left alone.


def test_young_things_are_left_alone(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """What was made in the last 48 hours may be recorded yet, even beside a tombstone or without a record."""
    delete(services, job_id=due_job.job_id, user_id=due_job.user_id)
    for job in (due_job, pending_job(job_id=new_job_id()), completed_job(services)):
        stray_version(services, job)
        stray_input(services, job)
        stray_copy(services, job)
    before = lying(services, aws)
    clock.ahead_s += TWO_DAYS_S - 180
    assert found(services) == []
    assert lying(services, aws) == before


def test_nothing_that_is_named_is_ever_touched(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """Results that are hot, on their way and in the archive, however old, give nothing to find."""
    archived_job(services, due_job)
    way_back = completed_job(services)
    clock.ahead_s += TWO_DAYS_S
    thawing_job(services, way_back)
    completed_job(services)
    before = lying(services, aws)
    for _ in range(2):
        clock.ahead_s += TWO_DAYS_S
        assert found(services) == []
        assert lying(services, aws) == before


def test_foreign_things_are_told_of(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """What is not of GAS's making is told of, in one line for each place, and stays; so does what has a wrong owner."""
    user, job = due_job.user_id, due_job.job_id
    for key in (
        "notes.txt",
        f"{user}/{job}/input",
        f"archive/{job}/{'x' * 32}",
        f"{user}/not-a-job/a/annotated.vcf.gz",
    ):
        put(services, key)
    put(services, f"{user}/{job}/input/more", bucket=services.settings.inputs_bucket)
    put(services, f"somebody-else/{job}/{ATTEMPT}/annotated.vcf.gz")
    if services.settings.archive is ArchiveBackend.VAULT:
        for said in ("", "a backup", "[1]", '{"job": 1, "key": 2, "token": 3}', json.dumps({"job": job, "key": "x"})):
            services.archives[ArchiveBackend.VAULT]._upload(b"x", said)  # type: ignore[attr-defined]  # the vault's own
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    lines = sorted(found(services))
    assert lines[0].startswith("1 things are not of GAS's making, namely")
    assert "somebody else" in lines[-1]
    assert len(lines) == (4 if services.settings.archive is ArchiveBackend.VAULT else 3)
    assert lying(services, aws) == before


def test_dry_run_deletes_nothing(services: Services, due_job: Job, clock: Clock, aws: Any) -> None:
    """It tells the same as a run that deletes, and may be repeated."""
    stray_version(services, due_job)
    stray_copy(services, due_job)
    services.objects._aws.s3.create_multipart_upload(
        Bucket=services.settings.results_bucket, Key=due_job.outputs[Output.VCF].key
    )
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    told = found(services, dry_run=True)
    assert len(told) == 3
    assert lying(services, aws) == before
    assert found(services) == told
    assert found(services) == []


# Races, crashes and trouble.


@pytest.mark.parametrize("becomes", ["HOT to ARCHIVING", "HOT to gone", "missing to HOT"])
def test_record_that_changes_after_the_list_is_obeyed(
    services: Services, due_job: Job, clock: Clock, aws: Any, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    """The record that counts is the one read just before deleting, not the one that was read for the whole batch."""
    stray_version(services, due_job)
    stray_copy(services, due_job)
    clock.ahead_s += TWO_DAYS_S
    before = lying(services, aws)
    original = services.jobs.find_many
    item = services.jobs._table.get(due_job.job_id)
    assert item

    def find_many(job_ids: Sequence[str]) -> list[Job]:
        seen = original(job_ids)
        if becomes == "HOT to ARCHIVING":
            archiving_job(services, due_job)
        elif services.jobs.find(due_job.job_id):
            services.jobs._table.delete(due_job.job_id, condition="job_id = :id", values={":id": due_job.job_id})
        return [] if becomes == "missing to HOT" else seen

    monkeypatch.setattr(services.jobs, "find_many", find_many)
    if becomes == "missing to HOT":
        find = services.jobs.find

        def appears(job_id: str) -> Job | None:
            if find(job_id) is None:
                services.jobs._table.put_new({**item, "storage_state": StorageState.THAWING})
            return find(job_id)

        monkeypatch.setattr(services.jobs, "find", appears)
    lines = found(services)
    if becomes == "HOT to gone":
        assert lines
        assert all(line.startswith("has no record") for line in lines)
    else:
        assert lines == []
    assert lying(services, aws) == before


def test_crash_in_the_middle_is_made_up_for(services: Services, aws: Any, clock: Clock) -> None:
    """Killed after any of its calls, the next inventory ends the work, and nothing that is named has been touched."""
    kept = [completed_job(services) for _ in range(2)]
    before = lying(services, aws)
    dirty = partial(_litter, services, kept)
    dirty()
    clock.ahead_s += TWO_DAYS_S
    calls = Faults()
    listed = stock_taken(services)
    list(inventory(_watched(services, aws, calls, clock), vault_inventory=listed))
    assert lying(services, aws) == before
    assert len(calls.order) > 10
    for operation, nth in calls.order:
        dirty()
        listed = stock_taken(services)
        faults = Faults(operation=operation, nth=nth, fault=crash_after)
        with pytest.raises(Crash):
            list(inventory(_watched(services, aws, faults, clock), vault_inventory=listed))
        list(inventory(services, vault_inventory=listed))
        assert lying(services, aws) == before, (operation, nth)


def _litter(services: Services, jobs: list[Job]) -> None:
    for job in jobs:
        stray_version(services, job)
        stray_copy(services, job)
    services.objects._aws.s3.create_multipart_upload(
        Bucket=services.settings.results_bucket, Key=jobs[0].outputs[Output.VCF].key
    )


def _watched(services: Services, aws: Any, faults: Faults, clock: Clock) -> Services:
    """Another process of the same installation, with faults in its calls."""
    credentials = aws.session.get_credentials()
    session = boto3.Session(credentials.access_key, credentials.secret_key, region_name="us-east-1")
    faults.watch(session)
    return build(services.settings, session=session, endpoint_url=aws.endpoint_url, now=clock)


def test_trouble_with_one_job_stops_no_other(
    services: Services, clock: Clock, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where deleting fails it is told, and the other jobs are seen to all the same."""
    jobs = [completed_job(services) for _ in range(3)]
    before = lying(services, aws)
    strays = [stray_version(services, job) for job in jobs]
    clock.ahead_s += TWO_DAYS_S
    original = services.objects.delete_versions

    def delete_versions(doomed: Any) -> None:
        asked = list(doomed)
        if any(jobs[1].job_id in version.key for version in asked):
            raise Unavailable("S3 did not delete it; try again")
        original(asked)

    monkeypatch.setattr(services.objects, "delete_versions", delete_versions)
    lines = found(services)
    assert sum("not done, Unavailable" in line for line in lines) == 1
    assert lying(services, aws)[0] == before[0] | {(strays[1].key, strays[1].version_id)}
    monkeypatch.undo()
    assert len(found(services)) == 1
    assert lying(services, aws) == before


# The two windows in which something stays that nobody but the inventory finds.


def test_copy_whose_maker_died_before_recording_it(services: Services, due_job: Job, aws: Any, clock: Clock) -> None:
    """An archiver makes the cold copy and dies; the result is archived again, and the first copy is left for this."""
    upload = "UploadArchive" if services.settings.archive is ArchiveBackend.VAULT else "CopyObject"
    dying = _watched(services, aws, Faults(operation=upload, nth=1, fault=crash_after), clock)
    with pytest.raises(Crash):
        archive_one(dying, due_job.job_id)
    archive_one(services, due_job.job_id)
    cold = services.jobs.get(due_job.job_id)
    assert (cold.storage_state, cold.is_open) == (StorageState.ARCHIVED, False)
    if services.settings.archive is ArchiveBackend.VAULT:
        assert archives(services, aws) == 2
        (finding,) = told_after_two_days(services, clock)
        assert (finding.repair, finding.trouble) == ("delete", "")
        assert archives(services, aws) == 1
    else:  # its copies can be listed, and whoever goes on with the work does so
        assert told_after_two_days(services, clock) == []
    begin_restore_job(services, cold.job_id)
    assert thawed(services, cold.job_id)
    assert inventoried(services) == []


def test_version_of_a_thaw_that_was_overtaken_and_died(
    services: Services, due_job: Job, aws: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thaw puts its version after its twin has committed and cleared up, and dies for good."""
    cold = thawing_job(services, due_job)
    slow = build(services.settings, session=aws.session, endpoint_url=aws.endpoint_url, now=clock)
    original = slow.objects.upload

    def upload_late(path: Path, key: str, **options: Any) -> StoredObject:
        thawed(services, cold.job_id)
        original(path, key, **options)
        raise Crash

    monkeypatch.setattr(slow.objects, "upload", upload_late)
    with pytest.raises(Crash):
        thawed(slow, cold.job_id)
    hot = services.jobs.get(cold.job_id)
    named = {(stored.key, stored.version_id) for stored in hot.outputs.values()}
    assert (hot.storage_state, hot.trash) == (StorageState.HOT, None)
    assert len(versions(services) - named) == 1
    (finding,) = told_after_two_days(services, clock)
    assert (finding.repair, finding.trouble) == ("delete", "")
    assert versions(services) == named


def told_after_two_days(services: Services, clock: Clock) -> list[Finding]:
    clock.ahead_s += TWO_DAYS_S
    return list(inventory(services, vault_inventory=stock_taken(services)))


# Both back ends.


def test_back_end_of_the_record_decides(services: Services, due_job: Job, aws: Any, clock: Clock) -> None:
    """After a change of the setting both places are looked at, and what the record names is confirmed where it is."""
    cold = archived_job(services, due_job)
    services.objects._aws.glacier.create_vault(accountId="-", vaultName=services.settings.vault)
    other = next(backend for backend in ArchiveBackend if backend is not services.settings.archive)
    changed = replace(services, settings=services.settings.model_copy(update={"archive": other}))
    before = versions(services), vault_holds(services)
    for backend in ArchiveBackend:
        stray_copy(changed, cold, backend=backend)
    clock.ahead_s += TWO_DAYS_S
    lines = found(changed)
    assert lines
    assert all(line.endswith(": delete") for line in lines)
    assert (versions(services), vault_holds(services)) == before
    begin_restore_job(services, cold.job_id)
    assert thawed(services, cold.job_id)


def vault_holds(services: Services) -> int:
    vault = services.objects._aws.glacier.describe_vault(accountId="-", vaultName=services.settings.vault)
    return int(vault["NumberOfArchives"])


def test_without_a_list_of_the_vault_nothing_of_its_results_goes(
    services: Services, due_job: Job, clock: Clock, aws: Any
) -> None:
    """A version beside a result in the vault stays while no inventory can confirm the archive."""
    cold = archived_job(services, due_job)
    stray = stray_version(services, cold)
    clock.ahead_s += TWO_DAYS_S
    (finding,) = inventory(services, vault_inventory=None)
    if services.settings.archive is ArchiveBackend.VAULT:
        assert finding.found.endswith(taking_stock.UNLISTED)
        assert services.objects.exists(stray)
    else:
        assert finding.repair == "delete"


def test_result_archived_after_the_vault_was_listed_waits(services: Services, due_job: Job, clock: Clock) -> None:
    """An archive too young for the vault's list is no missing one: what lies beside it waits for the next time."""
    stray = stray_version(services, due_job)
    clock.ahead_s += TWO_DAYS_S
    listed = stock_taken(services)
    archived_job(services, due_job)
    findings = list(inventory(services, vault_inventory=listed))
    if services.settings.archive is ArchiveBackend.VAULT:
        assert findings == []
        clock.ahead_s += TWO_DAYS_S
        (finding,) = inventory(services, vault_inventory=stock_taken(services))
        assert finding.repair == "delete"
    assert not services.objects.exists(stray)


@WITHOUT_VAULT
def test_a_vault_that_does_not_exist_is_no_trouble(services: Services) -> None:
    """There is nothing to ask for and nothing to list."""
    assert services.vault_inventory.request() is None
    assert services.vault_inventory.latest() is None
    assert found(services) == []


def test_a_vault_that_may_not_be_asked_for(services: Services, aws: Any, clock: Clock) -> None:
    """An account that has no right to vaults has none, unless they are where its results go: then it is trouble."""
    refused = Faults(operation="ListJobs", nth=1, fault=refusal("AccessDeniedException"))
    request = _watched(services, aws, refused, clock).vault_inventory.request
    if services.settings.archive is ArchiveBackend.VAULT:
        with pytest.raises(ClientError, match="AccessDenied"):
            request()
    else:
        assert request() is None


# Uploads in parts.


def test_uploads_that_nobody_ends_are_aborted(services: Services, due_job: Job, clock: Clock) -> None:
    """Parts of uploads begun two days ago go, in buckets and vault; younger ones stay, and so do foreign ones."""
    s3, glacier = services.objects._aws.s3, services.objects._aws.glacier
    in_vault = services.settings.archive is ArchiveBackend.VAULT
    key = due_job.outputs[Output.VCF].key
    description = json.dumps({"job": due_job.job_id, "key": key, "token": new_token()})

    def begin() -> None:
        s3.create_multipart_upload(Bucket=services.settings.results_bucket, Key=key)
        s3.create_multipart_upload(Bucket=services.settings.results_bucket, Key=f"archive/{due_job.job_id}/{'0' * 32}")
        if in_vault:
            glacier.initiate_multipart_upload(
                accountId="-", vaultName=services.settings.vault, archiveDescription=description, partSize=str(1 << 20)
            )

    s3.create_multipart_upload(Bucket=services.settings.results_bucket, Key="somebody's")
    begin()
    assert [line for line in found(services) if "not of GAS's making" not in line] == []
    clock.ahead_s += TWO_DAYS_S
    lines = found(services)
    assert sum(line.endswith("never ended: abort") for line in lines) == (3 if in_vault else 2)
    assert [upload.key for upload in services.objects.unfinished_uploads(services.settings.results_bucket)] == [
        "somebody's"
    ]
    assert list(services.vault_inventory.unfinished_uploads()) == []


# Size.


def test_lists_of_many_pages_are_streamed(
    services: Services, aws: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many things there are, a few are held at a time, and deleting does not disturb the list."""
    monkeypatch.setattr(taking_stock, "BATCH_JOBS", 3)
    monkeypatch.setattr(taking_stock, "BATCH_THINGS", 7)
    monkeypatch.setattr(taking_stock, "AWAITING", 2)
    jobs = [completed_job(services) for _ in range(8)]
    clock.ahead_s += TWO_DAYS_S
    for job in jobs[:4]:
        archive_one(services, job.job_id)
    before = lying(services, aws)
    for job in jobs:
        for _ in range(3):
            stray_version(services, job)
        stray_copy(services, job)
    clock.ahead_s += TWO_DAYS_S
    most = 0

    def batches(things: Any) -> Any:
        nonlocal most
        for batch in original(things):
            most = max(most, sum(map(len, batch.values())))
            yield batch

    original = taking_stock._batches
    monkeypatch.setattr(taking_stock, "_batches", batches)
    assert all(line.endswith(": delete") for line in found(services))
    assert lying(services, aws) == before
    assert most == 7


@WITHOUT_VAULT
def test_more_versions_than_a_page_holds(services: Services, due_job: Job, aws: Any, clock: Clock) -> None:
    """The list goes on behind what was deleted while it was read."""
    before = lying(services, aws)
    prefix = f"{due_job.user_id}/{due_job.job_id}"
    keys = [f"{prefix}/{attempt:04d}/{OUTPUT_KEYS[Output.LOG][0]}" for attempt in range(1050)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(partial(put, services, body=b"x"), keys))
    clock.ahead_s += TWO_DAYS_S
    assert all(line.endswith(": delete") for line in found(services))
    assert lying(services, aws) == before


# The vault's inventory.


@WITH_VAULT
def test_an_inventory_is_asked_for_once(services: Services, clock: Clock) -> None:
    """One that is under way, or was asked for lately, is taken up; an older one is not."""
    first = services.vault_inventory.request()
    assert first
    second = services.vault_inventory.request()
    assert second
    assert second[0] == first[0]
    until_ready(services, first[0])
    again = services.vault_inventory.request()
    assert again is not None
    assert again[0] == first[0]
    assert services.vault_inventory.latest() == first[0]
    clock.ahead_s += vault_inventory.RECENT_S + 5
    other = services.vault_inventory.request()
    assert other is not None
    assert other[0] != first[0]


def until_ready(services: Services, inventory_id: str) -> None:
    deadline = time.monotonic() + 20
    while services.vault_inventory.status(inventory_id) == "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.02)


@WITH_VAULT
def test_an_inventory_is_read_as_a_stream(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives come one at a time, with whatever their descriptions hold, wherever the chunks are cut."""
    said = ["", "plain", 'a "quoted", [bracketed] \\ one', "Ümläut 🧬"]
    archive = services.archives[ArchiveBackend.VAULT]
    for description in said[:3]:
        archive._upload(b"x", description)  # type: ignore[attr-defined]  # the vault's own
    listed = stock_taken(services)
    assert listed
    document = json.dumps({"VaultARN": "arn", "ArchiveList": [{"ArchiveDescription": text} for text in said]})
    for size in (1, 7, 1000):
        raw = document.encode()
        chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert [item["ArchiveDescription"] for item in vault_inventory._items(chunks)] == said
    endless = itertools.chain([document.encode()[:-2]], itertools.repeat(b', {"ArchiveDescription": "more"}'))
    assert len(list(itertools.islice(vault_inventory._items(endless), 10_000))) == 10_000
    with pytest.raises(Unavailable, match="breaks off"):
        list(vault_inventory._items([document.encode()[:-3]]))
    assert [archive.description for archive in services.vault_inventory.archives(listed)] == said[:3]


@WITH_VAULT
def test_an_inventory_that_breaks_off_deletes_nothing(
    services: Services, due_job: Job, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that an incomplete list does not show is not taken for missing; the trouble is told."""
    cold = archived_job(services, due_job)
    stray_copy(services, cold)
    clock.ahead_s += TWO_DAYS_S
    original = vault_inventory._items

    def broken(chunks: Any) -> Any:
        yield from list(original(chunks))[-1:]
        raise Unavailable("the vault's inventory breaks off before its end; try again")

    monkeypatch.setattr(vault_inventory, "_items", broken)
    before = vault_holds(services)
    findings = list(inventory(services, vault_inventory=stock_taken(services)))
    assert findings
    assert all(finding.trouble for finding in findings)
    assert vault_holds(services) == before


# By hand.


def test_operator_is_told_what_would_be_deleted(
    services: Services, due_job: Job, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``gas inventory`` takes the inventory that the vault completed last, and says so where there is none."""
    cold = archived_job(services, due_job)
    stray_copy(services, cold)
    before = lying(services, aws)
    credentials = aws.session.get_credentials()
    environment = {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "GAS_ARCHIVE": services.settings.archive,
    }
    monkeypatch.setattr(taking_stock, "YOUNG_S", -3600)

    def gas(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(build_app(), arguments, env=environment)
        return done.exit_code, done.stdout, done.stderr

    in_vault = services.settings.archive is ArchiveBackend.VAULT
    code, told, said = gas("inventory", "--dry-run")
    assert code == 0
    assert "No completed inventory of vault gas-results" in said
    assert told.endswith(": delete\n") is not in_vault
    stock_taken(services)
    code, told, said = gas("inventory", "--dry-run")
    assert (code, said == "") == (0, in_vault)
    assert told == f"job {cold.job_id}: {told.partition(': ')[2]}"
    assert told.endswith(": delete\n")
    assert lying(services, aws) == before
    assert gas("inventory")[:2] == (0, told)
    assert lying(services, aws) != before
