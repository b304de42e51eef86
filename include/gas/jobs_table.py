"""The record of jobs in DynamoDB: who may change what, and in which state.

Every change is one conditional write. A refusal is told from trouble by its code alone, and a write that AWS applied
but whose answer was lost is recognised when it is sent again, so that each call may be repeated safely.

Attempts are fenced. An attempt's token must sort after the tokens of earlier attempts (the ``annotate`` DAG makes it
from the try number and the task instance's time-ordered id): an attempt takes a job only from an earlier one, and an
attempt that was overtaken can neither report, complete nor fail it.

Indexes: ``of-user`` (``user_id``, ``user_order`` = time and job id) lists a person's jobs, ``of-month``
(``submit_month``, ``user_order``) everybody's; ``open`` holds only jobs for which somebody still has something to do,
and ``due`` only results that wait to be archived, both oldest first. Where a result lies is changed by
:mod:`gas.storage_table` alone. ``notices`` holds those whose owner is to be told of something, see
:mod:`gas.notices_table`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from gas.dynamodb import ConditionFailed, Item, Table
from gas.errors import Conflict, Fenced, InputError, NotFound
from gas.job import ArchiveBackend, Job, JobStatus, Output, Progress, StorageState, StoredObject, Trash
from gas.notice import Kind, to_tell
from gas.record_schema import LAYOUT, current, submit_month

Record = TypeVar("Record")

USER_INDEX = "of-user"
MONTH_INDEX = "of-month"
OPEN_INDEX = "open"
DUE_INDEX = "due"
#: The one hash key of a sparse index: an item is in the index exactly while it has the attribute.
PRESENT = "y"

PAGE_LIMIT = 100
#: Jobs looked at for one page of a search before it is handed out short, with a cursor: about 1 MB of the index, which
#: DynamoDB reads at a time. ``benchmarks/account.py`` measures it.
LOOKED_AT = 4000
#: While too little is found, each read looks at so many times more jobs than the one before it.
LOOK_FURTHER = 16
#: Index rows read at a time where all of them are wanted.
INDEX_PAGE = 1000
ERROR_CHARACTERS = 2000
NOTES = 100
NOTE_CHARACTERS = 500
COUNTS_BYTES = 64 * 1024  # an item holds at most 400 KB

#: Sorts behind every ``user_order``.
_BEHIND_ALL = "9" * 12 + "~"
_ORDER = re.compile(r"^[0-9]{12}#[0-9a-f-]{36}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Record]):
    """Some records, and where the next page begins (``None`` at the end)."""

    items: list[Record]
    cursor: str | None
    reached: int | None = None
    """Where there is more: of the last record looked at, when it was submitted (POSIX seconds)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of a person's jobs are looked for; what is left empty does not matter."""

    name: str = ""
    """A part of the file name, in capitals or not."""
    status: JobStatus | None = None
    storage: StorageState | None = None
    reference: str = ""
    after: int | None = None
    """Submitted then or later, in POSIX seconds."""
    before: int | None = None
    """Submitted earlier than that."""

    def fits(self, job: Job) -> bool:
        """Whether the job, as it is now, is one of them: an index may tell of how it was."""
        return (
            job.storage_state is not StorageState.DELETING
            and self.name.casefold() in job.input_file_name.casefold()
            and self.status in (None, job.job_status)
            and self.storage in (None, job.storage_state)
            and self.reference in ("", job.reference)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """The same in DynamoDB's words."""

    condition: str
    filter_expression: str | None
    names: Mapping[str, str]
    values: Mapping[str, Any]
    first: str
    last: str


class Ended(Conflict):
    """The job has ended already; ``job`` is how."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.job_id} is already {job.job_status}")
        self.job = job


class JobsTable:
    """Jobs by id and by person. ``now`` gives POSIX seconds."""

    def __init__(self, table: Table, *, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._now = now

    @property
    def table(self) -> Table:
        """The records themselves, for what works on all of them."""
        return self._table

    def create(self, job: Job) -> Job:
        """Record a new job; the same person's job of that id, where there is one, is returned as it stands.

        :raises Conflict: when the id belongs to somebody else.
        """
        try:
            self._table.put_new(_new_item(job))
        except ConditionFailed as error:
            there = job_from_item(error.item) if error.item else self.get(job.job_id)
            if there.user_id != job.user_id:
                raise Conflict("this job id cannot be used; begin a new upload") from None
            return there
        return job

    def get(self, job_id: str) -> Job:
        """The job, read consistently. For GAS's own work: a person's request goes through :meth:`owned`.

        :raises NotFound: when there is none.
        """
        item = self._table.get(job_id)
        if item is None:
            raise _no_such(job_id)
        return job_from_item(item)

    def owned(self, job_id: str, user_id: str) -> Job:
        """The person's own job; another's, and one that is being deleted, is as absent as one that never was.

        :raises NotFound: in each of these cases, with one and the same sentence.
        """
        job = self.get(job_id)
        if job.user_id != user_id or job.storage_state is StorageState.DELETING:
            raise _no_such(job_id)
        return job

    def of_user(
        self,
        user_id: str,
        *,
        limit: int = 50,
        cursor: str | None = None,
        wanted: Wanted | None = None,
    ) -> Page[Job]:
        """The person's jobs, newest first. Which jobs is read from an index, each job itself consistently.

        A page may hold fewer than ``limit`` jobs although there are more: only the cursor tells. Where jobs are looked
        for, at most ``LOOKED_AT`` of them are looked at for one page, so that it takes no longer in a large account.

        :param wanted: which of them; all, unless given.
        :raises InputError: when ``limit`` is not 1 to 100 or the cursor is not one that GAS made for this search.
        """
        if not 1 <= limit <= PAGE_LIMIT:
            raise InputError(f"a page holds 1 to {PAGE_LIMIT} jobs, not {limit}")
        wanted = wanted or Wanted()
        search = _search(user_id, wanted)
        after = None
        if cursor:
            order = _order_from(cursor, first=search.first, last=search.last)
            after = {"user_id": user_id, "user_order": order, "job_id": order.partition("#")[2]}
        found: list[Item] = []
        left = LOOKED_AT if search.filter_expression else limit + 1
        page = limit + 1  # at first: most searches find enough at once, and what is found has to travel
        while True:
            rows = self._table.query_once(
                index=USER_INDEX,
                condition=search.condition,
                values=search.values,
                filter_expression=search.filter_expression,
                names=search.names,
                page=min(page, left),
                after=after,
            )
            found += rows.items
            after = rows.last_key
            left -= rows.looked_at
            page *= LOOK_FURTHER
            if after is None or left <= 0 or len(found) > limit:
                break
        last = None
        if len(found) > limit:
            last = found[limit - 1]["user_order"]
        elif after is not None:
            last = after["user_order"]
        jobs = self.find_many([row["job_id"] for row in found[:limit]])
        return Page(
            items=[job for job in jobs if wanted.fits(job)],
            cursor=base64.urlsafe_b64encode(last.encode()).decode() if last else None,
            reached=int(last.partition("#")[0]) if last else None,
        )

    def rows_since(self, user_id: str, since: int, *, most: int) -> tuple[list[Item], bool]:
        """Index rows of the person's jobs submitted at ``since`` (POSIX seconds) or later; whether there are more.

        The newest ``most`` of them, as the index tells them: a moment old, and without what only the job itself has.
        """
        rows: list[Item] = []
        after: Mapping[str, Any] | None = None
        while True:
            read = self._table.query_once(
                index=USER_INDEX,
                condition="user_id = :user AND user_order >= :first",
                values={":user": user_id, ":first": f"{since:012d}#"},
                page=most - len(rows),
                after=after,
            )
            rows += read.items
            after = read.last_key
            if after is None or len(rows) >= most:
                return rows, after is not None

    def start(self, job_id: str, attempt: str) -> Job:
        """Give the job to this attempt. Repeating it with the same token is safe.

        :raises Ended: when the job has ended.
        :raises Fenced: when a later attempt has it.
        :raises NotFound: when there is no such job.
        """
        values = {
            ":running": JobStatus.RUNNING,
            ":pending": JobStatus.PENDING,
            ":attempt": attempt,
            ":attempts": [attempt],
            ":none": [],
            ":now": int(self._now()),
            ":progress": asdict(Progress(stage="starting")),
        }
        return self._change(
            job_id,
            attempt,
            update=(
                "SET job_status = :running, attempt = :attempt, progress = :progress, "
                "attempts = list_append(if_not_exists(attempts, :none), :attempts), "
                "start_time = if_not_exists(start_time, :now)"
            ),
            condition=(
                "job_status = :pending OR (job_status = :running AND "
                "(attribute_not_exists(attempt) OR attempt < :attempt))"
            ),
            values=values,
            done=lambda job: job.job_status is JobStatus.RUNNING and job.attempt == attempt,
        )

    def report(self, job_id: str, attempt: str, progress: Progress) -> None:
        """Write how far the attempt is; meant for about once a second.

        :raises Ended: when the job has ended meanwhile, for instance because it was cancelled.
        :raises Fenced: when another attempt has it.
        """
        self._change(
            job_id,
            attempt,
            update="SET progress = :progress",
            condition="job_status = :running AND attempt = :attempt",
            values={":running": JobStatus.RUNNING, ":attempt": attempt, ":progress": asdict(progress)},
            done=lambda _: False,
        )

    def complete(
        self,
        job_id: str,
        attempt: str,
        outputs: Mapping[Output, StoredObject],
        counts: Mapping[str, Any],
        notes: Sequence[str],
        *,
        input_sha256: str = "",
        made_on: str | None = None,
        changes: Mapping[str, Any] | None = None,
        tell_of: Kind | None = Kind.ENDED,
    ) -> Job:
        """The commit: in one write the job is COMPLETED, its outputs are named, its archival delay begins, and there is
        something to tell its owner.

        :param made_on: the checksum of the reference, as :class:`gas.job.Job` has it.
        :param changes: what it came to beside the result that it is compared with.
        :param tell_of: what its owner is told of; nothing where ``None``.
        :raises Ended: when the job has ended otherwise.
        :raises Fenced: when another attempt has it. The caller deletes what it put.
        """
        now = int(self._now())
        result = outputs[Output.VCF]
        tell, notice = to_tell(tell_of, now) if tell_of else ("", {})
        known = {name: value for name, value in (("changes", changes), ("made_on", made_on)) if value is not None}
        told = "".join(f"{part}, " for part in (tell, *(f"{name} = :{name}" for name in known)) if part)
        return self._change(
            job_id,
            attempt,
            update=(
                f"SET {told}job_status = :completed, outputs = :outputs, complete_time = :now, "
                "counts = :counts, notes = :notes, storage_state = :hot, due_since = :now, due = :yes, notified = :no, "
                "s3_results_bucket = :bucket, s3_key_result_file = :result, s3_key_log_file = :log, "
                "#input.sha256 = :input_sha256 REMOVE progress"
            ),
            condition="job_status = :running AND attempt = :attempt",
            names={"#input": "input"},
            values={
                **notice,
                ":completed": JobStatus.COMPLETED,
                ":running": JobStatus.RUNNING,
                ":attempt": attempt,
                ":outputs": {output.value: asdict(stored) for output, stored in outputs.items()},
                ":now": now,
                ":counts": _bounded(counts),
                ":notes": [note[:NOTE_CHARACTERS] for note in notes[:NOTES]],
                ":hot": StorageState.HOT,
                ":yes": PRESENT,
                ":no": False,
                ":bucket": result.bucket,
                ":result": result.key,
                ":log": outputs[Output.LOG].key,
                ":input_sha256": input_sha256,
                **{f":{name}": value for name, value in known.items()},
            },
            done=lambda job: job.job_status is JobStatus.COMPLETED and job.attempt == attempt,
        )

    def fail(self, job_id: str, attempt: str | None, error: str, kind: str) -> Job:
        """End the job as FAILED with a sentence for the person.

        With a token it is refused where a *later* attempt has the job; an earlier attempt's job, left by a worker
        that died, is failed too. Without one, whatever has not ended is failed.

        :raises Ended: when the job has ended, unless this very call ended it.
        :raises Fenced: when a later attempt has it.
        """
        condition = "(job_status = :pending OR job_status = :running)"
        now = int(self._now())
        tell, notice = to_tell(Kind.ENDED, now)
        values: dict[str, Any] = {
            **notice,
            ":pending": JobStatus.PENDING,
            ":running": JobStatus.RUNNING,
            ":failed": JobStatus.FAILED,
            ":now": now,
            ":error": error[:ERROR_CHARACTERS],
            ":kind": kind,
        }
        update = f"SET {tell}, job_status = :failed, complete_time = :now, error_sentence = :error, error_kind = :kind"
        if attempt is not None:
            condition += " AND (attribute_not_exists(attempt) OR attempt <= :attempt)"
            update += ", attempt = :attempt"
            values[":attempt"] = attempt
        return self._change(
            job_id,
            attempt,
            update=f"{update} REMOVE progress, #open",
            condition=condition,
            names={"#open": "open"},
            values=values,
            done=lambda job: job.job_status is JobStatus.FAILED and attempt is not None and job.attempt == attempt,
        )

    def cancel(self, job_id: str, user_id: str) -> Job:
        """End the person's own job before it is done; its attempt stops at its next report.

        It stays open until what its attempts left was swept.

        :raises Ended: when the job has ended.
        :raises NotFound: when it is not the person's.
        """
        self.owned(job_id, user_id)
        return self._change(
            job_id,
            None,
            update="SET job_status = :cancelled, complete_time = :now REMOVE progress",
            condition="user_id = :user AND (job_status = :pending OR job_status = :running)",
            values={
                ":cancelled": JobStatus.CANCELLED,
                ":pending": JobStatus.PENDING,
                ":running": JobStatus.RUNNING,
                ":user": user_id,
                ":now": int(self._now()),
            },
            done=lambda job: job.job_status is JobStatus.CANCELLED,
        )

    def rename(self, job_id: str, user_id: str, file_name: str) -> Job:
        """Show the person's own job under another file name. The caller has checked the name.

        :raises NotFound: when it is not the person's, or is being deleted.
        """
        try:
            item = self._table.update(
                job_id,
                update="SET input_file_name = :name, name_folded = :folded",
                condition="user_id = :user AND (attribute_not_exists(storage_state) OR storage_state <> :deleting)",
                values={
                    ":name": file_name,
                    ":folded": file_name.casefold(),
                    ":user": user_id,
                    ":deleting": StorageState.DELETING,
                },
            )
        except ConditionFailed:
            raise _no_such(job_id) from None
        return job_from_item(item)

    def remember_latest(self, job_id: str, latest_job_id: str) -> None:
        """Remember the last job that annotates this one's input again, unless this one is gone or going."""
        with suppress(ConditionFailed):
            self._table.update(
                job_id,
                update="SET latest_job_id = :latest",
                condition="job_status = :completed AND storage_state <> :deleting",
                values={
                    ":latest": latest_job_id,
                    ":completed": JobStatus.COMPLETED,
                    ":deleting": StorageState.DELETING,
                },
            )

    def settle_cancelled(self, job_id: str) -> None:
        """Nobody has anything to do for a CANCELLED job any more; one that is being deleted is left as it is."""
        with suppress(ConditionFailed):
            self._table.update(
                job_id,
                update="REMOVE #open",
                condition="job_status = :cancelled AND attribute_not_exists(storage_state)",
                names={"#open": "open"},
                values={":cancelled": JobStatus.CANCELLED},
            )

    def mark_notified(self, job_id: str) -> None:
        """Remember that the topic has been told that the job completed, unless it is being deleted."""
        with suppress(ConditionFailed):
            self._table.update(
                job_id,
                update="SET notified = :yes REMOVE #open",
                condition="notified = :no AND storage_state = :hot",
                names={"#open": "open"},
                values={":yes": True, ":no": False, ":hot": StorageState.HOT},
            )

    def ids_of_user(self, user_id: str) -> Iterator[str]:
        """The ids of all the person's jobs, newest first, from an index."""
        rows = self._table.query(
            index=USER_INDEX, condition="user_id = :user", values={":user": user_id}, page=INDEX_PAGE
        )
        return (row["job_id"] for row in rows)

    def due(self, *, before: int, after: int | None = None) -> Iterator[tuple[str, str]]:
        """Owner and id of each job whose result waits to be archived, oldest first, from an index.

        :param before: due since before this time.
        :param after: due since this time or later.
        """
        rows = self._table.query(
            index=DUE_INDEX,
            condition="due = :yes AND due_since BETWEEN :after AND :last",
            values={":yes": PRESENT, ":after": after or 0, ":last": before - 1},
            page=INDEX_PAGE,
            forward=True,
        )
        return ((row["user_id"], row["job_id"]) for row in rows)

    def open_ids(self) -> Iterator[str]:
        """The id of each job for which somebody still has something to do, oldest first, from an index."""
        rows = self._table.query(
            index=OPEN_INDEX,
            condition="#open = :yes",
            values={":yes": PRESENT},
            names={"#open": "open"},
            page=INDEX_PAGE,
            forward=True,
        )
        return (row["job_id"] for row in rows)

    def pending_before(self, job: Job) -> tuple[int, bool]:
        """How many jobs, whoever's, wait for longer than this one, and whether there may be more than were looked at.

        From an index.
        """
        rows = self._table.query_once(
            index=OPEN_INDEX,
            condition="#open = :yes AND submit_time < :then",
            filter_expression="job_status = :pending",
            values={":yes": PRESENT, ":then": job.submit_time, ":pending": JobStatus.PENDING},
            names={"#open": "open"},
            page=INDEX_PAGE,
            forward=True,
        )
        return len(rows.items), rows.last_key is not None

    def submitted_between(self, after: int, before: int) -> Iterator[str]:
        """The ids of everybody's jobs submitted from ``after`` on and before ``before``, oldest first."""
        month = submit_month(after)
        while after < before and month <= submit_month(before - 1):
            rows = self._table.query(
                index=MONTH_INDEX,
                condition="submit_month = :month AND user_order BETWEEN :first AND :last",
                values={":month": month, ":first": f"{after:012d}#", ":last": f"{before:012d}#"},
                page=INDEX_PAGE,
                forward=True,
            )
            yield from (row["job_id"] for row in rows)
            year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
            month = f"{year:04d}-{number + 1:02d}"

    def find(self, job_id: str) -> Job | None:
        """The job, read consistently; ``None`` where there is none."""
        item = self._table.get(job_id)
        return None if item is None else job_from_item(item)

    def find_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of the jobs that exist, read consistently, in the given order."""
        items = self._table.get_many(job_ids)
        return [job_from_item(items[job_id]) for job_id in job_ids if job_id in items]

    def _change(
        self,
        job_id: str,
        attempt: str | None,
        *,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        done: Callable[[Job], bool],
        names: Mapping[str, str] | None = None,
    ) -> Job:
        """A transition. ``done`` recognises a job on which it was applied already, by a write whose answer was lost."""
        try:
            item = self._table.update(job_id, update=update, condition=condition, values=values, names=names)
        except ConditionFailed as error:
            if error.item is None:
                raise _no_such(job_id) from None
            job = job_from_item(error.item)
            if done(job):
                return job
            if job.job_status.ended:
                raise Ended(job) from None
            raise Fenced(f"attempt {attempt} of job {job_id} was overtaken by attempt {job.attempt}") from None
        return job_from_item(item)


def job_from_item(item: Item) -> Job:
    """The job that a DynamoDB item holds, whichever GAS wrote it."""
    item = current(item)
    state = item.get("storage_state")
    progress = item.get("progress")
    backend = item.get("archive_backend")
    return Job(
        job_id=item["job_id"],
        user_id=item["user_id"],
        input_file_name=item["input_file_name"],
        reference=item["reference"],
        submit_time=item["submit_time"],
        job_status=JobStatus(item["job_status"]),
        input=StoredObject(**item["input"]),
        outputs={Output(name): StoredObject(**stored) for name, stored in item.get("outputs", {}).items()},
        complete_time=item.get("complete_time"),
        start_time=item.get("start_time"),
        counts=item.get("counts", {}),
        notes=tuple(item.get("notes", ())),
        error=item.get("error_sentence"),
        error_kind=item.get("error_kind"),
        progress=Progress(**progress) if progress else None,
        attempt=item.get("attempt"),
        attempts=tuple(item.get("attempts", ())),
        storage_state=StorageState(state) if state else None,
        due_since=item.get("due_since"),
        notified=item.get("notified", False),
        is_open="open" in item,
        archive_token=item.get("archive_token"),
        archive_backend=ArchiveBackend(backend) if backend else None,
        archive_time=item.get("archive_time"),
        archive_id=item.get("archive_id"),
        s3_deleted=item.get("s3_deleted", False),
        restore_time=item.get("restore_time"),
        retrieval_job_id=item.get("retrieval_job_id"),
        retrieval_tier=item.get("retrieval_tier"),
        retrieval_time=item.get("retrieval_time"),
        keep_s=item.get("keep_s"),
        storage_error=item.get("storage_error"),
        trash=_trash(item.get("trash")),
        origin_job_id=item.get("origin_job_id"),
        previous_job_id=item.get("previous_job_id"),
        latest_job_id=item.get("latest_job_id"),
        changes=item.get("changes"),
        made_on=item.get("made_on"),
        deleted_time=item.get("deleted_time"),
        tags=item.get("tags", {}),
    )


def _trash(item: Item | None) -> Trash | None:
    if item is None:
        return None
    return Trash(
        token=item["token"],
        backend=ArchiveBackend(item["backend"]),
        archive_id=item.get("archive_id"),
        versions=tuple(StoredObject(**version) for version in item["versions"]),
    )


def _new_item(job: Job) -> Item:
    return {
        "job_id": job.job_id,
        "user_id": job.user_id,
        "user_order": f"{job.submit_time:012d}#{job.job_id}",
        "submit_month": submit_month(job.submit_time),
        "schema": LAYOUT,
        "input_file_name": job.input_file_name,
        "name_folded": job.input_file_name.casefold(),
        "reference": job.reference,
        "submit_time": job.submit_time,
        "job_status": job.job_status,
        "open": PRESENT,
        "input": asdict(job.input),
        "s3_inputs_bucket": job.input.bucket,
        "s3_key_input_file": job.input.key,
        "notified": False,
        **({"tags": dict(job.tags)} if job.tags else {}),
        **({"origin_job_id": job.origin_job_id} if job.origin_job_id else {}),
        **({"previous_job_id": job.previous_job_id} if job.previous_job_id else {}),
    }


def _no_such(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id}")


def _search(user_id: str, wanted: Wanted) -> _Search:
    values: dict[str, Any] = {":user": user_id}
    condition = "user_id = :user"
    first = f"{wanted.after or 0:012d}#"
    last = f"{wanted.before:012d}#" if wanted.before is not None else _BEHIND_ALL
    if wanted.after is not None or wanted.before is not None:
        condition += " AND user_order BETWEEN :first AND :last"
        values |= {":first": first, ":last": last}
    tests = []
    names = {}
    for attribute, value in (
        ("job_status", wanted.status),
        ("storage_state", wanted.storage),
        ("reference", wanted.reference),
    ):
        if value:
            tests.append(f"#{attribute} = :{attribute}")
            names[f"#{attribute}"] = attribute
            values[f":{attribute}"] = value
    if wanted.name:
        tests.append("contains(name_folded, :name)")
        values[":name"] = wanted.name.casefold()
    return _Search(
        condition=condition,
        filter_expression=" AND ".join(tests) or None,
        names=names,
        values=values,
        first=first,
        last=last,
    )


def _order_from(cursor: str, *, first: str, last: str) -> str:
    try:
        order = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, UnicodeError):
        order = ""
    if not _ORDER.fullmatch(order) or not first <= order <= last:
        raise InputError("this cursor is not one that GAS gave out for these jobs; begin again without it")
    return order


def _bounded(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The counts, without the longest tables where all together would not fit an item; the summary has them all."""
    kept = dict(counts)
    while len(json.dumps(kept)) > COUNTS_BYTES:
        del kept[max(kept, key=lambda name: len(json.dumps(kept[name])))]
    return kept
