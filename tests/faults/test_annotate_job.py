"""What one attempt makes of a job, with a quick engine on the AWS stand-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gas import annotate_job
from gas.annotate_job import give_up, run
from gas.errors import EngineError, Fenced, InputError, NotFound, ReferenceProblem
from gas.job import Job, JobStatus, Output, Progress, new_job_id
from tests.fakes import ALICE, fake_annotate
from tests.faults.harness import BODY, Faults, Installation, refuse

FIRST, SECOND = "0001-a", "0002-b"

Annotate = Callable[..., Any]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, installation: Installation) -> Callable[[Annotate], None]:
    """Puts another function in the engine's place."""
    return lambda function: monkeypatch.setattr(annotate_job.annotation, "annotate", function)


def raising(error: Exception) -> Annotate:
    def annotate(*_: Any, **__: Any) -> Any:
        raise error

    return annotate


def test_result_is_recorded_and_stored(installation: Installation, job: Job) -> None:
    """A job ends COMPLETED with all outputs, the engine's counts and notes, and the input's checksum."""
    outcome = run(installation.worker(), job_id=job.job_id, attempt=FIRST)
    assert outcome == {"job_id": job.job_id, "job_status": "COMPLETED", "error": None}
    done = installation.assert_one_result(job.job_id)
    assert set(done.outputs) == set(Output)
    assert done.counts == {"records": 2}
    assert done.notes == ("phase unknown",)
    assert done.input.sha256 == done.outputs[Output.VCF].sha256  # the quick engine copies its input
    assert installation.worker().objects.read_text(done.outputs[Output.VCF], 1000).encode() == BODY


def test_completed_job_is_left_alone(installation: Installation, job: Job) -> None:
    """A cleared run of a COMPLETED job succeeds after one refused write, and changes nothing."""
    run(installation.worker(), job_id=job.job_id, attempt=FIRST)
    there = installation.assert_one_result(job.job_id)
    faults = Faults()
    assert run(installation.worker(faults), job_id=job.job_id, attempt=SECOND)["job_status"] == "COMPLETED"
    assert faults.calls == {"UpdateItem": 1}
    assert installation.worker().jobs.get(job.job_id) == there


@pytest.mark.parametrize(
    ("error", "kind"),
    [(InputError("this is not a VCF", line=3), "input"), (ReferenceProblem("there is no reference x"), "reference")],
)
def test_bad_input_fails_the_job_at_once(
    installation: Installation, job: Job, engine: Callable[[Annotate], None], error: Exception, kind: str
) -> None:
    """What trying again cannot mend ends the job with the person's sentence, and the run returns normally."""
    engine(raising(error))
    outcome = run(installation.worker(), job_id=job.job_id, attempt=FIRST)
    assert outcome["job_status"] == "FAILED"
    failed = installation.worker().jobs.get(job.job_id)
    assert (failed.error, failed.error_kind) == (str(error), kind)
    assert failed.complete_time is not None
    assert installation.result_versions() == set()


def test_engine_trouble_is_left_to_the_next_try(
    installation: Installation, job: Job, engine: Callable[[Annotate], None]
) -> None:
    """An engine that crashes raises, the job stays RUNNING, and the next try completes it."""
    engine(raising(EngineError("it died of SIGSEGV")))
    with pytest.raises(EngineError):
        run(installation.worker(), job_id=job.job_id, attempt=FIRST)
    assert installation.worker().jobs.get(job.job_id).job_status is JobStatus.RUNNING
    engine(fake_annotate)
    run(installation.worker(), job_id=job.job_id, attempt=SECOND)
    installation.assert_one_result(job.job_id)


