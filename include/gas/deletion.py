"""Deleting a job: the record says so first, its bytes go, and a tombstone stays for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gas.services import Services


def delete(services: Services, *, job_id: str, user_id: str) -> None:
    """Delete a person's own job, in whatever state: hidden at once, then everything it had is removed.

    Repeating it is safe, and finishes what a death left.

    :raises NotFound: when it is not the person's.
    """
    raise NotImplementedError


def sweep(services: Services, job_id: str) -> bool:
    """Remove what a DELETING job has left; its tombstone goes a week later. Returns whether the record is gone."""
    raise NotImplementedError
