"""One DynamoDB table: plain Python values in and out, conditional writes, and retries of what is worth retrying."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from gas.errors import Conflict

if TYPE_CHECKING:
    from gas.aws import Aws

Item = dict[str, Any]
Answer = TypeVar("Answer")

#: Answers that say "not now" and nothing about the condition. botocore retries the throttling ones a few times by
#: itself; a burst on one partition outlasts that. A conflict with another's transaction it never retries.
RETRIED = frozenset(
    {
        "TransactionConflictException",
        "TransactionInProgressException",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
    }
)
#: The word for a condition that did not hold, among a cancelled transaction's reasons.
REFUSED = "ConditionalCheckFailed"
#: The reasons that say "not now".
RETRIED_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
RETRIES = 6
FIRST_DELAY_S = 0.05
BATCH_GET = 100  # keys a BatchGetItem takes
#: A transaction takes 100 items, https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
CHANGES_AT_ONCE = 99


class ConditionFailed(Conflict):
    """The write's condition did not hold. ``item`` is the record as it stood, ``None`` where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the record is no longer in the state that was expected")
        self.item = item


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one read of an index gave."""

    items: list[Item]
    looked_at: int
    """How many rows were read, of which ``items`` passed the filter."""
    last_key: Item | None
    """Behind which to read on; ``None`` at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An update of one item under a condition, for :meth:`Table.update_checked`."""

    key: str
    update: str
    condition: str
    values: Mapping[str, Any]
    names: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A condition on an item of another table, for :meth:`Table.update_checked`."""

    table: Table
    key: str
    condition: str
    values: Mapping[str, Any]


