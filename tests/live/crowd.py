"""Some people whose results go round archive and restore, and what must be so afterwards whatever befell GAS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gas.archive import RetrievalStatus
from gas.client import Client
from gas.errors import Archived, Conflict
from gas.inventory import inventory
from gas.job import ArchiveBackend, Job, JobStatus, Output, StorageState
from gas.references import SARS_COV_2, demo_vcf
from gas.services import Services
from tests.live.calamities import until
from tests.live.people import PEOPLE

#: What was hit is taken up again after the missing heartbeats and a pause or two.
ROUND_S = 300


@dataclass
class Crowd:
    """Some people on the free plan, and the jobs that they have submitted."""

    services: Services
    people: dict[str, Client]
    folder: Path
    size: int
    """How many jobs they are to submit, all together."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Of each job's result, as it was recorded when it was made."""
    owner: dict[str, str] = field(default_factory=dict)

    def submit(self, person: str, numbers: range) -> None:
        """One person's share of the jobs, one after the other. No two files are alike."""
        first, rest = demo_vcf().read_text().split("\n", 1)
        for number in numbers:
            vcf = self.folder / f"{number}.vcf"
            vcf.write_text(f"{first}\n##number={number}\n{rest}")
            job = self.people[person].submit(vcf, reference=SARS_COV_2)
            self.owner[job["job_id"]] = person

    def jobs(self) -> list[Job]:
        """The records as they stand."""
        return self.services.jobs.find_many(list(self.owner))

    def number(self, *states: StorageState) -> int:
        """How many results are in one of these states."""
        return sum(job.storage_state in states for job in self.jobs())

    def settled(self, state: StorageState) -> bool:
        """Whether all are in this state, and nobody has anything left to do for one of them."""
        jobs = self.jobs()
        for job in jobs:
            assert job.job_status not in (JobStatus.FAILED, JobStatus.CANCELLED), job
            assert job.storage_error is None, job
            if job.job_status is JobStatus.COMPLETED:
                assert self.sha256.setdefault(job.job_id, job.outputs[Output.VCF].sha256) == (
                    job.outputs[Output.VCF].sha256
                )
        return len(jobs) == self.size and all(job.storage_state is state and not job.is_open for job in jobs)

    def await_settled(self, state: StorageState) -> None:
        """Wait for that."""
        try:
            until(lambda: self.settled(state), f"all are {state}", patience_s=ROUND_S)
        except AssertionError:
            told(self.stand())
            raise

    def stand(self) -> str:
        """Where everything is."""
        return str(Counter((str(job.job_status), str(job.storage_state), job.is_open) for job in self.jobs()))

    def everybody(self, act: Callable[[Client], object]) -> None:
        """Each of the people does it."""
        for client in self.people.values():
            act(client)


@contextmanager
def crowd_of(size: int, services: Services, folder: Path, *, client_of: Callable[[str], Client]) -> Iterator[Crowd]:
    """Everybody whom the Globus stand-in knows, each signed in and on the free plan; their jobs are deleted again.

    :param client_of: signs a person in.
    """
    with ExitStack() as stack:
        stack.enter_context(closing(services.airflow))
        people = {person: stack.enter_context(client_of(person)) for person in PEOPLE}
        crowd = Crowd(services, people, folder, size)
        crowd.everybody(Client.unsubscribe)
        yield crowd
        crowd.everybody(Client.unsubscribe)
        for job_id, person in crowd.owner.items():
            people[person].delete(job_id)


def assert_nobody_has_other_jobs(crowd: Crowd) -> None:
    """What was sent again, because an answer was lost, is no second job."""
    theirs = {job["job_id"]: person for person, client in crowd.people.items() for job in client.jobs()}
    assert theirs == crowd.owner


def assert_archived(crowd: Crowd, folder: Path) -> None:
    """Rightly so: of each the web app gives what stays, and says of the rest where it is."""
    for job in crowd.jobs():
        client = crowd.people[job.user_id]
        assert (job.archive_id is not None, job.s3_deleted, job.trash) == (True, True, None)
        with pytest.raises(Conflict) as refusal:
            client.download(job.job_id, Output.VCF, folder / "archived")
        assert refusal.value.kind == Archived.kind
        assert "records" in client.log(job.job_id)


def assert_back(crowd: Crowd, folder: Path) -> None:
    """Each result can be downloaded through the web app, and is what was recorded when it was made."""
    for job in crowd.jobs():
        client = crowd.people[job.user_id]
        assert (job.archive_id, job.archive_token, job.retrieval_job_id, job.trash) == (None, None, None, None)
        vcf = client.download(job.job_id, Output.VCF, folder / "back.vcf.gz", overwrite=True)
        assert vcf.sha256 == crowd.sha256[job.job_id]
        for output in (Output.INDEX, Output.TABLE):
            assert client.download(job.job_id, output, folder / f"back.{output}", overwrite=True).size_bytes


def left_over(crowd: Crowd, glacier: Any) -> tuple[list[str], int]:
    """What no record names: keys of hot versions, and the number of cold copies.

    :param glacier: a client, where there is a vault.
    """
    services, jobs = crowd.services, crowd.jobs()
    named = {stored.version_id for job in jobs for output, stored in job.outputs.items() if job.readable(output)}
    named |= {job.archive_id for job in jobs if job.archive_id}
    unnamed = [stored.key for stored in services.objects.versions_below("") if stored.version_id not in named]
    cold = sum(key.startswith("archive/") for key in unnamed)
    if services.settings.archive is ArchiveBackend.VAULT:
        vault = glacier.describe_vault(accountId="-", vaultName=services.settings.vault)
        cold += vault["NumberOfArchives"] - sum(job.archive_id is not None for job in jobs)
    return [key for key in unnamed if not key.startswith("archive/")], cold


def assert_nothing_is_left(crowd: Crowd, in_three_days: Services, glacier: Any) -> None:
    """Nothing but cold copies whose makers died before they could record them, and these the inventory deletes.

    :param in_three_days: GAS's services, by a clock that is so much ahead.
    """
    hot, cold = left_over(crowd, glacier)
    assert hot == []
    told("left over for the inventory:", cold)
    services = crowd.services
    listed = services.vault_inventory.ask()
    if listed is not None:  # there is a vault
        until(lambda: services.vault_inventory.status(listed) is RetrievalStatus.READY, "the vault is listed")
    findings = list(inventory(in_three_days, vault_inventory=listed))
    assert [str(finding) for finding in findings if finding.trouble] == []
    assert left_over(crowd, glacier) == ([], 0)


def submit_all(crowd: Crowd, meanwhile: Callable[[], object]) -> None:
    """Everybody submits their share at the same time, while something else goes on."""
    share = -(-crowd.size // len(crowd.people))
    with ThreadPoolExecutor(len(crowd.people)) as threads:
        shares = [
            threads.submit(crowd.submit, person, range(share * nth, min(crowd.size, share * (nth + 1))))
            for nth, person in enumerate(crowd.people)
        ]
        meanwhile()
        for done in shares:
            done.result()


def told(*what: object) -> None:
    """What happened when, for whoever looks at the output."""
    print(time.strftime("%H:%M:%S"), *what, flush=True)
