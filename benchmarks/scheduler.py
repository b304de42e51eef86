"""What waiting costs the scheduler: how long its loop takes, as it tells StatsD itself, on a live stack."""

from __future__ import annotations

import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from jobs import told, until
from livestack import LiveStack, live_stack
from people import signed_in
from standin import StandIn, result, write_items
from waiting import SHORT_DELAY_S, fill, hasty, retrievals

from gas.archive import Outcome, transfer
from gas.job import ArchiveBackend
from gas.local.variables import REGION
from gas.settings import Settings

#: A day, and a free delay of a day, in so many seconds of this measurement.
DAY_S = 600
DAY = 86_400
#: The archive's interval follows from the delay, and is as much shorter.
INTERVAL_S = round(Settings(free_result_ttl_s=DAY).archive_interval.total_seconds() * DAY_S / DAY)
#: Retrievals are still waited for when it ends.
FOREVER_S = 10 * DAY_S
IDLE_S = 60.0
QUICK_S = 15.0
LOOP = b"scheduler.scheduler_loop_duration:"


def measure(*, waiting: int, thawing: int, quick: bool) -> None:
    """Listen to an idle stack, let results and retrievals wait, and listen for a day of a clock 144 times as fast."""
    with listening() as loops, told_to(loops) as stack:
        time.sleep(QUICK_S)  # what starting left to do
        idle_s = loops.heard(for_s=QUICK_S if quick else IDLE_S)
        in_archive(stack, thawing)
        fill(stack, waiting)
        day_s = loops.heard(for_s=QUICK_S if quick else DAY_S)
        waits = len(stack.airflow.waits("deferred"))
    told(
        f"scheduler's loop, p50, {waiting} results and {thawing} retrievals waiting for a day, over idle",
        statistics.median(day_s) / statistics.median(idle_s),
        "<= 1.5",
        waiting_ms=1000 * statistics.median(day_s),
        idle_ms=1000 * statistics.median(idle_s),
        waiting_mean_ms=1000 * statistics.mean(day_s),
        idle_mean_ms=1000 * statistics.mean(idle_s),
        loops=len(day_s),
        waits_deferred=waits,
    )


class Loops:
    """Durations of the scheduler's loop, in seconds, as they arrive."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._seconds: list[float] = []
        self.port: int = listener.getsockname()[1]

    def listen(self) -> None:
        """Until the socket is shut."""
        while said := self._listener.recv(65_536):
            for line in said.splitlines():
                if LOOP in line:
                    self._seconds.append(float(line.partition(LOOP)[2].partition(b"|")[0]) / 1000)

    def heard(self, *, for_s: float) -> list[float]:
        """Those of the next so many seconds."""
        before = len(self._seconds)
        time.sleep(for_s)
        return self._seconds[before:]


@contextmanager
def listening() -> Iterator[Loops]:
    """As much of a StatsD server as this needs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        loops = Loops(listener)
        thread = threading.Thread(target=loops.listen)
        thread.start()
        try:
            yield loops
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", listener.getsockname())
            thread.join()


def told_to(loops: Loops) -> AbstractContextManager[LiveStack]:
    """A stack whose figures go there."""
    statsd = {"GAS_STATSD_ON": "True", "GAS_STATSD_HOST": "127.0.0.1", "GAS_STATSD_PORT": str(loops.port)}
    day = {"GAS_ARCHIVE_INTERVAL": str(INTERVAL_S)}
    return live_stack(delay_s=DAY_S, retrieval_s=FOREVER_S, **statsd, **day)


def in_archive(stack: LiveStack, count: int) -> None:
    """So many results of one person, archived, and asked for by an upgrade."""
    services = hasty(stack, ArchiveBackend.STORAGE_CLASS)
    credentials = stack.layout.secrets
    aws = StandIn(
        url=stack.layout.aws_url,
        keys={
            "aws_access_key_id": credentials.aws_access_key_id,
            "aws_secret_access_key": credentials.aws_secret_access_key,
            "region_name": REGION,
        },
    )
    (person,) = signed_in(stack, 1)
    past = int(time.time()) - DAY
    with tempfile.TemporaryDirectory() as folder:
        vcf = Path(folder) / "vcf"
        vcf.write_bytes(b"what a result holds does not matter here")
        items = [result(aws, services, vcf, user_id=person.user_id, due_since=past) for _ in range(count)]
    write_items(aws.aws, services.settings.annotations_table, items)
    job_ids = [item["job_id"] for item in items]
    time.sleep(SHORT_DELAY_S + 1)  # the person is on the free plan since just now
    outcomes = transfer.archive_all(services, job_ids)
    if outcomes[Outcome.ARCHIVED] != count:
        raise RuntimeError(f"not all results were archived: {outcomes}")
    person.upgrade()
    until(lambda: len(retrievals(services, job_ids)) == count, every_s=1)
