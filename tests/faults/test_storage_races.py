"""Archivers, a restorer, an unsubscription and a deletion at the same time: the real code under many schedules.

Whatever the order of their AWS calls, the result is never lost and never missed: a premium person ends with it hot, a
free one with it hot and dated or archived, and nothing lies about.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from gas.archive import Outcome
from gas.archive.transfer import archive_all, ask, begin_restore, empty_trash, thaw
from gas.deletion import delete
from gas.job import Job, Output
from gas.profiles_table import Tier
from gas.services import Services
from tests.faults.schedules import Actor, Explorer, Report, Scene
from tests.faults.stage import Beginning, Stage
from tests.faults.tally import count

Work = Callable[[Services, Job], object]


def scene(stage: Stage, beginning: Beginning, works: Sequence[Work]) -> Scene:
    """A due job, and an actor for each work on it."""
    services = stage.services
    job = beginning.again()
    actors = [Actor(work.__name__, lambda work=work: work(services, job), stage.points) for work in works]

    return Scene(actors, lambda: stage.wrong(job))


def archive(services: Services, job: Job) -> None:
    """An archiver."""
    archive_all(services, [job.job_id], at_once=1)  # as the DAG does, in a thread that the schedule can stop


def restore(services: Services, job: Job) -> None:
    """An upgrade, and the run that it submits."""
    profile = services.profiles.set_tier(job.user_id, Tier.PREMIUM)
    begin_restore(services, user_id=job.user_id, tier_version=profile.tier_version)
    ask(services, job.job_id)
    while thaw(services, job.job_id) is Outcome.WAITING:
        pass


def unsubscribe(services: Services, job: Job) -> None:
    """A downgrade."""
    services.profiles.set_tier(job.user_id, Tier.FREE)


def erase(services: Services, job: Job) -> None:
    """The owner's deletion."""
    delete(services, job_id=job.job_id, user_id=job.user_id)


def report(
    stage: Stage, works: Sequence[Work], *, preemptions: int, limit: int | None = None, merged: bool = True
) -> Report:
    """Explore, and tell the count."""
    beginning = Beginning(stage)
    found = Explorer(lambda: scene(stage, beginning, works), preemptions, merged).explore(limit=limit)
    beginning.forget()
    names = " || ".join(work.__name__ for work in works)
    ended = "all" if found.complete else "a sample of the"
    told = f"{ended} schedules with {preemptions} preemptions, {names}, {stage.services.settings.archive}"
    count(told, found.schedules)
    print(f"{found.schedules} ({found.equal} into equal worlds): {told}")
    return found


ACTORS = (archive, archive, restore, unsubscribe, erase)
PAIRS = sorted(set(itertools.combinations(ACTORS, 2)), key=lambda pair: [work.__name__ for work in pair])


@pytest.mark.parametrize("works", PAIRS, ids=lambda pair: "-".join(work.__name__ for work in pair))
def test_any_two(stage: Stage, works: Sequence[Work]) -> None:
    """Of any two actors, every schedule with one preemption ends right."""
    found = report(stage, works, preemptions=1)
    assert found.complete
    assert found.schedules >= 5
    assert found.violations == {}


def test_all_at_once(stage: Stage) -> None:
    """Of all five actors, each of a fixed sample of schedules with up to two preemptions ends right."""
    found = report(stage, ACTORS, preemptions=2, limit=60)
    assert found.schedules == 60
    assert found.violations == {}


def test_the_explorer_finds_the_naive_loss(stage: Stage) -> None:
    """Upload, record, delete by key: the same explorer finds the schedule that destroys a restored result."""
    found = report(stage, (naive_archive, naive_restore), preemptions=1)
    assert any("LOST" in violation for violation in found.violations)


@pytest.mark.long
def test_merging_equal_worlds_hides_nothing(stage: Stage) -> None:
    """Following one of the schedules that lead to the same world finds whatever following each of them finds."""
    works = (naive_archive, naive_restore)
    merged = report(stage, works, preemptions=2)
    each = report(stage, works, preemptions=2, merged=False)
    assert merged.schedules < each.schedules
    assert merged.violations.keys() == each.violations.keys()


@pytest.mark.long
@pytest.mark.parametrize("works", PAIRS, ids=lambda pair: "-".join(work.__name__ for work in pair))
def test_any_two_with_two_preemptions(stage: Stage, works: Sequence[Work]) -> None:
    """Of any two actors, every schedule with up to two preemptions ends right."""
    found = report(stage, works, preemptions=2)
    assert found.complete
    assert found.violations == {}


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_every_schedule_of_all_at_once(stage: Stage) -> None:
    """Of all five actors, every schedule with up to two preemptions ends right."""
    found = report(stage, ACTORS, preemptions=2)
    assert found.complete
    assert found.violations == {}


def naive_archive(services: Services, job: Job) -> None:
    """The obvious order, which is wrong."""
    archive = services.archives[services.settings.archive]
    if services.profiles.get(job.user_id).tier is Tier.PREMIUM:
        return
    copy = archive.store(job.outputs[Output.VCF], job_id=job.job_id, token="t")
    services.storage._update(
        job.job_id,
        update="SET storage_state = :s, archive_id = :i, archive_token = :t, archive_backend = :b",
        condition="attribute_exists(job_id)",
        values={":s": "ARCHIVED", ":i": copy.archive_id, ":t": "t", ":b": services.settings.archive},
    )
    services.objects.delete_versions(
        stored
        for stored in services.objects.result_versions(user_id=job.user_id, job_id=job.job_id)
        if stored.key == job.outputs[Output.VCF].key
    )


def naive_restore(services: Services, job: Job) -> None:
    """The way back belonging to it."""
    services.profiles.set_tier(job.user_id, Tier.PREMIUM)
    services.storage.thaw_start(job.job_id)
    ask(services, job.job_id)
    thaw(services, job.job_id)
    empty_trash(services, job.job_id)
