"""Records that an earlier GAS wrote: read as they are, and migrated so that every index has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gas import record_schema
from gas.dynamodb import from_item
from gas.job import JobStatus
from gas.services import Services

#: Jobs in four states, months apart, as they were written before the records had a number.
BEFORE = json.loads(Path(__file__).with_name("records_1.json").read_text())
TIMES = sorted(from_item(item)["submit_time"] for item in BEFORE)


@pytest.fixture
def before(services: Services) -> Services:
    """Services on a table with the records of the layout before."""
    for item in BEFORE:
        services.objects._aws.dynamodb.put_item(TableName=services.settings.annotations_table, Item=item)
    return services


def found(services: Services) -> list[str]:
    return list(services.jobs.submitted_between(TIMES[0], TIMES[-1] + 1))


def test_old_records_are_read_as_they_are(before: Services) -> None:
    """Each job of the layout before can be looked at and go on without a migration."""
    jobs = {before.jobs.get(from_item(item)["job_id"]).job_status for item in BEFORE}
    assert jobs == {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.PENDING, JobStatus.RUNNING}


def test_migration_puts_old_records_into_the_index_of_months(before: Services) -> None:
    """What a backfill looks for is found after the migration, in order; a second one finds nothing to do."""
    assert found(before) == []
    assert record_schema.migrate(before) == len(BEFORE)
    assert [before.jobs.get(job_id).submit_time for job_id in found(before)] == TIMES
    assert record_schema.migrate(before) == 0


def test_record_that_goes_meanwhile_does_not_come_back(before: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is deleted between being read and being written stays deleted."""
    table, rows = before.jobs.table, [from_item(item) for item in BEFORE]
    before.objects._aws.dynamodb.delete_item(TableName=table.name, Key={"job_id": {"S": rows[0]["job_id"]}})
    monkeypatch.setattr(type(table), "scan", lambda *_, **__: iter(rows))
    assert record_schema.migrate(before) == len(BEFORE) - 1
    assert before.jobs.find(rows[0]["job_id"]) is None
