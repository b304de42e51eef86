"""A write that depends on another table's record is one transaction, and a conflict is never taken for a refusal."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ClientError

from gas.aws import Aws
from gas.dynamodb import RETRIES, Change, Check, ConditionFailed, Table
from tests.faults.harness import Faults, canned, conflict, lose_answer


@pytest.fixture
def tables(aws: Any) -> tuple[Table, Table]:
    """A table of jobs, with one that is new, and one of people, with one who is free."""
    return _tables(aws, aws.session)


def _tables(aws: Any, session: boto3.Session) -> tuple[Table, Table]:
    clients = Aws(region="us-east-1", session=session, endpoint_url=aws.endpoint_url)
    jobs = Table(clients, "jobs", key="job_id", sleep=lambda _: None)
    people = Table(clients, "people", key="user_id", sleep=lambda _: None)
    for table, key in ((jobs, "job_id"), (people, "user_id")):
        try:
            clients.dynamodb.create_table(
                TableName=table.name,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except clients.dynamodb.exceptions.ResourceInUseException:
            continue
    if jobs.get("1") is None:
        jobs.put_new({"job_id": "1", "state": "new"})
        people.put_new({"user_id": "alice", "tier": "free"})
    return jobs, people


def _faulty(aws: Any, *faults: Faults) -> tuple[Table, Table]:
    credentials = aws.session.get_credentials()
    session = boto3.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name="us-east-1",
    )
    for fault in faults:
        fault.watch(session)
    return _tables(aws, session)


def _take(jobs: Table, people: Table, *, state: str = "new", tier: str = "free") -> None:
    change = Change(
        key="1",
        update="SET #state = :taken",
        condition="#state = :state",
        names={"#state": "state"},
        values={":taken": "taken", ":state": state},
    )
    jobs.update_checked(
        [change],
        check=Check(table=people, key="alice", condition="tier = :tier", values={":tier": tier}),
    )


def test_both_conditions_hold(tables: tuple[Table, Table]) -> None:
    """The write is applied."""
    jobs, people = tables
    _take(jobs, people)
    assert jobs.get("1") == {"job_id": "1", "state": "taken"}
    assert people.get("alice") == {"user_id": "alice", "tier": "free"}


@pytest.mark.parametrize("not_so", [{"state": "old"}, {"tier": "premium"}])
def test_either_condition_refuses(tables: tuple[Table, Table], not_so: dict[str, str]) -> None:
    """Where one of the two conditions does not hold, nothing is written."""
    jobs, people = tables
    with pytest.raises(ConditionFailed):
        _take(jobs, people, **not_so)
    assert jobs.get("1") == {"job_id": "1", "state": "new"}


def test_condition_on_nobody_refuses(tables: tuple[Table, Table]) -> None:
    """A condition on an item that does not exist does not hold."""
    jobs, people = tables
    people.delete("alice", condition="tier = :free", values={":free": "free"})
    with pytest.raises(ConditionFailed):
        _take(jobs, people)


@pytest.mark.parametrize("times", [1, RETRIES])
def test_conflict_is_tried_again(aws: Any, times: int) -> None:
    """A conflict with another's transaction says nothing of the conditions: the same transaction is sent again."""
    faults = [Faults("TransactWriteItems", nth, conflict) for nth in range(1, times + 1)]
    jobs, people = _faulty(aws, *faults)
    _take(jobs, people)
    assert jobs.get("1") == {"job_id": "1", "state": "taken"}
    assert faults[0].calls["TransactWriteItems"] == times + 1


def test_lasting_conflict_is_no_refusal(aws: Any) -> None:
    """A conflict that does not end is AWS's error, not a refusal."""
    faults = [Faults("TransactWriteItems", nth, conflict) for nth in range(1, RETRIES + 2)]
    jobs, people = _faulty(aws, *faults)
    with pytest.raises(ClientError, match="TransactionCanceled"):
        _take(jobs, people)


def test_refusal_among_conflicts_is_a_refusal(aws: Any) -> None:
    """Where one condition was refused and the other item was busy, the refusal stands, at once."""
    faults = Faults("TransactWriteItems", 1, _both)
    jobs, people = _faulty(aws, faults)
    with pytest.raises(ConditionFailed):
        _take(jobs, people)
    assert faults.calls["TransactWriteItems"] == 1


def test_lost_answer_is_a_refusal_of_an_applied_write(aws: Any) -> None:
    """A transaction that was applied, and whose answer was lost, is refused when sent again, or applied once."""
    jobs, people = _faulty(aws, Faults("TransactWriteItems", 1, lose_answer))
    with pytest.raises(ConditionFailed):  # AWS itself would recognise the request's token and repeat its answer
        _take(jobs, people)
    assert jobs.get("1") == {"job_id": "1", "state": "taken"}


def _both(request: AWSRequest) -> AWSResponse | None:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "ConditionalCheckFailed"}]
    return canned(request, {"__type": "TransactionCanceledException", "CancellationReasons": reasons})
