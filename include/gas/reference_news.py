"""What follows from another version of a reference being in force: past jobs are annotated again, or the operator told.

Which version was last seen to is kept beside the references, in ``.seen/NAME``, and written after everything else: what
a process that died has not done, the next one does. A version put in force by hand is noticed in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from gas import backfill
from gas.airflow_api import AirflowApi, Reprocess
from gas.downloads import Downloads
from gas.errors import Conflict, NotFound
from gas.findings import Finding
from gas.published import Publishers, followed
from gas.references import Reference, ReferenceStore
from gas.settings import Settings

log = logging.getLogger(__name__)

REANNOTATE = "reannotate"
_SEEN = ".seen"


def watch(store: ReferenceStore) -> Sequence[str]:
    """The names of the references that are followed. One that is new among them counts as seen to: it has no past."""
    references = followed(store)
    for reference in references:
        if not _mark(store, reference.name).exists():
            _see(store, reference)
    return [reference.name for reference in references]


def tell(store: ReferenceStore, settings: Settings) -> None:
    """Log for each reference that is followed what is published now, and fetch nothing.

    :raises Unavailable: when a publisher does not answer.
    """
    with closing(Downloads()) as downloads:
        publishers = Publishers(settings, downloads)
        for reference in followed(store):
            offer = publishers.newer(reference, store=store)
            state = "is installed" if offer.there else "would be installed and put in force"
            log.info("%s %s %s", offer.name, offer.version, state)


def see_to(store: ReferenceStore, *, settings: Settings, airflow: AirflowApi, now: datetime) -> Iterator[Finding]:
    """See to each reference that has another version in force than the one that was seen to last.

    With ``GAS_REANNOTATE_AUTO`` a backfill annotates the jobs of so many days again, one interval at a time; where
    another backfill is at work, or the DAG is paused, the next call begins it. Without, the finding says how to.

    :raises Unavailable: when Airflow does not answer.
    """
    changed = [r for r in followed(store) if _mark(store, r.name).exists() and _seen(store, r.name) != r.version]
    if not changed:
        return
    earliest = settings.installed_at
    days = settings.reannotate_auto
    start = max(earliest, now - timedelta(days=days)) if days else earliest
    waits = ""
    if days:
        try:
            begun = backfill.begin(
                airflow, REANNOTATE, start=start, end=now, reprocess=Reprocess.COMPLETED, at_once=1, told=log.info
            )
            log.info("the backfill %s of %s has begun", begun.backfill_id, REANNOTATE)
        except (Conflict, NotFound) as refusal:
            waits = str(refusal)
    for reference in changed:
        found = f"version {reference.version} is in force now, before it was {_seen(store, reference.name)}"
        if waits:
            yield Finding(
                subject=f"reference {reference.name}", found=f"{found}; annotating again has to wait: {waits}"
            )
            continue
        if days:
            repair = f"jobs submitted since {start.date()} are annotated again"
        else:
            repair = (
                f"`gas backfill {REANNOTATE} --from {start.date()} --to {now.date()}` annotates past jobs again; "
                "GAS_REANNOTATE_AUTO would have begun it"
            )
        yield Finding(subject=f"reference {reference.name}", found=found, repair=repair)
        _see(store, reference)


def _mark(store: ReferenceStore, name: str) -> Path:
    return store.folder / _SEEN / name


def _seen(store: ReferenceStore, name: str) -> str:
    return _mark(store, name).read_text().strip()


def _see(store: ReferenceStore, reference: Reference) -> None:
    mark = _mark(store, reference.name)
    mark.parent.mkdir(exist_ok=True)
    fresh = mark.with_name(f".{mark.name}")
    fresh.write_text(f"{reference.version}\n")
    fresh.replace(mark)
