"""A server that answers as DynamoDB does, as far as reading jobs needs it: for measuring GAS, not the stand-in.

moto keeps no order in its indexes and reads a table whole for each page. Here rows are in order, a filter works behind
the read, at most 1 MB is read at a time, and each answer is as late as DynamoDB's are. Those two delays are
assumptions: 5 ms a call and 25 ms for each megabyte read.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import multiprocessing
import socket
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gas.dynamodb import Item, from_item, to_item

READ_BYTES = 1 << 20
CALL_S = 0.005
MEGABYTE_S = 0.025
#: What a row of the index of a person's jobs holds.
INDEXED = ("job_id", "user_id", "user_order", "job_status", "storage_state", "reference", "name_folded")
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in it."""

    jobs: Sequence[Item]
    others: Mapping[tuple[str, str], Item]
    """Items of other tables, by table and key."""


class Person:
    """One person's rows of the index, in order."""

    def __init__(self, items: list[Item]) -> None:
        items.sort(key=lambda item: item["user_order"])
        self._orders = [item["user_order"] for item in items]
        self._rows = [to_item({name: item[name] for name in INDEXED if name in item}) for item in items]
        self._row_bytes = statistics.mean(len("".join(map(str, row.values()))) for row in self._rows[:100])

    def page(self, asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The answer to a query, newest first, and how many bytes were read for it."""
        values = from_item(asked["ExpressionAttributeValues"])
        at = bisect.bisect_right(self._orders, values.get(":last", self._orders[-1])) - 1
        if start := asked.get("ExclusiveStartKey"):
            at = bisect.bisect_left(self._orders, start["user_order"]["S"]) - 1
        most = min(asked["Limit"], int(READ_BYTES / self._row_bytes))
        read = self._rows[max(0, at - most + 1) : at + 1][::-1]
        passed = [row for row in read if passes(row, asked.get("FilterExpression", ""), values)]
        answer: dict[str, Any] = {"Items": passed, "Count": len(passed), "ScannedCount": len(read)}
        if at - most >= 0:
            answer["LastEvaluatedKey"] = {name: read[-1][name] for name in ("user_id", "user_order", "job_id")}
        return answer, int(len(read) * self._row_bytes)


def passes(row: dict[str, Any], expression: str, values: dict[str, Any]) -> bool:
    """Whether DynamoDB's filter lets a row pass: equalities and a part of the name, all of them."""
    for name, value in values.items():
        if name == ":name" and value not in row["name_folded"]["S"]:
            return False
        attribute = name[1:]
        if f"#{attribute} =" in expression and row.get(attribute, {}).get("S") != value:
            return False
    return True


class Server:
    """Answers Query of ``of-user``, GetItem and BatchGetItem."""

    def __init__(self, contents: Contents, *, call_s: float, megabyte_s: float) -> None:
        self._call_s = call_s
        self._megabyte_s = megabyte_s
        self._jobs = {item["job_id"]: to_item(item) for item in contents.jobs}
        self._others = {key: to_item(item) for key, item in contents.others.items()}
        of_person = defaultdict(list)
        for item in contents.jobs:
            of_person[item["user_id"]].append(item)
        self._persons = {user_id: Person(items) for user_id, items in of_person.items()}

    async def answer(self, request: web.Request) -> web.Response:
        """One call."""
        asked = await request.json()
        delay_s = self._call_s
        match request.headers["X-Amz-Target"].rpartition(".")[2]:
            case "Query":
                said, read = self._persons[asked["ExpressionAttributeValues"][":user"]["S"]].page(asked)
                delay_s += self._megabyte_s * read / READ_BYTES
            case "GetItem":
                item = self._found(asked["TableName"], asked["Key"])
                said = {"Item": item} if item else {}
            case "BatchGetItem":
                ((table, wanted),) = asked["RequestItems"].items()
                found = [item for key in wanted["Keys"] if (item := self._found(table, key))]
                said = {"Responses": {table: found}, "UnprocessedKeys": {}}
            case other:
                raise web.HTTPBadRequest(text=json.dumps({"__type": "UnknownOperationException", "message": other}))
        await asyncio.sleep(delay_s)
        return web.Response(text=json.dumps(said), content_type="application/x-amz-json-1.0")

    def _found(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        ((attribute, value),) = key.items()
        return self._jobs.get(value["S"]) if attribute == "job_id" else self._others.get((table, value["S"]))


@contextmanager
def answering(
    contents: Callable[[], Contents], *, call_s: float = CALL_S, megabyte_s: float = MEGABYTE_S
) -> Iterator[str]:
    """Start one in a process of its own; its address."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    ready = FORK.Event()

    def serve() -> None:
        app = web.Application()
        server = Server(contents(), call_s=call_s, megabyte_s=megabyte_s)
        app.router.add_post("/", server.answer)
        ready.set()
        web.run_app(app, sock=listening, print=None, access_log=None, handle_signals=False)

    process = FORK.Process(target=serve, daemon=True)
    process.start()
    try:
        ready.wait()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        process.terminate()
        process.join()
        listening.close()
