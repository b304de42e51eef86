"""The storage protocol survives every interleaving, crash and lost answer; and each of its rules is needed."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.model.checker import Checker, Setup
from tests.model.storage import (
    ARCHIVED,
    HOT,
    RUNNING,
    THAWING,
    Frame,
    Profile,
    Record,
    Rules,
    Trash,
    World,
    downgrade,
    expire,
    lengthen,
    shorten,
    step_back,
    submit_restore,
    tick,
    upgrade,
)

SUBSCRIBE = (upgrade, submit_restore)
CHANGE_MIND = (*SUBSCRIBE, downgrade)

ARCHIVE_UNFINISHED = World(
    record=Record(ARCHIVED, due_since=None, token=0, archive=0), cold=frozenset({(0, 0)}), ids=(1, 1, 1, 0)
)
IN_ARCHIVE = ARCHIVE_UNFINISHED._replace(
    record=Record(ARCHIVED, due_since=None, token=0, archive=0, cleared=True), versions=frozenset()
)
BEING_THAWED = IN_ARCHIVE._replace(
    record=Record(THAWING, due_since=None, token=0, archive=0, retrieval=0, cleared=True),
    retrievals=frozenset({(0, 0)}),
    ids=(1, 1, 1, 1),
)
THAWED = World(
    record=Record(HOT, hot=1, trash=Trash(0, 0, frozenset({0}))),
    versions=frozenset({0, 1}),
    cold=frozenset({(0, 0)}),
    ids=(2, 1, 1, 0),
)
LATE_THAW = Frame("thaw_commit", seen=BEING_THAWED.record, made=1, back="restore_read")
"""It read BEING_THAWED and put version 1, and was paused; then its twin put version 2 and committed it."""
THAWED_BY_TWIN = World(
    record=Record(HOT, hot=2, trash=Trash(0, 0, frozenset({0}))),
    versions=frozenset({1, 2}),
    cold=frozenset({(0, 0)}),
    ids=(3, 1, 1, 1),
)
PREMIUM = World(profile=Profile(premium=True, free_since=None, tier_version=1))
PREMIUM_UNDATED = PREMIUM._replace(record=Record(HOT, due_since=None))
AT_WORK = World(record=Record(RUNNING, hot=None, due_since=None), versions=frozenset(), ids=(0, 0, 0, 0))

SAMPLE = {
    "an archiver that crashes": Setup(processes=["archive"], faults=2),
    "archive against upgrade": Setup(processes=["archive", "restore"], scripts=[SUBSCRIBE], faults=1),
    "two archivers against upgrade": Setup(processes=["archive", "archive", "restore"], scripts=[SUBSCRIBE]),
    "archive, upgrade and delete": Setup(processes=["archive", "restore", "delete"], scripts=[SUBSCRIBE]),
    "delete that is not run again": Setup(processes=["archive"], lone=["delete"], faults=2),
    "restore against delete": Setup(
        processes=["restore"], lone=["delete"], scripts=[SUBSCRIBE], world=IN_ARCHIVE, faults=1
    ),
    "two restorers, and retrievals that expire": Setup(
        processes=["restore", "restore"], scripts=[SUBSCRIBE, [expire]], world=IN_ARCHIVE
    ),
    "a change of mind": Setup(
        processes=["archive", "restore", "fan_out"], scripts=[CHANGE_MIND, [tick]], world=IN_ARCHIVE
    ),
    "dates of a premium user": Setup(
        processes=["archive", "fan_out"],
        scripts=[[downgrade, *CHANGE_MIND], [tick, tick]],
        world=PREMIUM_UNDATED,
        faults=1,
    ),
    "a clock set back": Setup(processes=["archive", "restore", "fan_out"], scripts=[CHANGE_MIND, [step_back, tick]]),
    "a longer delay": Setup(processes=["archive", "restore"], scripts=[CHANGE_MIND, [lengthen], [tick, tick]]),
    "a shorter delay": Setup(processes=["archive", "restore"], scripts=[CHANGE_MIND, [tick, shorten]]),
    "a job that completes meanwhile": Setup(
        processes=["annotate", "delete", "archive", "fan_out"], scripts=[[upgrade, downgrade], [tick]], world=AT_WORK
    ),
    "inventory beside archive and restore": Setup(
        processes=["archive", "restore", "inventory"], scripts=[SUBSCRIBE], faults=1
    ),
    "inventory beside restore and delete": Setup(
        processes=["restore", "inventory"], lone=["delete"], scripts=[SUBSCRIBE], world=IN_ARCHIVE, faults=1
    ),
    "inventory beside a thaw and its twin": Setup(
        processes=["restore_job", "inventory"], under_way=[LATE_THAW], world=THAWED_BY_TWIN
    ),
    "reconcile beside archive and restore": Setup(processes=["archive", "restore", "reconcile"], scripts=[SUBSCRIBE]),
    "a restorer alone finishes what an archiver left": Setup(
        processes=["restore"], lone=["archive"], scripts=[SUBSCRIBE], faults=1, reconciled=False
    ),
    "a thaw beside one that is killed for good": Setup(
        processes=["restore_job"], lone=["restore_job"], world=BEING_THAWED, faults=1
    ),
    "a tombstone removed while others work": Setup(
        processes=["archive", "restore", "purge"], lone=["delete"], scripts=[SUBSCRIBE]
    ),
    "an operator restores a free user's result": Setup(
        processes=["restore_job", "archive", "delete"], scripts=[[tick]], world=IN_ARCHIVE
    ),
}

EXHAUSTIVE = {
    "reconcile beside archive and restore, a crash": Setup(
        processes=["archive", "restore", "reconcile"], scripts=[SUBSCRIBE], faults=1
    ),
    "two archivers, upgrade, a crash": Setup(
        processes=["archive", "archive", "restore"], scripts=[SUBSCRIBE], faults=1
    ),
    "archive and restore, three crashes": Setup(processes=["archive", "restore"], scripts=[SUBSCRIBE], faults=3),
    "archive, upgrade, delete, a crash": Setup(
        processes=["archive", "restore", "delete"], scripts=[SUBSCRIBE], faults=1
    ),
    "two archivers and delete, two crashes": Setup(processes=["archive", "archive", "delete"], faults=2),
    "two restorers, expiry, a crash": Setup(
        processes=["restore", "restore"], scripts=[SUBSCRIBE, [expire]], world=IN_ARCHIVE, faults=1
    ),
    "two restorers, delete, expiry": Setup(
        processes=["restore", "restore", "delete"], scripts=[SUBSCRIBE, [expire]], world=IN_ARCHIVE
    ),
    "round the whole way, two restorers": Setup(
        processes=["archive", "restore", "restore"], scripts=[CHANGE_MIND, [tick]], world=IN_ARCHIVE
    ),
    "round the whole way, two crashes": Setup(
        processes=["archive", "restore"], scripts=[CHANGE_MIND, [tick]], world=IN_ARCHIVE, faults=2
    ),
    "up, down and up again": Setup(
        processes=["archive", "restore"], scripts=[(*CHANGE_MIND, *SUBSCRIBE), [tick, tick]], world=IN_ARCHIVE, faults=1
    ),
    "two archivers, a longer delay": Setup(
        processes=["archive", "archive", "restore"], scripts=[SUBSCRIBE, [lengthen], [tick]]
    ),
    "a shorter delay, fan-out, a crash": Setup(
        processes=["archive", "restore", "fan_out"], scripts=[CHANGE_MIND, [tick, shorten]], faults=1
    ),
    "two fan-outs, a crash": Setup(
        processes=["fan_out", "fan_out", "archive"],
        scripts=[[downgrade, upgrade, downgrade], [tick]],
        world=PREMIUM,
        faults=1,
    ),
    "an operator's restore, archive, delete, a crash": Setup(
        processes=["restore_job", "archive", "delete"], scripts=[[tick]], world=IN_ARCHIVE, faults=1
    ),
}

SLOW = {"claims_have_tokens"}
"""Rules whose loss takes two rounds through the archive to show."""

NEEDED = {
    "tier_checked_at_commit": (
        "while the owner is premium",
        Setup(processes=["archive", "restore"], scripts=[SUBSCRIBE]),
    ),
    "delay_checked_at_commit": ("before a full delay", Setup(processes=["archive"], scripts=[CHANGE_MIND])),
    "claims_have_tokens": (
        "ORPHAN version",
        Setup(
            processes=["archive", "restore_job"],
            lone=["archive"],
            scripts=[[tick]],
            world=ARCHIVE_UNFINISHED,
            faults=1,
        ),
    ),
    "claim_asks_for_no_trash": ("the trash is full", Setup(processes=["archive"], world=THAWED)),
    "hot_deleted_after_commit": ("LOST", Setup(processes=["archive", "restore"], scripts=[SUBSCRIBE])),
    "deletes_name_the_version": ("LOST", Setup(processes=["archive", "restore"], scripts=[SUBSCRIBE])),
    "refusal_is_looked_into": ("the cold copy is gone", Setup(processes=["archive"], faults=1)),
    "conflict_is_no_refusal": ("MISSED", Setup(processes=["restore"], scripts=[SUBSCRIBE], world=IN_ARCHIVE)),
    "restorer_takes_archiving": (
        "MISSED",
        Setup(processes=["restore"], lone=["archive"], scripts=[SUBSCRIBE], faults=1, reconciled=False),
    ),
    "restore_flag_cleared_last": (
        "MISSED",
        Setup(processes=[], lone=["restore"], scripts=[SUBSCRIBE], world=IN_ARCHIVE, faults=1),
    ),
    "flag_cleared_by_version": (
        "never becomes due",
        Setup(processes=["fan_out", "archive"], scripts=[[downgrade, upgrade, downgrade]], world=PREMIUM_UNDATED),
    ),
    "expiry_is_noticed": (
        "MISSED",
        Setup(processes=["restore"], scripts=[SUBSCRIBE, [expire]], world=IN_ARCHIVE),
    ),
    "thaw_commit_names_the_copy": (
        "LOST",
        Setup(processes=["archive", "restore_job"], under_way=[LATE_THAW], world=THAWED_BY_TWIN),
    ),
    "thaw_put_spares_others": (
        "LOST",
        Setup(processes=["restore_job", "restore_job"], world=BEING_THAWED),
    ),
    "cold_deleted_after_commit": ("LOST", Setup(processes=["restore_job"], world=BEING_THAWED)),
    "trash_is_recorded": ("ORPHAN cold copy", Setup(processes=["restore_job"], world=BEING_THAWED, faults=1)),
    "sweep_lists_before_it_reads": (
        "LOST",
        Setup(processes=["archive", "restore_job"], lone=["reconcile"], world=THAWED),
    ),
    "fanout_flag_cleared_last": (
        "never becomes due",
        Setup(processes=[], lone=["fan_out"], scripts=[[downgrade]], world=PREMIUM_UNDATED, faults=1),
    ),
    "drop_checks_the_tier": (
        "never becomes due",
        Setup(processes=["archive", "fan_out"], scripts=[[downgrade]], world=PREMIUM._replace(clock=0)),
    ),
    "record_goes_last": ("deleted, and a version", Setup(processes=[], lone=["delete"], faults=1)),
    "tombstone_stays": ("deleted, and a cold copy", Setup(processes=["archive"], lone=["delete"], faults=1)),
    "late_copy_is_deleted": ("deleted, and a cold copy", Setup(processes=["archive", "delete"])),
}


@pytest.mark.parametrize("vault", [True, False], ids=["vault", "storage-class"])
@pytest.mark.parametrize("name", SAMPLE)
def test_sample_holds(name: str, vault: bool) -> None:
    """A small set-up, searched to its end, shows nothing lost, missed, too early or left over."""
    report = Checker(replace(SAMPLE[name], vault=vault)).run()
    assert report.violation is None, report
    assert report.complete


@pytest.mark.long
@pytest.mark.parametrize("vault", [True, False], ids=["vault", "storage-class"])
@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_exhaustive_search_holds(name: str, vault: bool) -> None:
    """The large set-ups, searched to their end, show nothing either."""
    report = Checker(replace(EXHAUSTIVE[name], vault=vault)).run()
    print(f"{name}: {report}")
    assert report.violation is None, report
    assert report.complete


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=pytest.mark.long) if rule in SLOW else rule for rule in NEEDED]
)
def test_each_rule_is_needed(rule: str) -> None:
    """Without the rule the same search, where it found nothing, finds the harm that the rule prevents."""
    harm, setup = NEEDED[rule]
    sound = Checker(setup).run()
    assert sound.complete, sound
    report = Checker(replace(setup, rules=Rules(**{rule: False}))).run()
    assert report.violation is not None, report
    assert harm in report.violation, report


def test_every_rule_is_shown_needed() -> None:
    """No rule is in the protocol on faith."""
    assert NEEDED.keys() == {field.name for field in fields(Rules)}


def test_an_upgrade_is_remembered_until_it_is_worked_off() -> None:
    """An upgrade that marks nothing is missed when the web app dies before it submits the run; one that does is not."""

    def unmarked(world: World) -> World:
        after = upgrade(world)
        return after._replace(profile=after.profile._replace(restore_pending=False))

    forgotten = Checker(Setup(processes=["restore"], scripts=[[unmarked]], world=IN_ARCHIVE)).run()
    assert forgotten.violation == "MISSED: the owner is premium and the result ARCHIVED"
    remembered = Checker(Setup(processes=["restore"], scripts=[[upgrade]], world=IN_ARCHIVE)).run()
    assert remembered.complete, remembered
