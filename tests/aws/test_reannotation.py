"""Jobs of the past annotated again, by the real engine on two states of a reference, on the AWS stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from gas import annotate_job, deletion, reannotation
from gas.archive import Outcome
from gas.archive.transfer import archive_one
from gas.job import Job, JobStatus, Output, StorageState, new_job_id
from gas.notice import Kind
from gas.provision import provision
from gas.references import NewSource, ReferenceStore
from gas.services import Services, build
from gas.settings import Settings
from gas.submission import submit
from tests.fakes import ALICE, FakeAirflow
from tests.storage import DELAY_S, Clock

CONTIG = "NC_045512.2"
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
HEADER = f"##fileformat=VCFv4.2\n##contig=<ID={CONTIG},length=29903>\n"
#: N501Y and D614G of the spike protein.
ALLELES = {23063: "A\tT", 23403: "A\tG"}
INPUT = HEADER + COLUMNS + "".join(f"{CONTIG}\t{pos}\t.\t{a}\t.\tPASS\t.\n" for pos, a in ALLELES.items())
DATA = Path(__file__).parents[2] / "include/gas/data"


class Place:
    """GAS with one reference whose ClinVar can be replaced."""

    def __init__(self, services: Services, clock: Clock, folder: Path) -> None:
        self.services = services
        self.clock = clock
        self._folder = folder
        self._release = 0

    def clinvar(self, known: Mapping[int, str]) -> None:
        """The one in force from now on: significances by position."""
        lines = [f"{CONTIG}\t{pos}\t.\t{ALLELES[pos]}\t.\t.\tCLNSIG={said}\n" for pos, said in known.items()]
        source = self._folder / "clinvar.vcf"
        self._release += 1
        info = '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Significance">\n'
        source.write_text(HEADER + f"##release={self._release}\n" + info + COLUMNS + "".join(lines))
        references = self.services.references
        if references.list():
            references.remove("sars-cov-2")
        references.add(
            "sars-cov-2",
            fasta=DATA / "NC_045512.2.fa",
            gff=DATA / "NC_045512.2.gff3",
            sources=[NewSource("clinvar", source, ("CLNSIG",))],
        )

    def job(self) -> Job:
        """One that Alice submitted and that is done."""
        self.services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
        job_id = new_job_id()
        self.services.objects._aws.s3.put_object(
            Bucket=self.services.settings.inputs_bucket,
            Key=self.services.objects.input_key(user_id=ALICE.user_id, job_id=job_id),
            Body=INPUT.encode(),
        )
        submit(self.services, profile=ALICE, job_id=job_id, file_name="a.vcf", reference="sars-cov-2", now=self.clock)
        return self.done(job_id)

    def done(self, job_id: str) -> Job:
        """Carry a job out."""
        annotate_job.run(self.services, job_id=job_id, attempt="0001-a", processors=1)
        return self.services.jobs.get(job_id)

    def again(self, *, at_once: int = 10, dry_run: bool = False) -> reannotation.Turn:
        """Annotate again what was submitted today."""
        now = int(self.clock())
        return reannotation.reannotate(
            self.services, after=now - 86400, before=now + 86400, at_once=at_once, dry_run=dry_run
        )

    def kinds(self, job: Job) -> list[str]:
        """Of what the job's owner is to be told."""
        item = self.services.jobs._table.get(job.job_id)
        assert item is not None
        return [notice["kind"] for notice in item.get("notices", [])]


@pytest.fixture
def place(aws: Any, settings: Settings, clock: Clock, tmp_path: Path) -> Place:
    """Where ClinVar knows N501Y as benign, at first."""
    chosen = settings.model_copy(update={"free_result_ttl_s": DELAY_S})
    list(provision(chosen, session=aws.session, endpoint_url=aws.endpoint_url))
    made = build(chosen, session=aws.session, endpoint_url=aws.endpoint_url, now=clock)
    (tmp_path / "installed").mkdir()
    references = ReferenceStore(tmp_path / "installed")
    airflow: Any = FakeAirflow()
    there = Place(replace(made, airflow=airflow, references=references), clock, tmp_path)
    there.clinvar({23063: "Benign"})
    return there


