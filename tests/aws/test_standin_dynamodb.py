"""The AWS stand-in gives DynamoDB's guarantees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any


def test_a_conditional_write_has_one_winner(aws: Any) -> None:
    """Of many who compare and set at once, one wins."""
    client = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
    client.create_table(
        TableName="jobs",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def take(key: str, name: int) -> bool:
        try:
            client.update_item(
                TableName="jobs",
                Key={"id": {"S": key}},
                UpdateExpression="SET #owner = :name",
                ConditionExpression="attribute_not_exists(#owner)",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":name": {"N": str(name)}},
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        for round_ in range(20):
            assert sum(threads.map(lambda name, key=str(round_): take(key, name), range(8))) == 1
