"""What a re-annotation changed, as people and programs see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from gas import deletion
from gas.job import Job, Output
from gas.services import Services
from tests.digests import INTRON, MISSENSE, STOP, made_digest
from tests.webui.conftest import ALICE, Browser, Jobs

BEFORE = [(1, *MISSENSE, "Benign"), (2, *INTRON, "Benign"), (3, *MISSENSE, None)]
AFTER = [(1, *MISSENSE, "Benign"), (2, *INTRON, "Pathogenic"), (3, *STOP, None)]
COUNTS = {
    "significance": {"new": 0, "lost": 0, "changed": 1},
    "consequence": {"new": 0, "lost": 0, "changed": 1},
}


@pytest.fixture
def old(jobs: Jobs, tmp_path: Path) -> Job:
    """Alice's earlier result."""
    return jobs.done(ALICE, files={Output.DIGEST: made_digest(tmp_path / "before", *BEFORE).read_bytes()})


@pytest.fixture
def new(services: Services, jobs: Jobs, old: Job, tmp_path: Path) -> Job:
    """The same input, annotated again."""
    return annotated_again(services, jobs, old, tmp_path)


def annotated_again(services: Services, jobs: Jobs, old: Job, folder: Path) -> Job:
    """Another job of Alice's on the input of this one, whose result differs as ``COUNTS`` says."""
    job = jobs.pending(ALICE, name=old.input_file_name)
    services.jobs._table.update(
        job.job_id,
        update="SET origin_job_id = :old, previous_job_id = :old, changes = :changes",
        condition="user_id = :user",
        values={":old": old.job_id, ":changes": COUNTS, ":user": ALICE},
    )
    services.jobs.start(job.job_id, "0001")
    return jobs.finish(job, files={Output.DIGEST: made_digest(folder / "after", *AFTER).read_bytes()})


def test_the_page_shows_what_changed(alice: Browser, new: Job, old: Job) -> None:
    """The job's page leads there; significance comes first, and the earlier result is a link away."""
    assert f'href="/jobs/{new.job_id}/changes"' in alice.get(f"/jobs/{new.job_id}").text
    page = alice.get(f"/jobs/{new.job_id}/changes").text
    assert f'href="/jobs/{old.job_id}"' in page
    assert page.index("1:2 A&gt;C") < page.index("1:3 A&gt;C")
    assert "<b>Pathogenic</b>" in page
    assert "stop gained" in page
    assert "1:1 A" not in page


def test_programs_get_the_same(alice: Browser, new: Job, old: Job) -> None:
    """Counts of all, and each variant with both sides."""
    told = alice.get(f"/api/v1/jobs/{new.job_id}/changes").json
    assert (told["previous_job_id"], told["why_not"], told["counts"], told["more"]) == (old.job_id, None, COUNTS, 0)
    first, second = told["differences"]
    assert (first["pos"], first["significance"], first["consequence"]) == (2, "changed", None)
    assert (first["before"]["significance"], first["after"]["significance"]) == ("Benign", "Pathogenic")
    assert (second["before"]["consequence"], second["after"]["consequence"]) == ("missense_variant", "stop_gained")
    assert alice.get(f"/api/v1/jobs/{new.job_id}").json["reannotates"] == {"job_id": old.job_id, "changes": COUNTS}


def test_counts_stay_when_the_earlier_result_is_deleted(alice: Browser, services: Services, new: Job, old: Job) -> None:
    """Then no variants are named, and the page says why."""
    deletion.delete(services, job_id=old.job_id, user_id=ALICE)
    told = alice.get(f"/api/v1/jobs/{new.job_id}/changes").json
    assert (told["counts"], told["differences"]) == (COUNTS, [])
    assert "deleted" in told["why_not"]
    assert "The earlier result was deleted" in alice.get(f"/jobs/{new.job_id}/changes").text


def test_a_job_of_its_own_has_no_changes(alice: Browser, old: Job) -> None:
    """It is no error to ask; there is a sentence."""
    told = alice.get(f"/api/v1/jobs/{old.job_id}/changes").json
    assert (told["previous_job_id"], told["counts"]) == (None, None)
    assert "no re-annotation" in told["why_not"]
    assert alice.get(f"/api/v1/jobs/{old.job_id}").json["reannotates"] is None


def test_the_command_line_shows_them(gas: Callable[..., Result], new: Job) -> None:
    """gas changes prints a line for each change, or all of it as JSON."""
    shown = gas("changes", new.job_id)
    assert shown.exit_code == 0
    assert "1:2 A>C  A  significance changed: Benign -> Pathogenic" in shown.stdout
    assert "1:3 A>C  A  consequence changed: missense_variant -> stop_gained" in shown.stdout
    assert json.loads(gas("changes", new.job_id, "--json").stdout)["counts"] == COUNTS
