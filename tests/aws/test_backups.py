"""The commands by which docs/upgrades.md keeps and restores the tables, as the AWS command line calls AWS."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gas.provision import Action, changes, provision
from gas.services import Services
from gas.settings import Settings
from tests.fakes import ALICE
from tests.storage import completed_job

DOCUMENT = Path(__file__).parents[2] / "docs" / "upgrades.md"
SOON = {"Delay": 1, "MaxAttempts": 5}


def written() -> Iterator[list[str]]:
    """The words of each command of the AWS command line."""
    for block in re.findall(r"^```text\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines() if line.startswith("aws "))


def called(dynamodb: Any, words: list[str], **instead: Any) -> Any:
    """What the AWS command line would call.

    :param instead: parameters whose values differ here.
    """
    _, service, operation, *rest = words
    assert service == "dynamodb"
    waiter = rest.pop(0).replace("-", "_") if operation == "wait" else None
    given = dict(zip(rest[::2], rest[1::2], strict=True))
    parameters = {"".join(map(str.title, name[2:].split("-"))): value for name, value in given.items()}
    parameters |= {name: value for name, value in instead.items() if name in parameters}
    if waiter:
        return dynamodb.get_waiter(waiter).wait(**parameters, WaiterConfig=SOON)
    return getattr(dynamodb, operation.replace("-", "_"))(**parameters)


def test_tables_come_back_from_a_backup(aws: Any, settings: Settings, services: Services) -> None:
    """A lost table is restored, its indexes with it, and ``gas provision`` makes good what a restore leaves."""
    services.profiles.ensure(ALICE.user_id, name=ALICE.name, email=ALICE.email)
    job = completed_job(services)
    dynamodb = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
    kept, restored = (list(group) for group in (list(written())[:2], list(written())[2:]))
    assert [words[4] for words in kept] == [settings.annotations_table, settings.profiles_table]
    for words in kept:
        assert called(dynamodb, words)["BackupDetails"]["BackupArn"]
    assert len(restored) == 6
    arn = ""
    for words in restored:
        answer = called(dynamodb, words, RestoreDateTime=datetime.fromtimestamp(time.time(), UTC), BackupArn=arn)
        arn = answer["BackupDetails"]["BackupArn"] if "create-backup" in words else arn
    dynamodb.get_waiter("table_exists").wait(TableName=settings.annotations_table, WaiterConfig=SOON)

    assert services.jobs.get(job.job_id) == job
    assert [job_id for _, job_id in services.jobs.due(before=job.due_since + 1)] == [job.job_id]
    list(provision(settings, session=aws.session, endpoint_url=aws.endpoint_url))
    left = changes(settings, session=aws.session, endpoint_url=aws.endpoint_url)
    assert [change.thing for change in left if change.action is not Action.NOTHING] == []
