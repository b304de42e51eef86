"""A vault's inventory: the only list of its archives that there is.

AWS takes stock of a vault about once a day, and hands the list out hours after it was asked for. So it is asked for,
waited for, and read later; what it lists may have been deleted since.
"""

from __future__ import annotations

import codecs
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gas.archive import RetrievalGone, RetrievalStatus
from gas.archive.vault import MISSING, OUR_ACCOUNT, STATUS
from gas.aws import Aws
from gas.dynamodb import code
from gas.errors import Unavailable
from gas.job import ArchiveBackend
from gas.objects import resumed
from gas.settings import Settings

if TYPE_CHECKING:
    from botocore.response import StreamingBody

log = logging.getLogger(__name__)

#: An inventory asked for less than so long ago is taken up rather than asked for again.
RECENT_S = timedelta(hours=12).total_seconds()

_LIST = re.compile(r'"ArchiveList"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedArchive:
    """An archive, as an inventory lists it."""

    archive_id: str
    description: str
    made_at: float
    """POSIX seconds."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultUpload:
    """An upload in parts that has not ended."""

    upload_id: str
    description: str
    begun_at: float
    """POSIX seconds."""


class VaultInventory:
    """Inventories of one vault, where there is one. ``now`` gives POSIX seconds."""

    def __init__(self, aws: Aws, settings: Settings, *, now: Callable[[], float] = time.time) -> None:
        self.name = settings.vault
        self._aws = aws
        self._in_use = settings.archive is ArchiveBackend.VAULT
        self._now = now

    def request(self) -> tuple[str, RetrievalStatus] | None:
        """Take up the inventory that is under way or was asked for lately, or else ask for one.

        :returns: its id and how it stands; ``None`` where there is no vault, or no inventory of it yet.
        """
        oldest = self._now() - RECENT_S
        for job in self._newest_first():
            status = STATUS[job["StatusCode"]]
            recent = status is RetrievalStatus.READY and _posix_s(job["CreationDate"]) > oldest
            if recent or status is RetrievalStatus.WAITING:
                return str(job["JobId"]), status
        asked = self.ask()
        return None if asked is None else (asked, RetrievalStatus.WAITING)

    def ask(self) -> str | None:
        """Ask for an inventory: its id; ``None`` where there is no vault, or no inventory of it yet."""
        try:
            return str(
                self._aws.glacier.initiate_job(
                    accountId=OUR_ACCOUNT,
                    vaultName=self.name,
                    jobParameters={"Type": "inventory-retrieval", "Format": "JSON"},
                )["jobId"]
            )
        except ClientError as error:
            if not self._is_absent(error):
                raise
            return None

    def latest(self) -> str | None:
        """The id of the inventory completed last that AWS still hands out; ``None`` where there is none."""
        ready = (job["JobId"] for job in self._newest_first() if STATUS[job["StatusCode"]] is RetrievalStatus.READY)
        return next(ready, None)

    def status(self, inventory_id: str) -> RetrievalStatus:
        """How an inventory stands that was asked for."""
        try:
            return STATUS[self._described(inventory_id)["StatusCode"]]
        except ClientError as error:
            if code(error) == MISSING:
                return RetrievalStatus.GONE
            raise

    def archives(self, inventory_id: str) -> Iterator[ListedArchive]:
        """What a completed inventory lists, read as a stream: a million archives take no more memory than one.

        :raises RetrievalGone: when it cannot be read (any more).
        :raises Unavailable: when it breaks off.
        """

        def body(offset: int) -> StreamingBody:
            optional = {}
            if offset:
                optional["range"] = f"bytes={offset}-{self._described(inventory_id)['InventorySizeInBytes'] - 1}"
            output: StreamingBody = self._aws.glacier.get_job_output(
                accountId=OUR_ACCOUNT, vaultName=self.name, jobId=inventory_id, **optional
            )["body"]
            return output

        try:
            for item in _items(resumed(body)):
                yield ListedArchive(
                    archive_id=item["ArchiveId"],
                    description=item.get("ArchiveDescription") or "",
                    made_at=_posix_s(item["CreationDate"]),
                    size_bytes=item["Size"],
                )
        except ClientError as error:
            if code(error) in (MISSING, "InvalidParameterValueException"):  # the latter before it is completed
                raise RetrievalGone(f"the inventory of vault {self.name} cannot be read: {code(error)}") from error
            raise

    def unfinished_uploads(self) -> Iterator[VaultUpload]:
        """Uploads in parts that have not ended."""
        pages = self._aws.glacier.get_paginator("list_multipart_uploads")
        try:
            for page in pages.paginate(accountId=OUR_ACCOUNT, vaultName=self.name):
                for upload in page["UploadsList"]:
                    yield VaultUpload(
                        upload_id=upload["MultipartUploadId"],
                        description=upload.get("ArchiveDescription") or "",
                        begun_at=_posix_s(upload["CreationDate"]),
                    )
        except ClientError as error:
            if not self._is_absent(error):
                raise

    def abort_upload(self, upload: VaultUpload) -> None:
        """Give up an upload, and its parts. Ended already is no error."""
        try:
            self._aws.glacier.abort_multipart_upload(
                accountId=OUR_ACCOUNT, vaultName=self.name, uploadId=upload.upload_id
            )
        except ClientError as error:
            if code(error) != MISSING:
                raise

    def _newest_first(self) -> list[Mapping[str, Any]]:
        """The inventories asked for that AWS still knows: a few, kept for a day. Retrievals are listed among them."""
        pages = self._aws.glacier.get_paginator("list_jobs")
        try:
            jobs = [
                job
                for page in pages.paginate(accountId=OUR_ACCOUNT, vaultName=self.name)
                for job in page["JobList"]
                if job["Action"] == "InventoryRetrieval"
            ]
        except ClientError as error:
            if not self._is_absent(error):
                raise
            return []
        return sorted(jobs, key=lambda job: _posix_s(job["CreationDate"]), reverse=True)

    def _described(self, inventory_id: str) -> Mapping[str, Any]:
        described: Mapping[str, Any] = self._aws.glacier.describe_job(
            accountId=OUR_ACCOUNT, vaultName=self.name, jobId=inventory_id
        )
        return described

    def _is_absent(self, error: ClientError) -> bool:
        """Whether there is no vault. New accounts may make none, and may not so much as ask."""
        if code(error) == "AccessDeniedException" and not self._in_use:
            log.warning("vault %s is taken for absent: %s", self.name, error)
            return True
        return code(error) == MISSING


def _items(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The elements of the document's list of archives, one at a time.

    :raises Unavailable: when the document ends before its list does.
    """
    decode = codecs.getincrementaldecoder("utf-8")().decode
    parse = json.JSONDecoder().raw_decode
    held, begun = "", False
    for chunk in chunks:
        held += decode(chunk)
        at = 0
        if not begun:
            start = _LIST.search(held)
            if start is None:
                continue
            at, begun = start.end(), True
        while True:
            at = _skipped(held, at)
            if held.startswith("]", at):
                return
            try:
                item, at = parse(held, at)
            except json.JSONDecodeError:  # it goes on in the next chunk
                break
            yield item
        held = held[at:]
    raise Unavailable("the vault's inventory breaks off before its end; try again")


def _skipped(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _posix_s(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
