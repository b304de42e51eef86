"""Results on their way, under a fault in each of the calls, on both back ends.

Whatever happens, after every crash the web app gives the owner the result or says that it is in the archive, where it
is; after the next try it is where it belongs, byte for byte, and nothing is left over. One window stays in a vault,
which gives the id of a new archive to nobody but the uploader: a copy whose maker died before the record could name it
is for the inventory to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from gas.job import ArchiveBackend, Job
from gas.services import Services
from tests.faults.ground import Ground
from tests.faults.harness import (
    WRITES,
    Crash,
    Fault,
    Faults,
    conflict,
    crash,
    crash_after,
    drop,
    lose_answer,
    throttle,
)
from tests.faults.repairs import REPAIRS
from tests.faults.scenarios import SCENARIOS, ArchivingChunk, Point, RestoringSeveral, Scenario
from tests.faults.tally import count

UPLOAD = "UploadArchive"
"""The call that makes an archive, whose id no record names yet."""

EACH = pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
EACH_REPAIR = pytest.mark.parametrize("scenario", REPAIRS, ids=str)
SEVERAL = (ArchivingChunk, RestoringSeveral)
"""Of these each call takes long to prepare and to check, and the others make the same calls for one job."""
EACH_TROUBLED = pytest.mark.parametrize(
    "scenario",
    [pytest.param(one, marks=pytest.mark.long) if isinstance(one, SEVERAL) else one for one in SCENARIOS],
    ids=str,
)
CRASHES = pytest.mark.parametrize("fault", [crash, crash_after])
TROUBLE = pytest.mark.parametrize("fault", [drop, lose_answer, throttle])


def undisturbed(scenario: Scenario, ground: Ground) -> list[Point]:
    """Each call of an undisturbed run: exactly so many as are written down, so that none is left out unseen."""
    jobs = scenario.prepare(ground)
    faults = Faults()
    scenario.work(ground.worker(faults), ground, jobs)
    scenario.check(ground, jobs)
    ground.settle(jobs)
    assert len(faults.order) == scenario.calls[ground.backend] > 0, faults.order
    return faults.order


def concerns(fault: Fault, operation: str) -> bool:
    """Whether this can happen to that call."""
    if operation.startswith("Airflow"):
        return fault in (crash, crash_after)
    return operation in WRITES if fault is conflict else True


def disturbed(scenario: Scenario, ground: Ground, fault: Fault) -> Iterator[tuple[list[Point], list[Job], Services]]:
    """For each call of an undisturbed run: what AWS has carried out by then, jobs, and services with the fault."""
    order = undisturbed(scenario, ground)
    reached = 0
    for at, (operation, nth) in enumerate(order):
        if concerns(fault, operation):
            reached += 1
            jobs = scenario.prepare(ground)
            answered = order[: at + (fault in (crash_after, lose_answer))]
            yield answered, jobs, ground.worker(Faults(operation, nth, fault))
    count(f"{fault.__name__}, {scenario}, {ground.backend}", reached)
    assert reached > 0


def unnamed(scenario: Scenario, answered: Sequence[Point]) -> int:
    """How many archives there are after these calls that no record names."""
    uploaded = sum(operation == UPLOAD for operation, _ in answered)
    return max(0, uploaded - sum(point in scenario.named_by for point in answered))


def crashed(scenario: Scenario, ground: Ground, fault: Fault) -> None:
    """At any call."""
    orphans = 0
    for answered, jobs, services in disturbed(scenario, ground, fault):
        with pytest.raises(Crash):
            scenario.work(services, ground, jobs)
        left = unnamed(scenario, answered)
        orphans += left
        ground.assert_none_lost(jobs, orphans=orphans)
        scenario.go_on(ground, jobs)
        scenario.check(ground, jobs)
        ground.settle(jobs, keep=left > 0)
    assert orphans == 0 or ground.backend is ArchiveBackend.VAULT
    ground.assert_only_inventory_has_work(orphans=orphans)


def troubled(scenario: Scenario, ground: Ground, fault: Fault) -> None:
    """At calls that go wrong and are made up for in the same run."""
    orphans = 0
    for answered, jobs, services in disturbed(scenario, ground, fault):
        scenario.work(services, ground, jobs)
        scenario.check(ground, jobs)
        left = fault is lose_answer and answered[-1][0] == UPLOAD
        orphans += left
        ground.settle(jobs, keep=left)
    ground.assert_only_inventory_has_work(orphans=orphans)


@EACH
@CRASHES
def test_crash_at_any_call(ground: Ground, scenario: Scenario, fault: Fault) -> None:
    """A process that dies before or after any call loses nothing, and the next one ends its work."""
    crashed(scenario, ground, fault)


@EACH_REPAIR
@CRASHES
def test_crash_of_a_repair_at_any_call(ground: Ground, scenario: Scenario, fault: Fault) -> None:
    """A reconcile that dies before or after any call loses nothing, and the next one ends the repair."""
    crashed(scenario, ground, fault)


@EACH
def test_conflict_at_any_write_is_ridden_out(ground: Ground, scenario: Scenario) -> None:
    """A conflict with another's transaction is never taken for a refusal: the work is done in the same run."""
    troubled(scenario, ground, conflict)


@EACH_TROUBLED
@TROUBLE
def test_trouble_at_any_call_is_ridden_out(ground: Ground, scenario: Scenario, fault: Fault) -> None:
    """A dropped request, a lost answer or throttling at any call is made up for in the same run."""
    troubled(scenario, ground, fault)
