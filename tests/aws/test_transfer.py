"""Results go to the archive and come back, on both back ends."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from gas.archive import ArchiveGone, Outcome, RetrievalStatus, RetrievalTier, SourceGone, rebuild, storage_class, vault
from gas.archive.transfer import (
    archive_all,
    archive_one,
    ask,
    begin_restore,
    begin_restore_job,
    due,
    empty_trash,
    fan_out,
    retrievals_ready,
    thaw,
    unarchive,
)
from gas.job import ArchiveBackend, Job, Output, StorageState
from gas.profiles_table import Tier
from gas.services import Services, build
from gas.storage_table import new_token
from tests.fakes import ALICE, BOB
from tests.faults.harness import Crash, Faults, crash, refusal
from tests.storage import BODIES, DELAY_S, Clock, completed_job, thawed, versions


@pytest.fixture
def services(storage_services: Services) -> Services:
    """GAS with each back end."""
    return storage_services


@pytest.fixture
def job(due_job: Job) -> Job:
    """Alice's COMPLETED job, whose delay is over."""
    return due_job


@pytest.fixture
def messages(services: Services, aws: Any) -> Callable[[str], list[Any]]:
    """Takes what the queue of a topic holds."""

    def take(topic: str) -> list[Any]:
        sqs = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
        url = sqs.get_queue_url(QueueName=topic)["QueueUrl"]
        taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in taken]

    return take


def link(services: Services, job: Job, output: Output = Output.VCF) -> httpx.Response:
    """What a person gets who downloads this output."""
    return httpx.get(services.objects.presigned_download(job.outputs[output], file_name="x"))


def upgrade(services: Services) -> list[list[str]]:
    """Alice becomes premium, and her restore begins."""
    profile = services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM)
    return begin_restore(services, user_id=ALICE.user_id, tier_version=profile.tier_version)


def assert_only(services: Services, job: Job) -> None:
    """The bucket holds what the record names, and nothing else."""
    assert versions(services) == {(stored.key, stored.version_id) for stored in job.outputs.values()}


def test_there_and_back(services: Services, job: Job) -> None:
    """A due result is archived, its hot versions go, and after an upgrade the same bytes are back and the rest gone."""
    body = link(services, job).content
    assert archive_one(services, job.job_id) is Outcome.ARCHIVED
    cold = services.jobs.get(job.job_id)
    assert (cold.storage_state, cold.s3_deleted, cold.is_open) == (StorageState.ARCHIVED, True, False)
    assert [output for output in Output if cold.readable(output)] == [Output.LOG, Output.SUMMARY, Output.DIGEST]
    assert link(services, cold).is_client_error
    assert link(services, cold, Output.LOG).text == "log"
    assert upgrade(services) == [[job.job_id]]
    assert not services.profiles.get(ALICE.user_id).restore_pending
    assert thawed(services, job.job_id) is Outcome.THAWED
    back = services.jobs.get(job.job_id)
    assert (back.storage_state, back.trash, back.is_open, back.archive_id) == (StorageState.HOT, None, False, None)
    assert link(services, back).content == body
    assert back.outputs[Output.VCF].sha256 == hashlib.sha256(body).hexdigest()
    assert back.due_since == pytest.approx(services.storage.now(), abs=5)
    assert_only(services, back)


def test_round_and_round(services: Services, job: Job, clock: Clock) -> None:
    """After a downgrade and another full delay the result goes again, and comes back again."""
    archive_one(services, job.job_id)
    upgrade(services)
    thawed(services, job.job_id)
    assert archive_one(services, job.job_id) is Outcome.DROPPED
    assert services.jobs.get(job.job_id).due_since is None
    services.profiles.set_tier(ALICE.user_id, Tier.FREE)
    assert fan_out(services) == 1
    assert not services.profiles.get(ALICE.user_id).fanout_pending
    assert archive_one(services, job.job_id) is Outcome.NOTHING
    clock.ahead_s += DELAY_S + 1
    assert archive_one(services, job.job_id) is Outcome.ARCHIVED
    upgrade(services)
    assert thawed(services, job.job_id) is Outcome.THAWED
    assert_only(services, services.jobs.get(job.job_id))