class Table:
    """Reads are consistent. A write either happens, or raises :class:`ConditionFailed`, or an AWS error."""

    def __init__(self, aws: Aws, name: str, *, key: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._aws = aws
        self._key = key
        self._sleep = sleep

    def get(self, key: str) -> Item | None:
        """The item with this key, read consistently; ``None`` where there is none."""
        answer = self._retried(
            lambda: self._aws.dynamodb.get_item(TableName=self.name, Key=to_item({self._key: key}), ConsistentRead=True)
        )
        return from_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[str]) -> dict[str, Item]:
        """The items that exist among ``keys``, read consistently, by key."""
        found: dict[str, Item] = {}
        waiting = [to_item({self._key: key}) for key in keys]
        delay = FIRST_DELAY_S
        while waiting:
            batch, waiting = waiting[:BATCH_GET], waiting[BATCH_GET:]
            answer = self._retried(partial(self._batch, batch))
            for raw in answer["Responses"].get(self.name, []):
                item = from_item(raw)
                found[item[self._key]] = item
            left = answer.get("UnprocessedKeys", {}).get(self.name)
            if left:  # the answer was cut at 16 MB, or throttled
                waiting = [*left["Keys"], *waiting]
                self._sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, 2.0)
        return found

    def put_new(self, item: Mapping[str, Any]) -> None:
        """Write an item that must not exist yet.

        :raises ConditionFailed: with the one that exists.
        """
        self._write(
            lambda: self._aws.dynamodb.put_item(
                TableName=self.name,
                Item=to_item(item),
                ConditionExpression=f"attribute_not_exists({self._key})",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        )

    def update(
        self,
        key: str,
        *,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> Item:
        """Apply an update expression under a condition; returns the whole item as it is afterwards.

        :raises ConditionFailed: with the item as it stands.
        """
        optional: dict[str, Any] = {"ExpressionAttributeNames": dict(names)} if names else {}
        if values:
            optional["ExpressionAttributeValues"] = to_item(values)
        answer = self._write(
            lambda: self._aws.dynamodb.update_item(
                TableName=self.name,
                Key=to_item({self._key: key}),
                UpdateExpression=update,
                ConditionExpression=condition,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **optional,
            )
        )
        return from_item(answer["Attributes"])

    def query(
        self,
        *,
        index: str,
        condition: str,
        values: Mapping[str, Any],
        page: int,
        after: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        filter_expression: str | None = None,
        forward: bool = False,
    ) -> Iterator[Item]:
        """Rows of an index, last first, ``page`` items read at a time, beginning behind the key ``after``.

        With ``forward`` the first come first.

        A generator: it reads on only while the caller asks for more. Index reads are eventually consistent.
        """
        while True:
            rows = self.query_once(
                index=index,
                condition=condition,
                values=values,
                page=page,
                after=after,
                names=names,
                filter_expression=filter_expression,
                forward=forward,
            )
            yield from rows.items
            if rows.last_key is None:
                return
            after = rows.last_key

    def query_once(
        self,
        *,
        index: str,
        condition: str,
        values: Mapping[str, Any],
        page: int,
        after: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
        filter_expression: str | None = None,
        forward: bool = False,
    ) -> Rows:
        """One read of at most ``page`` rows (and 1 MB) of an index, as :meth:`query` makes them."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ScanIndexForward": forward,
            "Limit": page,
        }
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        if filter_expression:
            request["FilterExpression"] = filter_expression
        if after:
            request["ExclusiveStartKey"] = to_item(after)
        answer = self._retried(lambda: self._aws.dynamodb.query(**request))
        last = answer.get("LastEvaluatedKey")
        return Rows(
            items=[from_item(raw) for raw in answer["Items"]],
            looked_at=answer["ScannedCount"],
            last_key=from_item(last) if last else None,
        )

    def scan(
        self,
        *,
        filter_expression: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> Iterator[Item]:
        """Items of the whole table that the filter lets pass, in no order. Eventually consistent, and costly."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "FilterExpression": filter_expression,
            "ExpressionAttributeValues": to_item(values),
            **({"ExpressionAttributeNames": dict(names)} if names else {}),
        }
        while True:
            answer = self._retried(lambda: self._aws.dynamodb.scan(**request))
            yield from map(from_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def delete(self, key: str, *, condition: str, values: Mapping[str, Any]) -> None:
        """Delete an item under a condition.

        :raises ConditionFailed: with the item as it stands.
        """
        self._write(
            lambda: self._aws.dynamodb.delete_item(
                TableName=self.name,
                Key=to_item({self._key: key}),
                ConditionExpression=condition,
                ExpressionAttributeValues=to_item(values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        )

    def update_checked(self, changes: Sequence[Change], *, check: Check | None = None) -> None:
        """Apply update expressions in one transaction: all of them, or none.

        :param changes: of different items, at most :data:`CHANGES_AT_ONCE`.
        :param check: what must hold besides.
        :raises ConditionFailed: without an item: whichever condition did not hold. A conflict with another's
            transaction, or throttling, is never that, and tried again.
        """
        request: Any = {
            "TransactItems": [
                *({"Update": self._change(change)} for change in changes),
                *([{"ConditionCheck": _condition(check)}] if check else []),
            ],
            "ClientRequestToken": uuid.uuid4().hex,
        }
        self._write(lambda: self._aws.dynamodb.transact_write_items(**request))

    def _change(self, change: Change) -> dict[str, Any]:
        return {
            "TableName": self.name,
            "Key": to_item({self._key: change.key}),
            "UpdateExpression": change.update,
            "ConditionExpression": change.condition,
            "ExpressionAttributeValues": to_item(change.values),
            **({"ExpressionAttributeNames": dict(change.names)} if change.names else {}),
        }

    def _batch(self, keys: list[Any]) -> Any:
        return self._aws.dynamodb.batch_get_item(RequestItems={self.name: {"Keys": keys, "ConsistentRead": True}})

    def _write(self, call: Callable[[], Answer]) -> Answer:
        try:
            return self._retried(call)
        except ClientError as error:
            if code(error) != "ConditionalCheckFailedException" and REFUSED not in _reasons(error):
                raise
            raw: Any = error.response.get("Item")
            raise ConditionFailed(from_item(raw) if raw else None) from error

    def _retried(self, call: Callable[[], Answer]) -> Answer:
        delay = FIRST_DELAY_S
        for _ in range(RETRIES):
            try:
                return call()
            except ClientError as error:
                if not _worth_retrying(error):
                    raise
            self._sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            delay *= 2
        return call()


def _condition(check: Check) -> dict[str, Any]:
    return {
        "TableName": check.table.name,
        "Key": to_item({check.table._key: check.key}),
        "ConditionExpression": check.condition,
        "ExpressionAttributeValues": to_item(check.values),
    }


def code(error: ClientError) -> str:
    """The word AWS gives an error."""
    return str(error.response["Error"]["Code"])


def _reasons(error: ClientError) -> set[str]:
    """Why a transaction was cancelled; empty for every other error."""
    if code(error) != "TransactionCanceledException":
        return set()
    reasons: Any = error.response.get("CancellationReasons", [])
    return {reason.get("Code", "None") for reason in reasons} - {"None"}


def _worth_retrying(error: ClientError) -> bool:
    """A cancelled transaction is, unless one of its conditions was refused: that answer stands."""
    reasons = _reasons(error)
    return bool(reasons and reasons <= RETRIED_REASONS) or code(error) in RETRIED


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values to DynamoDB's typed ones. Floats become decimals; tuples become lists."""
    serializer = TypeSerializer()
    return {name: serializer.serialize(_storable(value)) for name, value in values.items()}


def from_item(raw: Mapping[str, Any]) -> Item:
    """DynamoDB's typed values to plain ones. Whole numbers become ``int``, others ``float``."""
    deserializer = TypeDeserializer()
    return {name: _plain(deserializer.deserialize(value)) for name, value in raw.items()}


def _storable(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {str(name): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
