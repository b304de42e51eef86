"""Jobs whose results can be moved, and what lies where."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gas import inventory as taking_stock
from gas.archive import Outcome, RetrievalStatus
from gas.archive.transfer import thaw
from gas.findings import Finding
from gas.job import ArchiveBackend, Job, Output, new_job_id
from gas.profiles_table import Profile
from gas.services import Services
from tests.fakes import ALICE, pending_job

DELAY_S = 10
PATIENCE_S = 20
ATTEMPT = "0001-a"
BODIES = {
    Output.VCF: b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n",
    Output.INDEX: b"index",
    Output.LOG: b"log",
    Output.SUMMARY: b"{}",
    Output.TABLE: b"table",
    Output.DIGEST: b"digest",
}


@dataclass
class Clock:
    """A clock that runs, and that can be put on."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


def completed_job(services: Services, *, owner: Profile = ALICE, bodies: Mapping[Output, bytes] = BODIES) -> Job:
    """A job that was annotated and announced just now, and whose owner signed in before."""
    services.profiles.ensure(owner.user_id, name=owner.name, email=owner.email)
    job_id = new_job_id()
    services.jobs.create(replace(pending_job(job_id=job_id, user_id=owner.user_id), submit_time=services.storage.now()))
    services.jobs.start(job_id, ATTEMPT)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "output"
        outputs = {}
        for output, body in bodies.items():
            path.write_bytes(body)
            key = services.objects.output_key(output, user_id=owner.user_id, job_id=job_id, attempt=ATTEMPT)
            outputs[output] = services.objects.upload(path, key)
    services.jobs.complete(job_id, ATTEMPT, outputs, {}, [])
    services.jobs.mark_notified(job_id)
    return services.jobs.get(job_id)


def versions(services: Services) -> set[tuple[str, str]]:
    """Key and VersionId of everything in the results bucket, cold copies included."""
    return {(stored.key, stored.version_id) for stored in services.objects.versions_below("")}


def thawed(services: Services, job_id: str) -> Outcome:
    """Thaw as soon as the retrieval has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while (outcome := thaw(services, job_id)) is Outcome.WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return outcome


def quick_make(_: Services, job: Job, vcf: Path, path: Path) -> None:
    """In the place of indexing and of making the table."""
    path.write_text(f"made again from {vcf.name} of {job.job_id}")


def archives(services: Services, aws: Any) -> int:
    """How many archives the vault holds; none where there is no vault."""
    if services.settings.archive is not ArchiveBackend.VAULT:
        return 0
    glacier = aws.session.client("glacier", endpoint_url=aws.endpoint_url)
    return int(glacier.describe_vault(vaultName=services.settings.vault)["NumberOfArchives"])


def stock_taken(services: Services) -> str | None:
    """An inventory of the vault as it is now; none where there is no vault."""
    asked = services.vault_inventory.ask()
    deadline = time.monotonic() + PATIENCE_S
    while asked and services.vault_inventory.status(asked) is RetrievalStatus.WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return asked


def inventoried(services: Services, *, dry_run: bool = False) -> list[Finding]:
    """What the inventory finds, and deletes, when everything is old enough for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(taking_stock, "YOUNG_S", -3600)
        listed = stock_taken(services)
        return list(taking_stock.inventory(services, vault_inventory=listed, dry_run=dry_run))