def test_nothing_is_archived_before_its_time(services: Services, clock: Clock) -> None:
    """A result stays hot until its delay is over."""
    job = completed_job(services)
    clock.ahead_s += DELAY_S - 5
    assert archive_one(services, job.job_id) is Outcome.NOTHING
    assert services.jobs.get(job.job_id) == job


def test_due_results_come_person_by_person(services: Services, clock: Clock) -> None:
    """What is due is enumerated in chunks, each person's side by side; a backfill keeps to its own interval."""
    jobs = [completed_job(services, owner=owner) for owner in (ALICE, BOB, ALICE, BOB)]
    now = services.storage.now() + 1
    chunks = list(due(services, before=now, chunk=3))
    assert sorted(map(len, chunks)) == [1, 3]
    owner = {job.job_id: job.user_id for job in jobs}
    order = [owner[job_id] for chunk in chunks for job_id in chunk]
    assert order in ([ALICE.user_id] * 2 + [BOB.user_id] * 2, [BOB.user_id] * 2 + [ALICE.user_id] * 2)
    assert list(due(services, before=now, after=now)) == []
    clock.ahead_s += DELAY_S + 1
    services.profiles.set_tier(BOB.user_id, Tier.PREMIUM)
    outcomes = archive_all(services, [job_id for chunk in chunks for job_id in chunk])
    assert outcomes == {Outcome.ARCHIVED: 2, Outcome.DROPPED: 2}
    assert list(due(services, before=now)) == []


def test_chunk_is_claimed_and_cleared_together(
    services: Services, clock: Clock, faulty: Callable[[Faults], Services]
) -> None:
    """A chunk costs a claim for each person, a commit for each result, one deletion and one mark for all."""
    jobs = [completed_job(services, owner=owner) for owner in (ALICE, ALICE, ALICE, BOB, BOB)]
    clock.ahead_s += DELAY_S + 1
    counted = Faults()
    assert archive_all(faulty(counted), [job.job_id for job in jobs]) == {Outcome.ARCHIVED: 5}
    assert counted.calls["TransactWriteItems"] == 2 + 5 + 1
    assert counted.calls["DeleteObjects"] == 1
    assert counted.calls["UpdateItem"] == 0
    assert all(services.jobs.get(job.job_id).s3_deleted for job in jobs)


