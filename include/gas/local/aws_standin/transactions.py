"""DynamoDB's transactions without a copy of each table.

moto 5.2 copies every table that a transaction names, whole, to be able to roll back: with 10,000 items each of GAS's
transactions would take a second. Here the conditions are checked first, so that there is nothing to roll back.
"""

from __future__ import annotations

from typing import Any

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend

_REFUSED = "The conditional request failed"


def mend() -> None:
    """Take the place of moto's function, for transactions of updates and checks of different items."""
    original = DynamoDBBackend.transact_write_items

    def transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        operations = [next(iter(item.items())) for item in transact_items]
        items = {(operation["TableName"], repr(operation.get("Key"))) for _, operation in operations}
        if len(items) < len(operations) or any(kind not in ("Update", "ConditionCheck") for kind, _ in operations):
            original(backend, transact_items)
            return
        refused = [not _holds(backend, operation) for _, operation in operations]
        if any(refused):
            raise TransactionCanceledException(
                [("ConditionalCheckFailed", _REFUSED, None) if no else (None, None, None) for no in refused]
            )
        for kind, update in operations:
            if kind == "Update":
                backend.update_item(
                    update["TableName"],
                    update["Key"],
                    update_expression=update["UpdateExpression"],
                    expression_attribute_names=update.get("ExpressionAttributeNames"),
                    expression_attribute_values=update.get("ExpressionAttributeValues"),
                )

    setattr(DynamoDBBackend, "transact_write_items", transact_write_items)  # noqa: B010 - to the type checker, an assignment is an error


def _holds(backend: Any, operation: dict[str, Any]) -> bool:
    condition = operation.get("ConditionExpression")
    if condition is None:
        return True
    checked = get_filter_expression(
        condition, operation.get("ExpressionAttributeNames"), operation.get("ExpressionAttributeValues")
    )
    item = backend.get_item(operation["TableName"], operation["Key"])
    return item is not None and bool(checked.expr(item))  # GAS asks nothing of items that are not there
