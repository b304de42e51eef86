"""Where results lie that nobody is to download just now: one protocol, two back ends.

A *cold copy* is a result's VCF in the archive, made under the token of one claim and named by an id of its own. Which
back end holds a copy is in the job's record; the setting only decides for the copies that are still to be made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gas.errors import GasError
from gas.job import ArchiveBackend, Job, StoredObject

#: AWS gives Expedited retrievals of "all but the largest" archives, and names 250 MB as the bound.
EXPEDITED_BYTES = 250_000_000


class Outcome(StrEnum):
    """What one try to move a result came to."""

    ARCHIVED = "archived"
    """It is in the archive, and its hot versions are gone."""
    RETURNED = "returned"
    """Its owner upgraded meanwhile: it stays hot, and the copy is gone."""
    DROPPED = "dropped"
    """Its owner is premium: it waits for no delay any more."""
    THAWED = "thawed"
    """It can be downloaded again."""
    WAITING = "waiting"
    """Its retrieval has not ended."""
    DAMAGED = "damaged"
    """A copy differs from the result that the record speaks of; the record says so, and nothing was deleted for it."""
    NOTHING = "nothing"
    """There was nothing to do, or another process does it."""


class RetrievalTier(StrEnum):
    """How fast a retrieval is to be, in AWS's words: minutes, or hours."""

    EXPEDITED = "Expedited"
    STANDARD = "Standard"


class RetrievalStatus(StrEnum):
    """How a retrieval stands."""

    WAITING = "waiting"
    READY = "ready"
    GONE = "gone"
    """Failed, expired or unknown: it has to be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """A retrieval that was asked for. Made of plain strings and numbers, so that it can be serialised."""

    job_id: str
    backend: ArchiveBackend
    token: str
    """Of the claim under which the cold copy was made."""
    archive_id: str
    retrieval_job_id: str
    """The vault's own job id; of the storage class, which has none, an id that GAS made."""
    tier: RetrievalTier
    asked_at: int
    """POSIX seconds."""
    size_bytes: int
    """Of the result's VCF."""


class RetrievalGone(GasError):
    """The retrieved bytes cannot be read (any more); the archive has to be asked again."""

    kind = "retrieval-gone"


class SourceGone(GasError):
    """The version that was to be archived does not exist."""

    kind = "source-gone"


class ArchiveGone(GasError):
    """The cold copy that a record names does not exist."""

    kind = "archive-gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdCopy:
    """A copy that was just made."""

    archive_id: str
    sha256: str
    """Hex SHA-256 of the bytes that are in it."""
    twin: bool = False
    """Whether a request was sent twice, so that a second copy may lie beside this one."""


Earlier = Mapping[str, tuple[str, RetrievalTier]]
"""By archive id: a retrieval that somebody asked for and that may not be in a record, and its tier."""


class Archive(Protocol):
    """A back end."""

    lists_copies: bool
    """Whether the copies made under a token can be found without their ids."""

    def store(self, source: StoredObject, *, job_id: str, token: str) -> ColdCopy:
        """Copy exactly this version.

        :raises SourceGone: when it does not exist.
        """
        ...

    def delete_copy(self, *, job_id: str, token: str, archive_id: str) -> None:
        """Delete this one copy. Gone already is no error."""
        ...

    def delete_claim(self, *, job_id: str, token: str, archive_id: str | None) -> None:
        """Delete a copy, and where copies can be listed, everything else that was made under its token."""
        ...

    def delete_others(self, *, job_id: str, confirm: Callable[[], str | None]) -> None:
        """Where copies can be listed: delete those of a job but the one that its record names.

        :param confirm: called after the list was taken; gives the id that the record names, ``None`` to stop.
        """
        ...

    def delete_all(self, *, job_id: str, archive_ids: Collection[str]) -> None:
        """Delete these copies of a job, and every other that can be listed."""
        ...

    def is_missing(self, *, job_id: str, token: str, archive_id: str) -> bool:
        """Whether this copy is known not to exist. Of a vault's it never is: only an inventory lists them."""
        ...

    def earlier(self) -> Earlier:
        """Retrievals that a process which died may have asked for; nothing where asking again is harmless."""
        ...

    def ask(self, job: Job, *, earlier: Earlier) -> tuple[str, RetrievalTier]:
        """Ask for a THAWING job's copy: Expedited, or else Standard. The retrieval's id, and its tier.

        :raises ArchiveGone: when the copy does not exist.
        """
        ...

    def status(self, retrieval: Retrieval) -> RetrievalStatus:
        """How one retrieval stands."""
        ...

    def statuses(self, waiting: Sequence[Retrieval], *, turn: int) -> Mapping[str, RetrievalStatus]:
        """How many retrievals stand, by job id, in few calls.

        :param turn: the number of the poll. Where each takes a call of its own, only some are looked at in each
            turn, all of them in rotation; those are missing in the answer that were not looked at.
        """
        ...

    def fetch(self, retrieval: Retrieval, path: Path) -> str:
        """Stream the retrieved bytes into a file; returns their hex SHA-256.

        :raises RetrievalGone: when they cannot be read (any more).
        """
        ...
