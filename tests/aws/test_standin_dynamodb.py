"""The AWS stand-in gives DynamoDB's guarantees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any


def test_an_attribute_of_any_type_comes_back_as_it_was_put(aws: Any) -> None:
    """Numbers and bytes, sets, and lists and maps of them, also where they are empty."""
    client = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
    client.create_table(
        TableName="jobs",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    plain = {"text": {"S": "é"}, "number": {"N": "1.5"}, "yes": {"BOOL": True}, "nothing": {"NULL": True}}
    of_bytes = {"bytes": {"B": b"\x00\xff"}, "sets": {"L": [{"SS": ["a"]}, {"NS": ["1"]}, {"BS": [b"\x01"]}]}}
    item = {
        "id": {"S": "1"},
        **plain,
        **of_bytes,
        "map": {"M": {**plain, "deeper": {"M": of_bytes}}},
        "empty": {"L": [{"M": {}}, {"L": []}, {"S": ""}]},
    }
    client.put_item(TableName="jobs", Item=item)
    assert client.get_item(TableName="jobs", Key={"id": {"S": "1"}})["Item"] == item
    assert client.scan(TableName="jobs")["Items"] == [item]


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
