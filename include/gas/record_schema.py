"""How the records of jobs are laid out, by number, and how those of an earlier GAS become those of this one.

A record without a number is of layout 1. Reading one is enough to see it as it is now (:func:`current`); what an index
needs has to be written, which ``gas migrate`` does, record by record, beside everybody's work.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gas.dynamodb import ConditionFailed, Item, Table

if TYPE_CHECKING:
    from gas.services import Services

#: 2: ``submit_month``, under which the index of months lists a job.
LAYOUT = 2


def submit_month(submit_time: int) -> str:
    """The month, in UTC, of POSIX seconds: ``2026-11``."""
    return time.strftime("%Y-%m", time.gmtime(submit_time))


def current(item: Item) -> Item:
    """The record in the layout of this GAS; one of a later GAS, which may only have added to it, as it stands."""
    if item.get("schema", 1) < 2:
        return {**item, "schema": 2, "submit_month": submit_month(item["submit_time"])}
    return item


def migrate(services: Services) -> int:
    """Write every record of an earlier layout in this one's; how many there were.

    Looks through the whole table. It may be repeated, stopped at any moment, and run twice at once.
    """
    table: Table = services.jobs.table
    number = 0
    for item in table.scan(
        filter_expression="attribute_not_exists(#schema) OR #schema < :now",
        names={"#schema": "schema"},
        values={":now": LAYOUT},
    ):
        try:
            table.update(
                item["job_id"],
                update="SET #schema = :now, submit_month = :month",
                condition="attribute_exists(job_id) AND (attribute_not_exists(#schema) OR #schema < :now)",
                names={"#schema": "schema"},
                values={":now": LAYOUT, ":month": current(item)["submit_month"]},
            )
        except ConditionFailed:  # deleted, or migrated by somebody else, since it was read
            continue
        number += 1
    return number
