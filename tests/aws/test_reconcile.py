"""Open records against reality: each kind is found, told of, and repaired; what is in order is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gas import reconcile as reconciling
from gas.airflow_api import AT_WORK
from gas.archive import transfer
from gas.cancellation import cancel
from gas.errors import Unavailable
from gas.job import ArchiveBackend, Job, JobStatus, Output, StorageState, new_job_id
from gas.profiles_table import Tier
from gas.reconcile import check, reconcile
from gas.services import Services
from gas.storage_table import new_token
from gas.subscription import begin, restore_job, subscribe, unsubscribe
from tests.fakes import ALICE, pending_job
from tests.storage import DELAY_S, Clock, completed_job, thawed


@dataclass
class Airflow:
    """DAG runs and how they stand; ``down`` makes it unreachable."""

    runs: dict[str, str] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    down: bool = False

    def submit(self, dag_id: str, *, run_id: str, conf: dict[str, object]) -> bool:
        self._answer()
        new = run_id not in self.runs
        self.runs.setdefault(run_id, "queued")
        return new

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        self._answer()
        return self.runs.get(run_id)

    def stop(self, dag_id: str, run_id: str) -> None:
        self._answer()
        if self.runs.get(run_id) in AT_WORK:
            self.runs[run_id] = "failed"

    def run_again(self, dag_id: str, run_id: str) -> None:
        self.again.append(run_id)
        self.runs[run_id] = "queued"

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the workflow engine does not answer; try again in a minute")


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def services(storage_services: Services, airflow: Airflow, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Services:
    """GAS with each back end; reconcile's clock is that of the records."""
    monkeypatch.setattr(reconciling, "time", ClockModule(clock))
    return replace(storage_services, airflow=airflow)  # type: ignore[arg-type]  # what reconcile uses of it


@dataclass
class ClockModule:
    """In the place of the module ``time``."""

    time: Callable[[], float]


def told(services: Services, *, dry_run: bool = False) -> list[str]:
    """What reconcile says, without the ids."""
    return [str(finding).partition(": ")[2] for finding in reconcile(services, dry_run=dry_run)]


def job(services: Services, **others: object) -> Job:
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
    made = replace(pending_job(job_id=new_job_id()), submit_time=services.storage.now(), **others)
    return services.jobs.create(made)


def archiving(services: Services, clock: Clock) -> Job:
    there = completed_job(services)
    clock.ahead_s += DELAY_S + 1
    claimed = services.storage.claim(
        [there], token=new_token(), backend=ArchiveBackend(services.settings.archive), delay_s=DELAY_S
    )
    assert claimed
    return claimed[0]


# Plans.


def test_upgrade_submits_one_restore(services: Services, airflow: Airflow) -> None:
    """However often it is asked for, one run is made; one that failed is run again, one at work is left alone."""
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
    run_id = f"restore-{ALICE.user_id}-1"
    for _ in range(3):
        subscribe(services, ALICE.user_id)
    assert (list(airflow.runs), airflow.again) == ([run_id], [])
    airflow.runs[run_id] = "failed"
    subscribe(services, ALICE.user_id)
    assert (list(airflow.runs), airflow.again) == ([run_id], [run_id])


def test_upgrade_without_airflow_is_made_up_for(services: Services, airflow: Airflow) -> None:
    """An Airflow that is down costs the person nothing: reconcile submits the restore when it is back."""
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
    airflow.down = True
    assert subscribe(services, ALICE.user_id).tier is Tier.PREMIUM
    assert "not done, Unavailable" in told(services)[0]
    airflow.down = False
    assert told(services) == ["upgraded, and not everything is on its way back: submit its restore, unless that runs"]
    assert list(airflow.runs) == [f"restore-{ALICE.user_id}-1"]
    assert begin(services, job_id=None, keep_s=None, user_id=ALICE.user_id, tier_version=1) == []
    assert told(services) == []


def test_downgrade_is_worked_off_where_archive_does_not_run(services: Services, clock: Clock) -> None:
    """Results that no archive run has dated are dated after a while."""
    there = completed_job(services)
    services.storage.drop_due(there, services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM))
    services.profiles.worked_off(services.profiles.get(ALICE.user_id))
    profile = unsubscribe(services, ALICE.user_id)
    assert told(services) == []
    clock.ahead_s += 2 * services.settings.archive_interval.total_seconds() + 61
    assert told(services)[0].endswith("date them")
    assert services.jobs.get(there.job_id).due_since == profile.free_since


def test_job_is_restored_by_one_run_at_a_time(services: Services, airflow: Airflow) -> None:
    """Asked for twice, one run brings the job back; after it has ended another may be made."""
    there = completed_job(services)
    first = restore_job(services, there)
    assert restore_job(services, there) == first == f"restore-job-{there.job_id}-1"
    airflow.runs[first] = "success"
    assert restore_job(services, there, keep_s=60) == f"restore-job-{there.job_id}-2"


# Jobs that have not ended.


