"""What lies in the buckets and in the vault that no record names, and its removal where nothing can be lost by it.

Whatever GAS makes, it either records or deletes; only where a process dies for good between the two does something stay
that nobody knows of. Here everything is listed, streamed, and set against the records:

- what is younger than two days is left alone, and so is everything of a job that is in the middle of something;
- a job's record is read again, consistently, *after* the list and just before anything of it is deleted. What a record
  at rest does not name then, it never will: ids and tokens are given once, and the commit that would name it asks for a
  state that is over;
- where a record names a copy of the result, that copy is seen to be there before anything beside it goes;
- what has no record, or is not of GAS's making, is told of and never deleted.

Deleting names the VersionId or the archive's id, so it may be repeated, and may stop anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from gas.archive.storage_class import cold_key
from gas.findings import Finding, Repair, carried_out, looked_at
from gas.job import JOB_ID, ArchiveBackend, Job, Output, StorageState, StoredObject
from gas.objects import OUTPUT_KEYS, UnfinishedUpload

if TYPE_CHECKING:
    from gas.archive.vault_inventory import ListedArchive, VaultUpload
    from gas.services import Services

YOUNG_S = 48 * 3600
"""What is younger may be in the hands of somebody who has not recorded it yet."""
BATCH_JOBS = 100
BATCH_THINGS = 1000
AWAITING = 1000
"""Things that wait at a time for the vault's list to tell whether their job's archive is in it."""
FOREIGN_TOLD = 10
"""Of things in one place that are not of GAS's making, so many are told by name."""

_JOB = f"(?P<job>{JOB_ID.pattern.strip('^$')})"
_NAMES = "|".join(re.escape(name) for name, _ in OUTPUT_KEYS.values())
_INPUT = re.compile(rf"(?P<owner>[^/]+)/{_JOB}/input")
_RESULT = re.compile(rf"(?P<owner>[^/]+)/{_JOB}/[^/]+/({_NAMES})")
_COLD = re.compile(rf"archive/{_JOB}/[0-9a-f]{{32}}")

GONE = "what its record names is not there, so this may be the last copy"
UNLISTED = "only a list of the vault could tell whether its archive is there, and there is none"


class Kind(StrEnum):
    """What a thing is, by its key or its description."""

    INPUT = "input"
    RESULT = "result"
    COLD_COPY = "cold copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """Something of GAS's making that lies somewhere."""

    kind: Kind
    job_id: str
    owner: str | None
    """Of the job, as far as its name tells."""
    place: StoredObject | str
    """A version in a bucket, or the id of an archive."""
    size_bytes: int

    @property
    def identity(self) -> tuple[str, ...]:
        """What it shares with the same thing in a record."""
        return _identity(self.place)


def inventory(services: Services, *, vault_inventory: str | None, dry_run: bool = False) -> Iterator[Finding]:
    """Look at everything in both buckets and in the vault, and delete what no record names. Memory stays flat.

    :param vault_inventory: the id of a completed inventory of the vault; without one only the buckets are looked at.
    :param dry_run: only say what would be done.
    """
    return _Look(services, vault_inventory, dry_run).findings()


@dataclass
class _Foreign:
    """Counts what is not of GAS's making, by place."""

    numbers: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, place: str, name: str) -> None:
        self.numbers[place] = self.numbers.get(place, 0) + 1
        told = self.names.setdefault(place, [])
        if len(told) < FOREIGN_TOLD:
            told.append(name)

    def findings(self) -> Iterator[Finding]:
        for place, number in self.numbers.items():
            first = f"the first {FOREIGN_TOLD} are" if number > FOREIGN_TOLD else "namely"
            names = ", ".join(self.names[place])
            yield Finding(subject=place, found=f"{number:,} things are not of GAS's making, {first} {names}")


