"""What is found amiss, what is done about it, and what came in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from gas.errors import GasError
from gas.job_log import about_subject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be, what is done about it, and what came in the way."""

    subject: str
    """``job ID``, ``profile ID``, ``bucket NAME`` or ``vault NAME``."""
    found: str
    repair: str = ""
    """Empty where nothing can be done but to tell."""
    trouble: str = ""

    def __str__(self) -> str:
        return (
            f"{self.subject}: {self.found}"
            + (f": {self.repair}" if self.repair else "")
            + (f": not done, {self.trouble}" if self.trouble else "")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What is found of a subject, and how to mend it."""

    found: str
    repair: str = ""
    act: Callable[[], object] = lambda: None


def carried_out(subject: str, repairs: Iterator[Repair], *, dry_run: bool) -> Iterator[Finding]:
    """Make each repair, unless it is only to be told of. Trouble with one stops no other."""
    return looked_at(subject, _made(subject, repairs, dry_run=dry_run))


def looked_at(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings; where looking further fails, one more that says so."""
    try:
        yield from findings
    except (GasError, ClientError, BotoCoreError) as error:
        with about_subject(subject):
            log.warning("%s cannot be looked at", subject, exc_info=error)
        yield Finding(subject=subject, found="cannot be looked at", trouble=_told(error))


def _made(subject: str, repairs: Iterator[Repair], *, dry_run: bool) -> Iterator[Finding]:
    for repair in repairs:
        trouble = ""
        if not dry_run:
            try:
                repair.act()
            except (GasError, ClientError, BotoCoreError) as error:
                with about_subject(subject):
                    log.warning("%s: %s", subject, repair.repair, exc_info=error)
                trouble = _told(error)
        yield Finding(subject=subject, found=repair.found, repair=repair.repair, trouble=trouble)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