def test_an_archived_result_is_annotated_again_and_compared(place: Place) -> None:
    """The old result stays in the archive, the new one tells what changed, and its owner is told of it."""
    old = place.job()
    place.clock.ahead_s += DELAY_S + 1
    assert archive_one(place.services, old.job_id) is Outcome.ARCHIVED
    place.clinvar({23063: "Pathogenic", 23403: "Benign"})
    (new_id,) = place.again().begun
    assert place.services.airflow.runs[new_id][0] == "annotate"  # type: ignore[attr-defined]  # the fake's
    new = place.done(new_id)
    assert (new.origin_job_id, new.previous_job_id) == (old.job_id, old.job_id)
    assert new.changes == {
        "significance": {"new": 1, "lost": 0, "changed": 1},
        "consequence": {"new": 0, "lost": 0, "changed": 0},
    }
    found = reannotation.changes(place.services, new)
    assert [(d.pos, d.before.significance, d.after.significance) for d in found.differences] == [
        (23063, "Benign", "Pathogenic"),
        (23403, None, "Benign"),
    ]
    assert found.differences[0].after.protein_change == "N501Y"
    assert place.kinds(new) == [Kind.CHANGED]
    there = place.services.jobs.get(old.job_id)
    assert (there.storage_state, there.latest_job_id) == (StorageState.ARCHIVED, new_id)