def test_job_that_was_never_started_is_submitted(services: Services, airflow: Airflow, clock: Clock) -> None:
    """After a minute without a run it gets one; before, whoever records it is still at it."""
    waits = job(services)
    assert told(services) == []
    clock.ahead_s += 61
    assert told(services, dry_run=True) == ["is PENDING without a run: submit"]
    assert airflow.runs == {}
    assert told(services) == ["is PENDING without a run: submit"]
    assert list(airflow.runs) == [waits.job_id]
    assert told(services) == []


def test_cancelled_job_is_stopped_and_swept(services: Services, airflow: Airflow, clock: Clock, tmp_path: Path) -> None:
    """What an attempt left that was killed in its upload goes once its run has ended; the person's upload stays."""
    left = job(services)
    services.airflow.submit("annotate", run_id=left.job_id, conf={})
    services.jobs.start(left.job_id, "0001-a")
    objects, where = services.objects, {"user_id": left.user_id, "job_id": left.job_id}
    (tmp_path / "part").write_bytes(b"half of a result")
    objects.upload(tmp_path / "part", objects.output_key(Output.VCF, attempt="0001-a", **where))
    s3 = objects._aws.s3
    s3.create_multipart_upload(
        Bucket=services.settings.results_bucket, Key=objects.output_key(Output.TABLE, attempt="0001-a", **where)
    )
    uploaded = s3.put_object(Bucket=services.settings.inputs_bucket, Key=objects.input_key(**where), Body=b"input")
    airflow.down = True
    cancel(services, **where)
    airflow.down = False
    assert told(services) == []  # whoever is at it is left alone for a while
    clock.ahead_s += 61
    assert told(services) == ["is CANCELLED, and its run goes on: stop it"]
    assert airflow.runs == {left.job_id: "failed"}
    assert told(services) == ["is CANCELLED, and its attempts may have left something: sweep"]
    assert objects.result_versions(**where) == []
    assert list(objects.unfinished_uploads(services.settings.results_bucket)) == []
    there = objects.head_input(**where)
    assert there is not None
    assert there.version_id == uploaded["VersionId"]
    assert told(services) == []
    assert not services.jobs.get(left.job_id).is_open


@pytest.mark.parametrize("state", ["failed", "success"])
def test_job_whose_run_has_ended_is_failed(services: Services, airflow: Airflow, clock: Clock, state: str) -> None:
    """A job that its run left behind does not stay RUNNING for ever."""
    left = job(services)
    services.jobs.start(left.job_id, "0001-a")
    airflow.runs[left.job_id] = state
    clock.ahead_s += 61
    assert told(services) == [f"is RUNNING, and its run has ended ({state}): fail it"]
    failed = services.jobs.get(left.job_id)
    assert (failed.job_status, failed.is_open) == (JobStatus.FAILED, False)
    assert failed.error


# Results.


def test_half_done_archive_goes_on_after_an_hour(services: Services, clock: Clock) -> None:
    """An archiver that died is left an hour, then another process ends its work."""
    left = archiving(services, clock)
    assert told(services) == []
    clock.ahead_s += 3601
    assert told(services)[0].startswith("has been ARCHIVING for more than an hour: go on with it")
    assert services.jobs.get(left.job_id).storage_state is StorageState.ARCHIVED
    assert told(services) == []


def test_half_done_archive_of_a_premium_owner_is_given_up(services: Services, clock: Clock) -> None:
    """The result is HOT again at once, with nothing left over."""
    left = archiving(services, clock)
    services.profiles.worked_off(services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM))
    assert told(services) == ["is half archived, and its owner is premium: give the archive up"]
    assert [line for line in told(services) if "trash" not in line] == []
    back = services.jobs.get(left.job_id)
    assert (back.storage_state, back.trash, back.is_open) == (StorageState.HOT, None, False)


def test_restore_that_nobody_waits_for_gets_a_run(services: Services, airflow: Airflow, clock: Clock) -> None:
    """A THAWING result is left to the run that waits for it; without one a run is made, and only one."""
    cold = archiving(services, clock)
    transfer.archive_one(services, cold.job_id)
    profile = services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM)
    run_id = f"restore-{ALICE.user_id}-{profile.tier_version}"
    begin(services, job_id=None, keep_s=None, user_id=ALICE.user_id, tier_version=profile.tier_version)
    clock.ahead_s += 61
    airflow.runs[run_id] = "running"
    assert told(services) == []
    airflow.runs[run_id] = "failed"
    assert told(services) == ["is THAWING and was not asked for: ask, and submit its restore"]
    assert list(airflow.runs) == [run_id, f"restore-job-{cold.job_id}-1"]
    assert thawed(services, cold.job_id)
    assert told(services) == []


def test_completed_job_is_told_of(services: Services, clock: Clock) -> None:
    """A completion that nobody was told of is told, once the job's own task has had its time."""
    there = job(services)
    services.jobs.start(there.job_id, "0001-a")
    outputs = completed_job(services).outputs
    services.jobs.complete(there.job_id, "0001-a", outputs, {}, [])
    assert told(services) == []
    clock.ahead_s += 61
    assert "is COMPLETED and nobody was told: tell" in told(services)
    assert services.jobs.get(there.job_id).notified