class _Look:
    """One look at everything."""

    def __init__(self, services: Services, vault_inventory: str | None, dry_run: bool) -> None:
        self._services = services
        self._vault_inventory = vault_inventory
        self._dry_run = dry_run
        self._oldest_young = services.storage.now() - YOUNG_S
        self._foreign = _Foreign()
        self._awaiting: dict[str, list[Thing]] = {}
        """By job id: what can be deleted if the vault's list has the archive that the job's record names."""

    def findings(self) -> Iterator[Finding]:
        settings = self._services.settings
        buckets = (settings.inputs_bucket, settings.results_bucket)
        for bucket in buckets:
            yield from looked_at(f"bucket {bucket}", self._compared(self._in_bucket(bucket)))
        vault = f"vault {settings.vault}"
        yield from looked_at(vault, self._compared(self._in_vault()))
        yield from looked_at(vault, self._confirmed())
        for bucket in buckets:
            yield from self._uploads_to_bucket(bucket)
        yield from self._uploads_to_vault()
        yield from self._foreign.findings()

    # What there is.

    def _in_bucket(self, bucket: str) -> Iterator[Thing]:
        for stored, made_at in self._services.objects.everything(bucket):
            match, kind = self._recognised(bucket, stored.key)
            if match is None:
                self._foreign.add(f"bucket {bucket}", stored.key)
            elif made_at < self._oldest_young:
                yield Thing(
                    kind=kind,
                    job_id=match["job"],
                    owner=match.groupdict().get("owner"),
                    place=stored,
                    size_bytes=stored.size_bytes,
                )

    def _in_vault(self) -> Iterator[Thing]:
        for archive in self._listed():
            match = _described(archive.description)
            if match is None:
                self._foreign.add(f"vault {self._services.settings.vault}", f"{archive.archive_id[:16]}...")
            elif archive.made_at < self._oldest_young:
                yield Thing(
                    kind=Kind.COLD_COPY,
                    job_id=match["job"],
                    owner=match["owner"],
                    place=archive.archive_id,
                    size_bytes=archive.size_bytes,
                )

    def _listed(self) -> Iterator[ListedArchive]:
        if self._vault_inventory is None:
            return iter(())
        return self._services.vault_inventory.archives(self._vault_inventory)

    def _recognised(self, bucket: str, key: str) -> tuple[re.Match[str] | None, Kind]:
        if bucket == self._services.settings.inputs_bucket:
            return _INPUT.fullmatch(key), Kind.INPUT
        cold = _COLD.fullmatch(key)
        return (cold, Kind.COLD_COPY) if cold else (_RESULT.fullmatch(key), Kind.RESULT)

    # Against the records.

    def _compared(self, things: Iterable[Thing]) -> Iterator[Finding]:
        """A batch of jobs is read at once; one with something that its record does not name is read again."""
        for batch in _batches(things):
            records = {job.job_id: job for job in self._services.jobs.find_many(list(batch))}
            for job_id, lying in batch.items():
                there = records.get(job_id)
                if there is None or self._unnamed(there, lying):
                    yield from self._carried_out(f"job {job_id}", self._repairs(job_id, lying))
            if sum(map(len, self._awaiting.values())) >= AWAITING:
                yield from self._confirmed()

    def _confirmed(self) -> Iterator[Finding]:
        """Go on with what waits for the vault's list to name an archive."""
        if not self._awaiting:
            return
        awaiting, self._awaiting = self._awaiting, {}
        named = {job.archive_id for job in self._services.jobs.find_many(list(awaiting))}
        listed = frozenset(archive.archive_id for archive in self._listed() if archive.archive_id in named)
        for job_id, things in awaiting.items():
            yield from self._carried_out(f"job {job_id}", self._repairs(job_id, things, listed=listed))

    def _repairs(self, job_id: str, things: list[Thing], *, listed: frozenset[str] | None = None) -> Iterator[Repair]:
        """What there is to do about things of one job, from a read of its record that is later than their list.

        :param listed: those archives that records name and that the vault's list has; ``None`` while not known.
        """
        job = self._services.jobs.find(job_id)
        if job is None:
            yield Repair(found=f"has no record, and there is {_told(things)}")
            return
        for kind, group in groupby(sorted(self._unnamed(job, things), key=_kind), key=_kind):
            doomed = list(group)
            found = f"its record does not name {_told(doomed)}"
            if any(thing.owner not in (None, job.user_id) for thing in doomed):
                yield Repair(found=f"{found}, and belongs to somebody else")
                continue
            safe = self._can_go(job, kind, listed)
            if safe is None:
                self._awaiting.setdefault(job_id, []).extend(doomed)
            elif safe:
                yield Repair(found=found, repair="delete", act=partial(self._delete, doomed))
            else:
                missing = UNLISTED if listed is not None and self._vault_inventory is None else GONE
                yield Repair(found=f"{found}; {missing}")

    def _unnamed(self, job: Job, things: Iterable[Thing]) -> list[Thing]:
        """What no record will ever name; nothing while the job is in the middle of something."""
        if job.storage_state is StorageState.DELETING:
            return list(things)
        busy = not job.job_status.ended or job.storage_state in (StorageState.ARCHIVING, StorageState.THAWING)
        if busy or job.trash or self._was_just_archived(job):
            return []
        named = self._named(job)
        return [thing for thing in things if thing.identity not in named]

    def _was_just_archived(self, job: Job) -> bool:
        """Its hot versions may still be there, or its archive may not be in the vault's list yet."""
        if job.storage_state is not StorageState.ARCHIVED:
            return False
        unlisted = job.archive_backend is ArchiveBackend.VAULT and (job.archive_time or 0) >= self._oldest_young
        return unlisted or not job.s3_deleted

    def _named(self, job: Job) -> set[tuple[str, ...]]:
        stored = [job.input]
        stored += [there for output, there in job.outputs.items() if job.readable(output)]
        places: list[StoredObject | str] = [*stored]
        if job.archive_id:
            in_vault = job.archive_backend is ArchiveBackend.VAULT
            places.append(job.archive_id if in_vault else self._cold(job, job.archive_id))
        return set(map(_identity, places))

    def _can_go(self, job: Job, kind: Kind, listed: frozenset[str] | None) -> bool | None:
        """Whether what the record names is there, so that nothing beside it can be the last copy.

        :returns: ``None`` where only the vault's list can tell.
        """
        exists = self._services.objects.exists
        if job.storage_state is StorageState.DELETING:
            return True
        if kind is Kind.INPUT:
            return exists(job.input)
        if job.storage_state is StorageState.HOT:
            return Output.VCF in job.outputs and exists(job.outputs[Output.VCF])
        if job.storage_state is StorageState.ARCHIVED and job.archive_id:
            if job.archive_backend is not ArchiveBackend.VAULT:
                return exists(self._cold(job, job.archive_id))
            return None if listed is None else job.archive_id in listed
        return kind is Kind.RESULT  # of an attempt that was lost: the job failed, or was cancelled

    def _cold(self, job: Job, archive_id: str) -> StoredObject:
        key = cold_key(job.job_id, job.archive_token or "")
        return StoredObject(
            bucket=self._services.settings.results_bucket, key=key, version_id=archive_id, sha256="", size_bytes=0
        )

    def _delete(self, things: list[Thing]) -> None:
        vault = self._services.archives[ArchiveBackend.VAULT]
        self._services.objects.delete_versions(t.place for t in things if isinstance(t.place, StoredObject))
        for thing in things:
            if isinstance(thing.place, str):
                vault.delete_copy(job_id=thing.job_id, token="", archive_id=thing.place)

    # Uploads in parts that nobody will end.

    def _uploads_to_bucket(self, bucket: str) -> Iterator[Finding]:
        objects = self._services.objects

        def repairs() -> Iterator[Repair]:
            for upload in objects.unfinished_uploads(bucket):
                if self._recognised(bucket, upload.key)[0] is None:
                    self._foreign.add(f"bucket {bucket}", upload.key)
                elif upload.begun_at < self._oldest_young:
                    yield _abortion(upload, upload.key, partial(objects.abort_upload, upload))

        return self._carried_out(f"bucket {bucket}", repairs())

    def _uploads_to_vault(self) -> Iterator[Finding]:
        vault = self._services.vault_inventory

        def repairs() -> Iterator[Repair]:
            for upload in vault.unfinished_uploads():
                match = _described(upload.description)
                if match is None:
                    self._foreign.add(f"vault {vault.name}", f"upload {upload.upload_id[:16]}...")
                elif upload.begun_at < self._oldest_young:
                    yield _abortion(upload, match.string, partial(vault.abort_upload, upload))

        return self._carried_out(f"vault {vault.name}", repairs())

    def _carried_out(self, subject: str, repairs: Iterator[Repair]) -> Iterator[Finding]:
        return carried_out(subject, repairs, dry_run=self._dry_run)


