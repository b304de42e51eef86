"""Many people at once who look at their pages, on a live stack."""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import httpx
from dynamodb import Contents, answering
from jobs import told, until
from livestack import LiveStack, Person
from standin import free_ports, waiting_items

from gas.aws import Aws
from gas.dynamodb import from_item, to_item
from gas.job import JobStatus, new_job_id
from gas.local import contents
from gas.local.components import components
from gas.local.globus_standin import seed
from gas.local.variables import process_environment

#: As the pages' own scripts ask, in seconds: the page of a job that runs, and My jobs.
JOB_EVERY_S = 1.0
LIST_EVERY_S = 2.0
JOBS_EACH = 20
LIST_PAGE = 25
WARM_S = 10.0


@dataclass(kw_only=True)
class Seen:
    """Answers of one measurement."""

    seconds: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)


def measure(stack: LiveStack, *, people: int, for_s: float) -> None:
    """Half of them look at a job that runs, half at the list of their jobs.

    The stand-in for AWS would be measured first, so that the web app that they ask reads from a server like DynamoDB.
    """
    persons = signed_in(stack, people)
    running = {person.user_id: new_job_id() for person in persons}
    with answering(lambda: contents_of(stack, running)) as dynamodb_url, web_app(stack, dynamodb_url) as url:
        seen = asyncio.run(looked(url, persons, running, for_s=for_s))
    seen.seconds.sort()
    told(
        f"{people} people polling their pages, p95, milliseconds",
        seen.seconds[int(0.95 * len(seen.seconds))] * 1000,
        "<= 300",
        p50_ms=statistics.median(seen.seconds) * 1000,
        requests=len(seen.seconds),
        requests_a_second=len(seen.seconds) / for_s,
        errors=seen.wrong.total(),
    )
    if seen.wrong:
        raise RuntimeError(f"not every answer was right: {dict(seen.wrong)}")


@contextmanager
def web_app(stack: LiveStack, dynamodb_url: str) -> Iterator[str]:
    """One more web app on this stack, which reads its records there; its address."""
    command = next(part.command for part in components(stack.layout) if part.name == "web")
    url = f"http://localhost:{free_ports(1)}"
    bound = f"127.0.0.1:{stack.layout.base_port}"
    command = tuple(f"127.0.0.1:{url.rpartition(':')[2]}" if word == bound else word for word in command)
    environment = process_environment(stack.layout) | {"AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(url), every_s=0.2, patience_s=60)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def answers(url: str) -> bool:
    """Whether the web app is there."""
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", trust_env=False).is_success
    return False


def signed_in(stack: LiveStack, count: int) -> list[Person]:
    """So many people, each signed in with Globus."""
    world = seed(stack.layout)
    like = next(iter(next(iter(world["accounts"].values()))["identities"].values()))
    ids = [str(uuid.uuid4()) for _ in range(count)]
    for number, user_id in enumerate(ids):
        named = like | {"username": f"person{number}@globusid.org", "email": f"person{number}@gas.example"}
        world["accounts"][user_id] = {"identities": {user_id: named}}
    answer = httpx.post(f"{stack.layout.globus_url}/_fauxbus/seed", json=world, trust_env=False)
    answer.raise_for_status()
    return [Person(stack.layout, user_id) for user_id in ids]


def contents_of(stack: LiveStack, running: Mapping[str, str]) -> Contents:
    """Each person's profile, jobs that are done, and one that runs."""
    settings, now = stack.services.settings, int(time.time())
    aws = Aws(region=settings.region, session=contents.session(stack.layout), endpoint_url=stack.layout.aws_url)
    jobs, profiles = [], {}
    for user_id, job_id in running.items():
        done = waiting_items(JOBS_EACH, user_id=user_id, bucket=settings.results_bucket, due_since=now)
        still = {"job_status": JobStatus.RUNNING, "progress": {"stage": "annotating", "done": 400, "total": 1000}}
        after = ("complete_time", "outputs", "storage_state", "due", "due_since")
        begun = {name: value for name, value in done[0].items() if name not in after}
        order = f"{now:012d}#{job_id}"
        jobs += [*done, begun | still | {"job_id": job_id, "user_order": order, "submit_time": now}]
        raw = aws.dynamodb.get_item(TableName=settings.profiles_table, Key=to_item({"user_id": user_id}))["Item"]
        profiles[settings.profiles_table, user_id] = from_item(raw)
    return Contents(jobs=jobs, others=profiles)


async def looked(url: str, persons: list[Person], running: dict[str, str], *, for_s: float) -> Seen:
    """Let all of them look for so long; the answers, without those of the first seconds."""
    seen, began = Seen(), time.monotonic() + WARM_S
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connections, cookie_jar=aiohttp.DummyCookieJar()) as http:
        looks = []
        for number, person in enumerate(persons):
            on_job = number % 2 == 0
            path = f"jobs/{running[person.user_id]}" if on_job else f"jobs?limit={LIST_PAGE}"
            every_s = JOB_EVERY_S if on_job else LIST_EVERY_S
            looks.append(look(http, f"{url}/api/v1/{path}", person.cookie, every_s, seen, began=began, for_s=for_s))
        await asyncio.gather(*looks)
    return seen


async def look(
    http: aiohttp.ClientSession, url: str, cookie: str, every_s: float, seen: Seen, *, began: float, for_s: float
) -> None:
    """As a page does it: ask, wait after the answer, ask again."""
    await asyncio.sleep(random.random() * every_s)
    while (asked := time.monotonic()) < began + for_s:
        try:
            async with http.get(url, headers={"Cookie": cookie}) as answer:
                await answer.read()
                wrong = "" if answer.status == 200 else str(answer.status)
        except aiohttp.ClientError as error:
            wrong = type(error).__name__
        if asked >= began:
            seen.seconds.append(time.monotonic() - asked)
            if wrong:
                seen.wrong[wrong] += 1
        await asyncio.sleep(every_s)