def test_cancelled_job_stops_its_engine(
    installation: Installation, job: Job, engine: Callable[[Annotate], None]
) -> None:
    """The engine's next report after a cancellation ends the work, with nothing stored."""
    reached = []

    def annotate(*_: Any, progress: Callable[[Progress], None], **__: Any) -> Any:
        installation.worker().jobs.cancel(job.job_id, ALICE.user_id)
        progress(Progress(stage="consequences", done=1, total=2))
        reached.append("the end")

    engine(annotate)
    clock = iter(range(0, 100, 10))
    outcome = run(installation.worker(), job_id=job.job_id, attempt=FIRST, tick=lambda: next(clock))
    assert outcome["job_status"] == "CANCELLED"
    assert reached == []
    assert installation.result_versions() == set()


def test_progress_is_written_once_a_second(
    installation: Installation, job: Job, engine: Callable[[Annotate], None]
) -> None:
    """However often the engine reports, the record is written once a second, with the latest figure."""
    clock = 0.0
    seen = []
    reader = installation.worker().jobs

    def annotate(input: Path, output: Path, *, progress: Callable[[Progress], None], **rest: Any) -> Any:
        nonlocal clock
        for done in range(1, 31):
            clock += 0.1
            progress(Progress(stage="consequences", done=done, total=30))
        seen.append(reader.get(job.job_id).progress)
        return fake_annotate(input, output, progress=progress, **rest)

    engine(annotate)
    faults = Faults()
    run(installation.worker(faults), job_id=job.job_id, attempt=FIRST, tick=lambda: clock)
    assert faults.calls["UpdateItem"] - 3 in (2, 3)  # besides start, complete and mark_notified
    (progress,) = seen
    assert progress is not None
    assert progress.done >= 20
    installation.assert_one_result(job.job_id)


def test_progress_that_cannot_be_written_stops_nothing(
    installation: Installation, job: Job, engine: Callable[[Annotate], None]
) -> None:
    """AWS trouble with a progress report does not throw the work away."""

    def annotate(input: Path, output: Path, *, progress: Callable[[Progress], None], **rest: Any) -> Any:
        progress(Progress(stage="consequences", done=1, total=2))
        return fake_annotate(input, output, progress=progress, **rest)

    engine(annotate)
    clock = iter(range(0, 100, 10))
    faults = Faults("UpdateItem", 2, refuse)
    run(installation.worker(faults), job_id=job.job_id, attempt=FIRST, tick=lambda: next(clock))
    installation.assert_one_result(job.job_id)


def test_attempt_overtaken_while_it_works_is_fenced(
    installation: Installation, job: Job, engine: Callable[[Annotate], None]
) -> None:
    """An attempt that stumbles because its successor removed its files reports the fence, not the stumble."""

    def annotate(*_: Any, **__: Any) -> Any:
        installation.worker().jobs.start(job.job_id, SECOND)
        raise FileNotFoundError("input")

    engine(annotate)
    with pytest.raises(Fenced):
        run(installation.worker(), job_id=job.job_id, attempt=FIRST)


def test_unknown_job_is_an_error(installation: Installation) -> None:
    """A run for a job that was never recorded fails."""
    with pytest.raises(NotFound):
        run(installation.worker(), job_id=new_job_id(), attempt=FIRST)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(EngineError("the engine ran out of memory"), "ran out of memory"), (ValueError("boom"), "on our side")],
)
def test_giving_up_says_why(installation: Installation, job: Job, error: Exception, sentence: str) -> None:
    """After the last try the job is FAILED with GAS's own sentence, or a general one; internals are not shown."""
    services = installation.worker()
    services.jobs.start(job.job_id, FIRST)
    failed = give_up(services, job_id=job.job_id, attempt=FIRST, error=error)
    assert failed is not None
    assert sentence in (failed.error or "")
    assert "boom" not in (failed.error or "")
    assert give_up(services, job_id=job.job_id, attempt=SECOND, error=error) is None


def test_giving_up_late_does_not_end_a_successors_work(installation: Installation, job: Job) -> None:
    """The last words of an overtaken attempt do not fail the job that its successor works on."""
    services = installation.worker()
    services.jobs.start(job.job_id, SECOND)
    assert give_up(services, job_id=job.job_id, attempt=FIRST, error=None) is None
    assert services.jobs.get(job.job_id).job_status is JobStatus.RUNNING
