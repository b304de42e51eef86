"""The job record's own rules."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gas.job import (
    JOB_ID,
    TRANSITIONS,
    JobStatus,
    Output,
    Progress,
    StorageState,
    StoredObject,
    job_to_json,
    new_job_id,
)
from tests.fakes import pending_job


def test_job_id_is_usable_as_dag_run_id() -> None:
    """A new job id matches the pattern that the DAG's Param demands."""
    assert JOB_ID.fullmatch(new_job_id())


@pytest.mark.parametrize("status", JobStatus)
def test_only_ended_states_are_final(status: JobStatus) -> None:
    """Nothing follows a state exactly where it counts as ended."""
    assert status.ended == (not TRANSITIONS[status])


@pytest.mark.parametrize(
    ("file_name", "stem"),
    [
        ("cohort.vcf.gz", "cohort"),
        ("Cohort.VCF", "Cohort"),
        ("a.b.bcf", "a.b"),
        ("x.vcf.bgz", "x"),
        ("plain", "plain"),
        (".vcf", "variants"),
    ],
)
def test_downloads_are_named_after_the_input(file_name: str, stem: str) -> None:
    """Each output's name begins with the input's name without its VCF ending, and no two share a name."""
    job = replace(pending_job(job_id=new_job_id()), input_file_name=file_name)
    names = [job.output_file_name(output) for output in Output]
    assert all(name.startswith(stem) for name in names)
    assert len(set(names)) == len(names)
    assert job.output_file_name(Output.LOG) == f"{stem}.vcf.count.log"


def test_public_form_survives_json_and_names_no_key() -> None:
    """The public form is plain JSON with ISO times in UTC, and tells neither bucket, key, owner nor attempt."""
    stored = StoredObject(bucket="B-SECRET", key="K-SECRET", version_id="V-SECRET", sha256="ab", size_bytes=7)
    job = replace(
        pending_job(job_id=new_job_id(), submit_time=0),
        job_status=JobStatus.COMPLETED,
        start_time=1,
        complete_time=2,
        outputs={Output.VCF: stored},
        progress=Progress(stage="csq", done=1, total=2),
        attempt="A-SECRET",
        counts={"records": 3},
        notes=("phase unknown",),
    )
    text = json.dumps(job_to_json(job))
    assert "SECRET" not in text
    assert job.user_id not in text
    public = json.loads(text)
    assert public["submit_time"] == "1970-01-01T00:00:00Z"
    assert public["complete_time"] == "1970-01-01T00:00:02Z"
    assert public["progress"] == {"stage": "csq", "done": 1, "total": 2}
    assert public["outputs"] == {
        "vcf": {"size_bytes": 7, "sha256": "ab", "file_name": "cohort.annot.vcf.gz", "available": True}
    }
    assert public["storage"] is None


def test_public_form_tells_where_the_result_lies() -> None:
    """On the way back from the archive the VCF is not available, and the form says when to expect it."""
    stored = StoredObject(bucket="b", key="k", version_id="v", sha256="ab", size_bytes=7)
    job = replace(
        pending_job(job_id=new_job_id()),
        job_status=JobStatus.COMPLETED,
        outputs={Output.VCF: stored, Output.LOG: stored},
        storage_state=StorageState.THAWING,
        archive_id="A-SECRET",
        retrieval_job_id="R-SECRET",
        retrieval_tier="Standard",
        retrieval_time=0,
    )
    public = job_to_json(job)
    assert "SECRET" not in json.dumps(public)
    assert {name: output["available"] for name, output in public["outputs"].items()} == {"vcf": False, "log": True}
    assert public["storage"]["state"] == "THAWING"
    assert public["storage"]["expected_by"] == "1970-01-01T05:00:00Z"
