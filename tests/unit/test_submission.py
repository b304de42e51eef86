"""How a job comes to be, with everything behind it faked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gas.errors import Conflict, InputError, ReferenceProblem, UploadTooLarge
from gas.job import JOB_ID, Job, JobStatus, new_job_id
from gas.profiles_table import Profile
from gas.submission import NotStarted, begin_upload, clean_file_name, submit, upload_limit_bytes
from tests.fakes import ALICE, BOB, PREMIUM_ALICE, Fakes

LIMIT = 1000


@pytest.fixture
def fakes() -> Fakes:
    """Services whose free plan takes 1,000 bytes."""
    return Fakes()


def submitted(fakes: Fakes, *, profile: Profile = ALICE, job_id: str, reference: str = "sars-cov-2") -> Job:
    return submit(
        fakes.services,
        profile=profile,
        job_id=job_id,
        file_name="cohort.vcf",
        reference=reference,
        now=lambda: 1_700_000_000.5,
    )


def test_upload_form_is_bound_to_the_plan(fakes: Fakes) -> None:
    """An upload gets a fresh job id and the limit of the person's plan, and records nothing yet."""
    upload = begin_upload(fakes.services, profile=ALICE, file_name="a.vcf", size_bytes=LIMIT, reference="sars-cov-2")
    assert JOB_ID.fullmatch(upload.job_id)
    assert upload.max_bytes == LIMIT
    assert upload.expires_in_s == fakes.settings.upload_link_s
    assert fakes.jobs.records == {}


@pytest.mark.parametrize(
    ("size_bytes", "reference", "refusal"),
    [
        (LIMIT + 1, "sars-cov-2", UploadTooLarge),
        (0, "sars-cov-2", InputError),
        (10, "klingon", ReferenceProblem),
    ],
)
def test_what_would_be_refused_later_is_refused_early(
    fakes: Fakes, size_bytes: int, reference: str, refusal: type[Exception]
) -> None:
    """No link is given for a file that is too large, empty, or for a reference that is not installed."""
    with pytest.raises(refusal):
        begin_upload(fakes.services, profile=ALICE, file_name="a.vcf", size_bytes=size_bytes, reference=reference)


def test_submission_records_then_starts_one_run(fakes: Fakes) -> None:
    """A submitted job is PENDING in the record, and its DAG run has the job's id."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=LIMIT)
    job = submitted(fakes, job_id=job_id)
    assert job.job_status is JobStatus.PENDING
    assert job.submit_time == 1_700_000_000
    assert job.input.size_bytes == LIMIT
    assert fakes.airflow.runs == {job_id: ("annotate", {"job_id": job_id, "user_id": ALICE.user_id})}


def test_submitting_twice_changes_nothing(fakes: Fakes) -> None:
    """The second submission returns the first record and starts no second run."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=LIMIT)
    first = submitted(fakes, job_id=job_id)
    assert submitted(fakes, job_id=job_id) == first
    assert len(fakes.airflow.runs) == 1


def test_nothing_uploaded_is_no_job(fakes: Fakes) -> None:
    """A submission without an upload is refused and recorded nowhere."""
    with pytest.raises(InputError, match="not arrived"):
        submitted(fakes, job_id=new_job_id())
    assert fakes.jobs.records == {}


def test_stored_size_counts_not_the_announced_one(fakes: Fakes) -> None:
    """An object over the plan's limit is deleted and refused, with the limit and the upgrade in the sentence."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=LIMIT + 1)
    with pytest.raises(UploadTooLarge, match=r"1001 bytes .* at most 1000 bytes; upgrade to premium"):
        submitted(fakes, job_id=job_id)
    assert [stored.version_id for stored in fakes.objects.deleted] == ["v1"]
    assert fakes.jobs.records == {}
    assert fakes.airflow.runs == {}


def test_premium_plan_takes_more(fakes: Fakes) -> None:
    """The same object is fine on the premium plan."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=LIMIT + 1)
    assert submitted(fakes, profile=PREMIUM_ALICE, job_id=job_id).job_status is JobStatus.PENDING
    assert upload_limit_bytes(fakes.settings, PREMIUM_ALICE) > upload_limit_bytes(fakes.settings, ALICE)


def test_airflow_down_keeps_the_job(fakes: Fakes) -> None:
    """Where Airflow does not answer the job waits as PENDING, and submitting again starts it."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=10)
    fakes.airflow.down = True
    with pytest.raises(NotStarted, match="recorded") as caught:
        submitted(fakes, job_id=job_id)
    assert caught.value.job == fakes.jobs.records[job_id]
    fakes.airflow.down = False
    assert submitted(fakes, job_id=job_id).job_status is JobStatus.PENDING
    assert list(fakes.airflow.runs) == [job_id]


def test_running_job_is_not_started_again(fakes: Fakes) -> None:
    """Submitting a job that runs already asks Airflow for nothing."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=10)
    job = submitted(fakes, job_id=job_id)
    fakes.jobs.records[job_id] = replace(job, job_status=JobStatus.RUNNING)
    fakes.airflow.runs.clear()
    assert submitted(fakes, job_id=job_id).job_status is JobStatus.RUNNING
    assert fakes.airflow.runs == {}


def test_downgrade_does_not_take_a_recorded_jobs_input(fakes: Fakes) -> None:
    """Submitting again after a downgrade returns the job and deletes nothing, though the plan is smaller now."""
    job_id = new_job_id()
    fakes.objects.arrive(user_id=ALICE.user_id, job_id=job_id, size_bytes=LIMIT + 1)
    job = submitted(fakes, profile=PREMIUM_ALICE, job_id=job_id)
    assert submitted(fakes, profile=ALICE, job_id=job_id) == job
    assert fakes.objects.deleted == []


def test_another_persons_job_id_is_refused(fakes: Fakes) -> None:
    """Bob cannot take a job id of Alice's, whatever he uploaded."""
    job_id = new_job_id()
    for person in (ALICE, BOB):
        fakes.objects.arrive(user_id=person.user_id, job_id=job_id, size_bytes=10)
    submitted(fakes, job_id=job_id)
    with pytest.raises(Conflict):
        submitted(fakes, profile=BOB, job_id=job_id)


@pytest.mark.parametrize("job_id", ["", "../../etc/passwd", "A" * 36, "00000000-0000-4000-8000-000000000000\n"])
def test_job_id_must_be_one_of_ours(fakes: Fakes, job_id: str) -> None:
    """Anything that is not a job id is refused before AWS or Airflow hears of it."""
    with pytest.raises(InputError):
        submitted(fakes, job_id=job_id)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("cohort.vcf", "cohort.vcf"),
        ("C:\\fakepath\\cohort.vcf", "cohort.vcf"),
        ("../../x.vcf", "x.vcf"),
        (" Ärzte 1.vcf.gz ", "Ärzte 1.vcf.gz"),
    ],
)
def test_file_name_is_its_last_part(given: str, shown: str) -> None:
    """Folders that a browser sends along are dropped; letters of any script stay."""
    assert clean_file_name(given) == shown


@pytest.mark.parametrize("given", ["", "  ", "folder/", "a\nb.vcf", "a\x00.vcf", "x\u202egpj.vcf", "n" * 201])
def test_file_name_that_cannot_be_shown_is_refused(given: str) -> None:
    """Blank, overlong and control characters (also those that turn text around) are refused."""
    with pytest.raises(InputError):
        clean_file_name(given)
