"""What Airflow's triggerer does with triggers that share a stream, here or in a process of its own.

As ``python -m tests.airflow.triggerer JOB_ID...`` it carries out a task of ``restore`` for a set of jobs, worker and
triggerer in one: it prints ``waiting`` before each wait, begins it when it is sent a line, and prints what ended it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from types import SimpleNamespace
from typing import Any


class Triggerer:
    """One, in the loop that runs."""

    def __init__(self) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self._streams = SharedStreamManager()
        self._numbers = iter(range(1000))

    async def first_event(self, trigger: Any) -> Any:
        """What the trigger's task is woken by."""
        number, key = next(self._numbers), trigger.shared_stream_key()
        raw: AsyncIterator[Any] = self._streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async with aclosing(trigger.filter_shared_stream(raw)) as events:
                async for event in events:
                    return event.payload
        finally:
            await self._streams.unsubscribe(number, key)


def stored(trigger: Any) -> Any:
    """The trigger as a triggerer makes it again from Airflow's database."""
    from airflow.models.trigger import Trigger
    from airflow.sdk.module_loading import import_string
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    classpath, kwargs = trigger.serialize()
    kept = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs))
    return import_string(classpath)(**{name: smart_decode_trigger_kwargs(value) for name, value in kept.items()})


def deferral(step: Callable[[], object]) -> Any:
    """How the step deferred; ``None`` where it ended."""
    from airflow.sdk.exceptions import TaskDeferred

    try:
        step()
    except TaskDeferred as deferred:
        return deferred
    return None


def main(*job_ids: str) -> None:
    """Carry the task out."""
    from gas_airflow.sensors import GlacierRetrievalSensor

    sensor: Any = GlacierRetrievalSensor(task_id="retrieve", job_ids=list(job_ids))
    step: Callable[[], object] = partial(sensor.execute, {"ti": SimpleNamespace(try_number=1)})
    while deferred := deferral(step):
        print("waiting", flush=True)
        sys.stdin.readline()
        event = asyncio.run(Triggerer().first_event(stored(deferred.trigger)))
        print(json.dumps(event), flush=True)
        step = partial(sensor.resume_execution, deferred.method_name, {**deferred.kwargs, "event": event}, None)


if __name__ == "__main__":
    main(*sys.argv[1:])