def test_what_a_result_was_made_on_stands_in_its_record(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at jobs on the reference in force reads nothing from S3; only a record of before has its summary read."""
    job = place.job()
    assert job.made_on == place.services.references.get("sars-cov-2").checksum
    read: list[object] = []
    really = type(place.services.objects).read_text

    def noted(objects: Any, *asked: Any) -> str:
        read.append(asked)
        return really(objects, *asked)

    monkeypatch.setattr(type(place.services.objects), "read_text", noted)
    assert (place.again().begun, read) == ([], [])
    place.services.jobs.table.update(
        job.job_id, update="REMOVE made_on", condition="made_on <> :no", values={":no": ""}
    )
    assert (place.again().begun, len(read)) == ([], 1)


def test_twice_is_once(place: Place) -> None:
    """However often and whenever it is asked for, one state of the reference makes one new job of an old one."""
    place.job()
    assert place.again().begun == []  # it was made on the reference in force
    place.clinvar({23403: "Benign"})
    first = place.again()
    assert len(first.begun) == 1
    second = place.again()
    assert (second.begun, second.at_work) == ([], first.begun)
    new = place.done(first.begun[0])
    assert place.again() == reannotation.Turn()
    deletion.delete(place.services, job_id=new.job_id, user_id=ALICE.user_id)
    assert place.again() == reannotation.Turn()  # what its owner deleted stays deleted


def test_a_dry_run_begins_nothing(place: Place) -> None:
    """It tells the ids of the jobs that would be, and no record or input is there of them."""
    old = place.job()
    place.clinvar({23403: "Benign"})
    (new_id,) = place.again(dry_run=True).begun
    assert place.services.jobs.find(new_id) is None
    assert place.services.objects.head_input(user_id=old.user_id, job_id=new_id) is None
    assert place.again().begun == [new_id]


def test_so_many_are_at_work_at_most(place: Place) -> None:
    """Of more jobs than there is room for, the rest follows as those before it end."""
    old = {place.job().job_id for _ in range(3)}
    place.clinvar({23403: "Benign"})
    first = place.again(at_once=2)
    assert (len(first.begun), first.more) == (2, True)
    assert place.again(at_once=2) == reannotation.Turn(at_work=first.begun, more=True)
    for job_id in first.begun:
        place.done(job_id)
    last = place.again(at_once=2)
    assert (len(last.begun), last.more) == (1, False)
    assert {place.services.jobs.get(job_id).origin_job_id for job_id in first.begun + last.begun} == old


def test_the_next_reference_is_compared_with_the_last(place: Place) -> None:
    """A second re-annotation is of the same origin, and tells what changed since the first; of no change, nothing."""
    old = place.job()
    place.clinvar({23063: "Pathogenic"})
    first = place.done(place.again().begun[0])
    place.clinvar({23063: "Pathogenic", 23403: "Benign"})
    second = place.done(place.again().begun[0])
    assert (second.origin_job_id, second.previous_job_id) == (old.job_id, first.job_id)
    assert second.changes is not None
    assert second.changes["significance"] == {"new": 1, "lost": 0, "changed": 0}
    place.clinvar({23063: "Pathogenic", 23403: "Benign"})  # another file that says the same
    third = place.done(place.again().begun[0])
    assert place.kinds(third) == []


def test_results_of_an_earlier_release_are_compared_where_they_can_be_read(place: Place) -> None:
    """Without a digest the table does; in the archive, where there is none, the record says why nothing is compared."""
    jobs = [place.job() for _ in range(2)]
    for job in jobs:
        place.services.jobs._table.update(
            job.job_id,
            update="REMOVE outputs.#digest",
            condition="user_id = :user",
            names={"#digest": Output.DIGEST.value},
            values={":user": job.user_id},
        )
    place.clock.ahead_s += DELAY_S + 1
    assert archive_one(place.services, jobs[0].job_id) is Outcome.ARCHIVED
    place.clinvar({23403: "Benign"})
    new = {made.previous_job_id: made for made in map(place.done, place.again().begun)}
    cold, hot = (new[job.job_id].changes for job in jobs)
    assert hot is not None
    assert hot["significance"] == {"new": 1, "lost": 1, "changed": 0}
    assert cold is not None
    assert "archive" in cold["why_not"]
    assert place.kinds(new[jobs[0].job_id]) == [Kind.ENDED]
    with pytest.raises(reannotation.Incomparable, match="archive"):
        reannotation.changes(place.services, new[jobs[0].job_id])


def test_what_cannot_be_annotated_again_stops_nothing(place: Place) -> None:
    """A job whose input is gone is told of, and the others are begun."""
    lost, kept = place.job(), place.job()
    place.services.objects.delete_version(lost.input)
    place.clinvar({23403: "Benign"})
    turn = place.again()
    assert len(turn.begun) == 1
    assert list(turn.left_out) == [lost.job_id]
    assert place.services.jobs.get(turn.begun[0]).origin_job_id == kept.job_id
    place.services.references.remove("sars-cov-2")
    assert set(place.again().left_out) == {lost.job_id, kept.job_id}


def test_each_line_names_its_job(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What a run says of a job it begins, would begin, or cannot begin carries the job's id in a field of its own."""
    caplog.handler.addFilter(lambda record: record.__dict__.update(about=get_contextvars().get("job_id")) or True)
    lost, kept = place.job(), place.job()
    place.services.objects.delete_version(lost.input)
    place.clinvar({23403: "Benign"})
    with caplog.at_level("INFO", logger="gas.reannotation"):
        place.again(dry_run=True)
        place.again()
    lines = [record for record in caplog.records if record.name == "gas.reannotation"]
    assert {record.about for record in lines} == {lost.job_id, kept.job_id}
    assert len(lines) == 4
    assert all(record.getMessage().startswith(f"job {record.about} ") for record in lines)


def test_only_finished_jobs_are_annotated_again(place: Place) -> None:
    """What waits, failed or was cancelled has no result to renew."""
    job = place.job()
    place.services.jobs._table.update(
        job.job_id,
        update="SET job_status = :failed",
        condition="user_id = :user",
        values={":failed": JobStatus.FAILED, ":user": job.user_id},
    )
    place.clinvar({23403: "Benign"})
    assert place.again() == reannotation.Turn()