def test_one_result_that_may_not_be_claimed_holds_up_no_other(
    services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one of a person's results moves on before they are claimed together, the others are claimed alone."""
    jobs = [completed_job(services) for _ in range(3)]
    clock.ahead_s += DELAY_S + 1
    claim = services.storage.claim

    def claim_late(asked: list[Job], **more: Any) -> list[Job] | None:
        if len(asked) > 1:
            assert services.storage.mark_deleting(asked[0])
        return claim(asked, **more)

    monkeypatch.setattr(services.storage, "claim", claim_late)
    assert archive_all(services, [job.job_id for job in jobs]) == {Outcome.NOTHING: 1, Outcome.ARCHIVED: 2}
    states = sorted(services.jobs.get(job.job_id).storage_state for job in jobs)
    assert states == [StorageState.ARCHIVED, StorageState.ARCHIVED, StorageState.DELETING]


def test_one_failure_stops_no_other(services: Services, clock: Clock) -> None:
    """A result whose file is missing is reported in its record and raised, after the others have been archived."""
    jobs = [completed_job(services) for _ in range(3)]
    clock.ahead_s += DELAY_S + 1
    services.objects.delete_version(jobs[0].outputs[Output.VCF])
    with pytest.raises(SourceGone):
        archive_all(services, [job.job_id for job in jobs])
    broken, *good = (services.jobs.get(job.job_id) for job in jobs)
    assert broken.storage_error is not None
    assert "does not exist" in broken.storage_error
    assert [job.storage_state for job in good] == [StorageState.ARCHIVED] * 2


def test_upgrade_in_time_keeps_the_result(services: Services, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who upgrades while the copy is made keeps the result hot; the commit is refused and the copy deleted."""
    archive = services.archives[services.settings.archive]
    store = archive.store

    def upgrading(*args: Any, **more: Any) -> Any:
        services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM)
        return store(*args, **more)

    monkeypatch.setattr(archive, "store", upgrading)
    assert archive_one(services, job.job_id) is Outcome.RETURNED
    hot = services.jobs.get(job.job_id)
    assert (hot.storage_state, hot.trash, hot.archive_token) == (StorageState.HOT, None, None)
    assert hot.outputs == job.outputs
    assert_only(services, hot)


def test_damaged_source_is_not_archived(services: Services, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that differ from the SHA-256 of the record are not archived; the record says so and is not due again."""
    archive = services.archives[services.settings.archive]
    store = archive.store
    monkeypatch.setattr(archive, "store", lambda *args, **more: replace(store(*args, **more), sha256="0" * 64))
    assert archive_one(services, job.job_id) is Outcome.DAMAGED
    hot = services.jobs.get(job.job_id)
    assert (hot.storage_state, hot.due_since, hot.trash) == (StorageState.HOT, None, None)
    assert "SHA-256" in (hot.storage_error or "")
    assert_only(services, hot)


def test_damaged_copy_is_kept_and_reported(services: Services, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that comes back wrong, twice, is neither published nor deleted."""
    archive_one(services, job.job_id)
    begin_restore_job(services, job.job_id)
    archive = services.archives[services.settings.archive]
    fetch = archive.fetch

    def damaging(retrieval: Any, path: Path) -> str:
        fetch(retrieval, path)
        return "0" * 64

    monkeypatch.setattr(archive, "fetch", damaging)
    assert thawed(services, job.job_id) is Outcome.DAMAGED
    damaged = services.jobs.get(job.job_id)
    assert damaged.storage_state is StorageState.THAWING
    assert "SHA-256" in (damaged.storage_error or "")
    monkeypatch.setattr(archive, "fetch", fetch)
    assert thawed(services, job.job_id) is Outcome.THAWED
    assert services.jobs.get(job.job_id).storage_error is None


def test_failed_rebuild_does_not_hold_up_the_result(
    services: Services, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the table cannot be made again, VCF and index come back, and the record says what is missing."""

    def failing(*_: Any) -> None:
        raise ValueError("no such column")

    archive_one(services, job.job_id)
    monkeypatch.setattr(rebuild, "make_table", failing)
    upgrade(services)
    assert thawed(services, job.job_id) is Outcome.THAWED
    back = services.jobs.get(job.job_id)
    assert set(back.outputs) == set(Output) - {Output.TABLE}
    assert "no such column" in (back.storage_error or "")
    assert_only(services, back)


def test_a_restore_says_so_once(services: Services, job: Job, messages: Callable[[str], list[Any]]) -> None:
    """The topic of restores is told of each result once, however often the restore is begun, asked for or not."""
    archive_one(services, job.job_id)
    upgrade(services)
    assert begin_restore(services, user_id=ALICE.user_id, tier_version=1) == [[job.job_id]]
    assert ask(services, job.job_id) == ask(services, job.job_id)
    assert begin_restore(services, user_id=ALICE.user_id, tier_version=1) == [[job.job_id]]
    (told,) = messages(services.settings.restore_topic)
    assert (told["job_id"], told["s3_key_result_file"]) == (job.job_id, job.outputs[Output.VCF].key)


def test_old_restore_does_nothing(services: Services, job: Job) -> None:
    """A restore of an upgrade that was taken back leaves everything where it is."""
    archive_one(services, job.job_id)
    services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM)
    services.profiles.set_tier(ALICE.user_id, Tier.FREE)
    assert begin_restore(services, user_id=ALICE.user_id, tier_version=1) == []
    assert services.jobs.get(job.job_id).storage_state is StorageState.ARCHIVED
    assert services.profiles.get(ALICE.user_id).fanout_pending


def test_status_of_many_retrievals(services: Services, clock: Clock) -> None:
    """Retrievals are looked at together; in rotation, where each takes a call of its own."""
    jobs = [completed_job(services) for _ in range(7)]
    clock.ahead_s += DELAY_S + 1
    for job in jobs:
        archive_one(services, job.job_id)
    (*sets,) = upgrade(services)
    waiting = [retrieval for ids in sets for job_id in ids if (retrieval := ask(services, job_id))]
    assert len(waiting) == len(jobs)
    seen: dict[str, RetrievalStatus] = {}
    deadline = time.monotonic() + 20
    turn = 0
    while set(seen.values()) != {RetrievalStatus.READY} or len(seen) < len(jobs):
        assert time.monotonic() < deadline
        seen |= retrievals_ready(services, waiting, turn=turn)
        turn += 1
    gone = [replace(waiting[0], archive_id="0" * 32, retrieval_job_id=new_token())]
    assert retrievals_ready(services, gone) == {waiting[0].job_id: RetrievalStatus.GONE}


def test_lost_retrieval_is_asked_for_again(services: Services, job: Job) -> None:
    """A retrieval that nobody knows any more is asked for again, and the result comes back."""
    archive_one(services, job.job_id)
    upgrade(services)
    cold = services.jobs.get(job.job_id)
    services.storage.retrieval(cold, retrieval_job_id="lost", tier="Expedited")
    assert thawed(services, job.job_id) is Outcome.THAWED


def test_kept_for_a_while(services: Services, job: Job) -> None:
    """A result that an operator brings back for a free user is kept for as long as he said before its delay begins."""
    archive_one(services, job.job_id)
    assert begin_restore_job(services, job.job_id, keep_s=3600)
    thawed(services, job.job_id)
    kept = services.jobs.get(job.job_id)
    assert kept.due_since == pytest.approx(services.storage.now() + 3600, abs=5)
    assert kept.keep_s is None
    assert not begin_restore_job(services, job.job_id, keep_s=7200)
    assert services.jobs.get(job.job_id).due_since == pytest.approx(services.storage.now() + 7200, abs=5)


def test_setting_changes_between(services: Services, job: Job, aws: Any, clock: Clock) -> None:
    """A result comes back from the back end that it went to, whatever the setting is by then."""
    archive_one(services, job.job_id)
    (other,) = set(ArchiveBackend) - {services.settings.archive}
    changed = build(
        services.settings.model_copy(update={"archive": other}),
        session=aws.session,
        endpoint_url=aws.endpoint_url,
        now=clock,
    )
    upgrade(changed)
    assert thawed(changed, job.job_id) is Outcome.THAWED
    assert_only(changed, changed.jobs.get(job.job_id))


def test_half_done_archive_is_given_up(services: Services, job: Job) -> None:
    """An ARCHIVING result whose owner upgraded is taken back by the restore, and its copy is deleted."""
    claimed = services.storage.claim([job], token=new_token(), backend=services.settings.archive, delay_s=DELAY_S)
    assert claimed is not None
    assert unarchive(services, job.job_id) is Outcome.RETURNED
    hot = services.jobs.get(job.job_id)
    assert (hot.storage_state, hot.trash, hot.is_open) == (StorageState.HOT, None, False)
    assert unarchive(services, job.job_id) is Outcome.NOTHING


def test_last_copy_in_the_trash_is_kept(services: Services, job: Job) -> None:
    """Where the file that the record names is missing, nothing of the trash is deleted, and the record says so."""
    archive_one(services, job.job_id)
    services.storage.thaw_start(job.job_id)
    thawing = services.jobs.get(job.job_id)
    missing = replace(thawing.outputs[Output.VCF], version_id="00000000-0000-0000-0000-000000000000")
    services.storage.thaw_commit(thawing, {Output.VCF: missing}, trouble=None)
    before = versions(services)
    assert not empty_trash(services, job.job_id)
    there = services.jobs.get(job.job_id)
    assert there.trash is not None
    assert "missing" in (there.storage_error or "")
    assert versions(services) == before


@pytest.fixture
def faulty(services: Services, aws: Any, clock: Clock) -> Callable[[Faults], Services]:
    """The same GAS in another process, with faults in its calls."""

    def make(faults: Faults) -> Services:
        credentials = aws.session.get_credentials()
        session = boto3.Session(
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            region_name="us-east-1",
        )
        faults.watch(session)
        return build(services.settings, session=session, endpoint_url=aws.endpoint_url, now=clock)

    return make


def test_no_expedited_retrieval_to_be_had(services: Services, job: Job, faulty: Callable[[Faults], Services]) -> None:
    """Where AWS has no capacity for an Expedited retrieval, a Standard one is asked for and recorded."""
    archive_one(services, job.job_id)
    begin_restore_job(services, job.job_id)
    said = {
        ArchiveBackend.VAULT: ("InitiateJob", "InsufficientCapacityException"),
        ArchiveBackend.STORAGE_CLASS: ("RestoreObject", "GlacierExpeditedRetrievalNotAvailable"),
    }
    operation, word = said[services.settings.archive]
    faults = Faults(operation, 1, refusal(word))
    retrieval = ask(faulty(faults), job.job_id)
    assert retrieval is not None
    assert retrieval.tier is RetrievalTier.STANDARD
    assert services.jobs.get(job.job_id).retrieval_tier == "Standard"


def test_retrieval_that_was_asked_for_is_taken_up(
    services: Services, job: Job, faulty: Callable[[Faults], Services]
) -> None:
    """A process that dies between asking and recording leaves a retrieval that the next one does not pay for again."""
    archive_one(services, job.job_id)
    begin_restore_job(services, job.job_id)
    with pytest.raises(Crash):
        ask(faulty(Faults("UpdateItem", 1, crash)), job.job_id)
    counted = Faults()
    assert ask(faulty(counted), job.job_id) is not None
    assert counted.calls["InitiateJob"] == 0
    assert thawed(services, job.job_id) is Outcome.THAWED


def test_missing_copy_is_reported(services: Services, job: Job) -> None:
    """Where the cold copy does not exist, the record says so, and whoever asked fails."""
    archive_one(services, job.job_id)
    cold = services.jobs.get(job.job_id)
    assert cold.archive_token is not None
    assert cold.archive_id is not None
    services.archives[services.settings.archive].delete_copy(
        job_id=job.job_id, token=cold.archive_token, archive_id=cold.archive_id
    )
    begin_restore_job(services, job.job_id)
    with pytest.raises(ArchiveGone):
        thaw(services, job.job_id)
    assert "does not exist" in (services.jobs.get(job.job_id).storage_error or "")


def test_large_result_goes_in_parts(services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result too large for one request is copied in parts, verified, and comes back the same."""
    monkeypatch.setattr(vault, "PART_BYTES", 1 << 20)
    monkeypatch.setattr(storage_class, "COPY_BYTES", 1 << 20)
    monkeypatch.setattr(storage_class, "PART_BYTES", 5 << 20)
    body = random.Random(3).randbytes((11 << 20) + 7)
    job = completed_job(services, bodies={**BODIES, Output.VCF: body})
    clock.ahead_s += DELAY_S + 1
    assert archive_one(services, job.job_id) is Outcome.ARCHIVED
    begin_restore_job(services, job.job_id)
    assert thawed(services, job.job_id) is Outcome.THAWED
    back = services.jobs.get(job.job_id)
    assert link(services, back).content == body
    assert_only(services, back)
