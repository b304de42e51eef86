"""Where a job's result lies, and who may move it: the conditional writes of its storage state.

::

    HOT --claim--> ARCHIVING --commit--> ARCHIVED --thaw_start--> THAWING --thaw_commit--> HOT with trash
                   ARCHIVING --unarchive--> HOT with trash                       any --mark_deleting--> DELETING

A write is applied, or it is refused and changes nothing; refusals are ordinary and no errors. Whoever is refused reads
the record and acts on what it says: if it names what they made, their own write was applied and its answer lost.
Ids and tokens are never used twice, so a condition on one cannot be met by accident. Where the owner's plan matters it
is checked in the same transaction. Delays are seconds.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from gas.dynamodb import CHANGES_AT_ONCE, Change, Check, ConditionFailed, Item, Table
from gas.job import (
    ARCHIVED_OUTPUTS,
    ArchiveBackend,
    Job,
    JobStatus,
    Output,
    StorageState,
    StoredObject,
    Trash,
)
from gas.jobs_table import PRESENT, job_from_item
from gas.notice import Kind, to_tell
from gas.profiles_table import Profile, Tier

#: Words of the record that DynamoDB's expressions reserve.
_NAMES = {"#open": "open", "#token": "token", "#index": "index", "#table": "table"}
_CLAIM_FIELDS = "archive_token, archive_backend, archive_time"
_RETRIEVAL_FIELDS = "retrieval_job_id, retrieval_tier, retrieval_time"


class StorageTable:
    """Storage states in the table of jobs. ``now`` gives POSIX seconds."""

    def __init__(self, jobs: Table, profiles: Table, *, now: Callable[[], float] = time.time) -> None:
        self._jobs = jobs
        self._profiles = profiles
        self._now = now

    def now(self) -> int:
        """The time of the records, in POSIX seconds."""
        return int(self._now())

    # To the archive.

    def claim(self, jobs: Sequence[Job], *, token: str, backend: ArchiveBackend, delay_s: int) -> list[Job] | None:
        """Take one person's HOT results, who is on the free plan, when their delays and the person's are over.

        :param jobs: at most :data:`gas.dynamodb.CHANGES_AT_ONCE`.
        :param token: of this claim, never used before.
        :returns: the jobs as they are now; ``None`` when one of them was refused, and so none was taken.
        """
        now = self.now()
        (user_id,) = {job.user_id for job in jobs}
        applied = self._update_checked(
            *(
                self._change(
                    job,
                    update=(
                        "SET storage_state = :archiving, archive_token = :token, archive_backend = :backend, "
                        "archive_time = :now, #open = :yes REMOVE due, storage_error"
                    ),
                    condition=(
                        "storage_state = :hot AND attribute_not_exists(trash) AND notified = :true "
                        "AND due_since <= :latest AND outputs.vcf.version_id = :version"
                    ),
                    values={
                        ":archiving": StorageState.ARCHIVING,
                        ":hot": StorageState.HOT,
                        ":token": token,
                        ":backend": backend,
                        ":now": now,
                        ":latest": now - delay_s,
                        ":version": job.outputs[Output.VCF].version_id,
                        ":yes": PRESENT,
                        ":true": True,
                    },
                )
                for job in jobs
            ),
            check=self._is_free(user_id, since=now - delay_s),
        )
        if not applied:
            return None
        return [
            replace(
                job,
                storage_state=StorageState.ARCHIVING,
                archive_token=token,
                archive_backend=backend,
                archive_time=now,
                is_open=True,
                storage_error=None,
            )
            for job in jobs
        ]

    def commit(self, job: Job, archive_id: str, *, delay_s: int) -> Job | None:
        """The record of an ARCHIVING result names its cold copy, if the owner is on the free plan still.

        :returns: the job as it is now; ``None`` when refused.
        """
        now = self.now()
        applied = self._update_checked(
            self._change(
                job,
                update=(
                    "SET storage_state = :archived, archive_id = :id, results_file_archive_id = :id, "
                    "archive_time = :now REMOVE due_since"
                ),
                condition="storage_state = :archiving AND archive_token = :token",
                values={
                    ":archived": StorageState.ARCHIVED,
                    ":archiving": StorageState.ARCHIVING,
                    ":token": job.archive_token,
                    ":id": archive_id,
                    ":now": now,
                },
            ),
            check=self._is_free(job.user_id, since=now - delay_s),
        )
        if not applied:
            return None
        return replace(
            job, storage_state=StorageState.ARCHIVED, archive_id=archive_id, archive_time=now, due_since=None
        )

    def unarchive(self, job: Job, *, archive_id: str | None, listed: bool, damage: str | None = None) -> Job | None:
        """Give up an ARCHIVING result, whose hot versions are all there: HOT, its copy in the trash.

        :param archive_id: of the copy that was made, as far as known.
        :param listed: whether the copy can be found without its id.
        :param damage: what a person must look at; the result is then not due again by itself.
        """
        sets = ["storage_state = :hot"]
        removes = [_CLAIM_FIELDS]
        values: dict[str, Any] = {
            ":hot": StorageState.HOT,
            ":archiving": StorageState.ARCHIVING,
            ":archive_token": job.archive_token,
        }
        if archive_id or listed:
            sets.append("trash = :trash")
            values[":trash"] = _trash_item(_trash_of(job, archive_id=archive_id, versions=()))
        else:
            removes.append("#open")
        if damage:
            sets.append("storage_error = :damage")
            removes.append("due, due_since")
            values[":damage"] = damage
        else:
            sets.append("due = :yes")
            values[":yes"] = PRESENT
        return self._update(
            job.job_id,
            update=f"SET {', '.join(sets)} REMOVE {', '.join(removes)}",
            condition="storage_state = :archiving AND archive_token = :archive_token",
            values=values,
        )

    def hot_deleted(self, jobs: Sequence[Job]) -> None:
        """Remember that the hot versions of ARCHIVED results are gone; one that has moved on meanwhile is left."""
        changes = [
            self._change(
                job,
                update="SET s3_deleted = :true REMOVE #open",
                condition="storage_state = :archived AND archive_token = :archive_token",
                values={":archived": StorageState.ARCHIVED, ":archive_token": job.archive_token, ":true": True},
            )
            for job in jobs
        ]
        for first in range(0, len(changes), CHANGES_AT_ONCE):
            together = changes[first : first + CHANGES_AT_ONCE]
            if not self._update_checked(*together) and len(together) > 1:
                for change in together:
                    self._update_checked(change)

    def drop_due(self, job: Job, profile: Profile) -> bool:
        """A premium person's HOT result waits for no delay; returns whether this was applied."""
        return self._update_checked(
            self._change(
                job,
                update="REMOVE due, due_since",
                condition="storage_state = :hot AND due_since = :seen",
                values={":hot": StorageState.HOT, ":seen": job.due_since},
            ),
            check=Check(
                table=self._profiles,
                key=profile.user_id,
                condition="tier = :premium AND tier_version = :version",
                values={":premium": Tier.PREMIUM, ":version": profile.tier_version},
            ),
        )

    def date(self, job_id: str, *, due_since: int) -> Job | None:
        """A HOT result waits for its delay from this time on, unless it does from a later one."""
        return self._update(
            job_id,
            update="SET due_since = :since, due = :yes",
            condition="storage_state = :hot AND (attribute_not_exists(due_since) OR due_since < :since)",
            values={":hot": StorageState.HOT, ":since": due_since, ":yes": PRESENT},
        )

    # And back.

    def thaw_start(self, job_id: str, *, keep_s: int | None = None) -> Job | None:
        """Take an ARCHIVED result to bring it back."""
        values = {
            ":thawing": StorageState.THAWING,
            ":archived": StorageState.ARCHIVED,
            ":now": self.now(),
            ":yes": PRESENT,
        }
        keep = ""
        if keep_s is not None:
            keep, values[":keep"] = ", keep_s = :keep", keep_s
        return self._update(
            job_id,
            update=f"SET storage_state = :thawing, restore_time = :now, #open = :yes{keep}",
            condition="storage_state = :archived",
            values=values,
        )

    def retrieval(self, job: Job, *, retrieval_job_id: str, tier: str) -> Job | None:
        """Record the retrieval that was asked for, unless another is recorded: then that one is waited for."""
        return self._update(
            job.job_id,
            update="SET retrieval_job_id = :id, retrieval_tier = :tier, retrieval_time = :now",
            condition=(
                "storage_state = :thawing AND archive_id = :archive_id AND attribute_not_exists(retrieval_job_id)"
            ),
            values={
                ":thawing": StorageState.THAWING,
                ":archive_id": job.archive_id,
                ":id": retrieval_job_id,
                ":tier": tier,
                ":now": self.now(),
            },
        )

    def forget_retrieval(self, job: Job, *, damage: str | None = None) -> Job | None:
        """A retrieval failed or expired: the next is to be asked for."""
        values = {":thawing": StorageState.THAWING, ":seen": job.retrieval_job_id}
        said = ""
        if damage:
            said, values[":damage"] = "SET storage_error = :damage ", damage
        return self._update(
            job.job_id,
            update=f"{said}REMOVE {_RETRIEVAL_FIELDS}",
            condition="storage_state = :thawing AND retrieval_job_id = :seen",
            values=values,
        )

    def thaw_commit(self, job: Job, outputs: Mapping[Output, StoredObject], *, trouble: str | None) -> Job | None:
        """The record names the new versions, and the owner is to be told; the cold copy and the old versions are trash.

        :param outputs: the new VCF, and what could be rebuilt of index and table.
        :param trouble: what a person must look at, where one of these could not be rebuilt.
        """
        old = tuple(job.outputs[output] for output in ARCHIVED_OUTPUTS if output in job.outputs)
        tell, notice = to_tell(Kind.RESTORED, self.now())
        sets = [
            tell,
            "storage_state = :hot",
            "due_since = :due",
            "due = :yes",
            "trash = :trash",
            *(f"outputs.{_name(output)} = :{output}" for output in outputs),
        ]
        removes = [
            _CLAIM_FIELDS,
            _RETRIEVAL_FIELDS,
            "archive_id, results_file_archive_id, restore_time, keep_s, s3_deleted",
            *(f"outputs.{_name(output)}" for output in ARCHIVED_OUTPUTS if output not in outputs),
        ]
        values = {
            ":hot": StorageState.HOT,
            ":thawing": StorageState.THAWING,
            ":archive_id": job.archive_id,
            ":due": self.now() + (job.keep_s or 0),
            ":yes": PRESENT,
            ":trash": _trash_item(_trash_of(job, archive_id=job.archive_id, versions=old)),
            **{f":{output}": asdict(stored) for output, stored in outputs.items()},
            **notice,
        }
        if trouble:
            sets.append("storage_error = :trouble")
            values[":trouble"] = trouble
        else:
            removes.append("storage_error")
        return self._update(
            job.job_id,
            update=f"SET {', '.join(sets)} REMOVE {', '.join(removes)}",
            condition="storage_state = :thawing AND archive_id = :archive_id",
            values=values,
        )

    # What all of them leave.

    def trash_emptied(self, job: Job) -> Job | None:
        """Forget the trash that the job shows: all of it is deleted."""
        token = job.trash.token if job.trash else None
        return self._update(
            job.job_id,
            update="REMOVE trash, #open",
            condition="storage_state = :hot AND trash.#token = :token",
            values={":hot": StorageState.HOT, ":token": token},
        )

    def trouble(self, job: Job, sentence: str) -> Job | None:
        """Record what a person must look at, while the result is where it was seen."""
        same: dict[str, str | None] = {":seen": job.storage_state}
        condition = "storage_state = :seen"
        if job.archive_id:
            same[":archive_id"] = job.archive_id
            condition += " AND archive_id = :archive_id"
        return self._update(
            job.job_id,
            update="SET storage_error = :sentence",
            condition=condition,
            values={":sentence": sentence, **same},
        )

    def settle(self, job: Job) -> Job | None:
        """Take a job off the list of those that somebody has to see to, where nobody has."""
        return self._update(
            job.job_id,
            update="REMOVE #open",
            condition=(
                "(storage_state = :hot AND attribute_not_exists(trash) AND notified = :true) OR "
                "(storage_state = :archived AND s3_deleted = :true)"
            ),
            values={":hot": StorageState.HOT, ":archived": StorageState.ARCHIVED, ":true": True},
        )

    # Deleting.

    def mark_deleting(self, job: Job) -> Job | None:
        """The owner's wish: hidden at once, and cancelled where it has not ended."""
        values: dict[str, Any] = {
            ":deleting": StorageState.DELETING,
            ":owner": job.user_id,
            ":pending": JobStatus.PENDING,
            ":running": JobStatus.RUNNING,
            ":yes": PRESENT,
        }
        working = "job_status IN (:pending, :running)"
        sets, removes = "storage_state = :deleting, #open = :yes", "due, due_since, notices, notice, notice_at"
        if not job.job_status.ended:
            sets += ", job_status = :cancelled, complete_time = :now"
            removes += ", progress"
            values |= {":cancelled": JobStatus.CANCELLED, ":now": self.now()}
        return self._update(
            job.job_id,
            update=f"SET {sets} REMOVE {removes}",
            condition=f"user_id = :owner AND {'NOT ' if job.job_status.ended else ''}{working}",
            values=values,
        )

    def bury(self, job_id: str) -> Job | None:
        """A DELETING job was swept: only its tombstone stays."""
        return self._update(
            job_id,
            update=(
                "SET deleted_time = if_not_exists(deleted_time, :now), input_file_name = :blank, name_folded = :blank "
                "REMOVE outputs, counts, notes, tags, error_sentence, trash"
            ),
            condition="storage_state = :deleting",
            values={":deleting": StorageState.DELETING, ":now": self.now(), ":blank": ""},
        )

    def remove(self, job: Job) -> bool:
        """Delete the record of a job that is a tombstone; returns whether this was applied."""
        try:
            self._jobs.delete(
                job.job_id,
                condition="storage_state = :deleting AND deleted_time = :seen",
                values={":deleting": StorageState.DELETING, ":seen": job.deleted_time},
            )
        except ConditionFailed:
            return False
        return True

    def _update(self, job_id: str, *, update: str, condition: str, values: Mapping[str, Any]) -> Job | None:
        names = _names_in(update, condition)
        try:
            return job_from_item(
                self._jobs.update(job_id, update=update, condition=condition, values=values, names=names)
            )
        except ConditionFailed:
            return None

    def _change(self, job: Job, *, update: str, condition: str, values: Mapping[str, Any]) -> Change:
        names = _names_in(update, condition)
        return Change(key=job.job_id, update=update, condition=condition, values=values, names=names)

    def _update_checked(self, *changes: Change, check: Check | None = None) -> bool:
        try:
            self._jobs.update_checked(changes, check=check)
        except ConditionFailed:
            return False
        return True

    def _is_free(self, user_id: str, *, since: int) -> Check:
        return Check(
            table=self._profiles,
            key=user_id,
            condition="tier = :free AND free_since <= :latest",
            values={":free": Tier.FREE, ":latest": since},
        )


def new_token() -> str:
    """A token that no claim ever had, and no retrieval."""
    return uuid.uuid4().hex


def _names_in(*expressions: str) -> dict[str, str]:
    return {alias: name for alias, name in _NAMES.items() if any(alias in said for said in expressions)}


def _name(output: Output) -> str:
    return f"#{output}" if f"#{output}" in _NAMES else output.value


def _trash_of(job: Job, *, archive_id: str | None, versions: tuple[StoredObject, ...]) -> Trash:
    if job.archive_token is None or job.archive_backend is None:
        raise ValueError(f"job {job.job_id} was never claimed")
    return Trash(token=job.archive_token, backend=job.archive_backend, archive_id=archive_id, versions=versions)


def _trash_item(trash: Trash) -> Item:
    return {name: value for name, value in asdict(trash).items() if value is not None}