def _abortion(upload: UnfinishedUpload | VaultUpload, key: str, act: Callable[[], None]) -> Repair:
    begun = datetime.fromtimestamp(upload.begun_at, UTC)
    return Repair(found=f"the upload of {key}, begun on {begun:%Y-%m-%d %H:%M}, never ended", repair="abort", act=act)


def _described(description: str) -> re.Match[str] | None:
    """The key of the result in the description of an archive, where GAS made it."""
    try:
        said = json.loads(description)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.keys() != {"job", "key", "token"}:
        return None
    match = _RESULT.fullmatch(str(said["key"]))
    return match if match and match["job"] == said["job"] else None


def _batches(things: Iterable[Thing]) -> Iterator[dict[str, list[Thing]]]:
    """Things by job, some jobs at a time. A job whose things do not lie side by side comes several times."""
    batch: dict[str, list[Thing]] = {}
    size = 0
    for thing in things:
        if size == BATCH_THINGS or (len(batch) == BATCH_JOBS and thing.job_id not in batch):
            yield batch
            batch, size = {}, 0
        batch.setdefault(thing.job_id, []).append(thing)
        size += 1
    if batch:
        yield batch


def _told(things: list[Thing]) -> str:
    """``1 result (annotated.vcf.gz), 12 bytes``, and so on."""
    number, size_bytes = len(things), sum(thing.size_bytes for thing in things)
    what = " or ".join(sorted({thing.kind.value for thing in things}))
    place = things[0].place
    first = place.key if isinstance(place, StoredObject) else f"archive {place[:16]}..."
    if number == 1:
        return f"1 {what}, {first}, {size_bytes:,} bytes"
    return f"{number:,} things ({what}), the first {first}, {size_bytes:,} bytes in all"


def _kind(thing: Thing) -> Kind:
    return thing.kind


def _identity(place: StoredObject | str) -> tuple[str, ...]:
    return (place,) if isinstance(place, str) else (place.bucket, place.key, place.version_id)