def test_overdue_result_is_told_of_and_left_alone(services: Services, clock: Clock) -> None:
    """When no archive run takes what is due, the log says so."""
    there = completed_job(services)
    clock.ahead_s += DELAY_S + 2 * services.settings.archive_interval.total_seconds() + 62
    assert told(services) == ["is overdue for the archive; the next run of archive takes it"]
    assert services.jobs.get(there.job_id) == there


def test_trouble_with_one_record_stops_no_other(services: Services, airflow: Airflow, clock: Clock) -> None:
    """While Airflow is down, what does not need it is repaired all the same."""
    job(services)
    left = archiving(services, clock)
    airflow.down = True
    clock.ahead_s += 3601
    lines = told(services)
    assert any("not done, Unavailable" in line or "cannot be looked at" in line for line in lines)
    assert services.jobs.get(left.job_id).storage_state is StorageState.ARCHIVED


# Backfills.


def test_backfill_looks_at_every_job_of_its_interval(services: Services) -> None:
    """Only jobs submitted in the interval are looked at, its end excluded."""
    now = int(time.time())
    jobs = [completed_job(services) for _ in range(2)]
    submitted = {services.jobs.get(there.job_id).submit_time for there in jobs}
    assert set(services.jobs.submitted_between(min(submitted), max(submitted) + 1)) == {j.job_id for j in jobs}
    assert set(services.jobs.submitted_between(0, min(submitted))) == set()
    assert list(check(services, after=now - 3600, before=now + 3600)) == []


def test_jobs_of_an_interval_are_found_over_the_turn_of_months_and_years(services: Services) -> None:
    """From November to January, both ends as asked, oldest first."""
    like = completed_job(services)
    times = [int(datetime(*day, tzinfo=UTC).timestamp()) for day in ((2025, 11, 30), (2025, 12, 31), (2026, 1, 1))]
    jobs = [services.jobs.create(replace(like, job_id=new_job_id(), submit_time=at)) for at in times]
    found = list(services.jobs.submitted_between(times[0], times[2] + 1))
    assert found == [job.job_id for job in jobs]
    assert list(services.jobs.submitted_between(times[0] + 1, times[2])) == [jobs[1].job_id]
    assert list(services.jobs.submitted_between(times[2], times[0])) == []


def test_backfill_dates_what_waits_for_nothing(services: Services) -> None:
    """A free person's result without a date would never be archived: it gets the date of the plan."""
    there = completed_job(services)
    services.storage.drop_due(there, services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM))
    free = services.profiles.set_tier(ALICE.user_id, Tier.FREE)
    services.profiles.worked_off(free)
    (finding,) = check(services, after=0, before=int(time.time()) + 60)
    assert finding.repair == "date it"
    assert services.jobs.get(there.job_id).due_since == free.free_since


def test_backfill_restores_what_an_upgrade_has_missed(services: Services, airflow: Airflow, clock: Clock) -> None:
    """A premium person's result that is still in the archive gets a run of its own."""
    cold = archiving(services, clock)
    transfer.archive_one(services, cold.job_id)
    services.profiles.worked_off(services.profiles.set_tier(ALICE.user_id, Tier.PREMIUM))
    (finding,) = check(services, after=0, before=int(time.time()) + 60)
    assert finding.found == "is archived although its owner is premium"
    assert list(airflow.runs) == [f"restore-job-{cold.job_id}-1"]


def test_backfill_tells_of_a_cold_copy_that_is_gone(services: Services, clock: Clock) -> None:
    """Where copies can be looked at one by one, a missing one is told of, in the record too; nothing is deleted."""
    cold = archiving(services, clock)
    transfer.archive_one(services, cold.job_id)
    cold = services.jobs.get(cold.job_id)
    assert list(check(services, after=0, before=int(time.time()) + 60)) == []
    assert cold.archive_token
    assert cold.archive_id
    services.archives[services.settings.archive].delete_copy(
        job_id=cold.job_id, token=cold.archive_token, archive_id=cold.archive_id
    )
    findings = list(check(services, after=0, before=int(time.time()) + 60))
    if services.settings.archive is ArchiveBackend.VAULT:  # its inventory alone would tell
        assert findings == []
        return
    (finding,) = findings
    assert "cold copy" in finding.found
    assert services.jobs.get(cold.job_id) == replace(cold, storage_error=finding.found)


def test_backfill_tells_of_a_result_that_is_gone(services: Services) -> None:
    """A result that is not where its record says is told of, in the log and on the page, and nothing is deleted."""
    there = completed_job(services)
    services.objects.delete_version(there.outputs[Output.VCF])
    (finding,) = check(services, after=0, before=int(time.time()) + 60)
    assert "not in S3" in finding.found
    left = services.jobs.get(there.job_id)
    assert left.storage_error == finding.found
    assert left.outputs == there.outputs
