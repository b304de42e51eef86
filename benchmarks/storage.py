"""What moving results to the archive and back costs, against doing without. Prints one JSON object a line.

    python benchmarks/storage.py [--only PART] [--quick]

Each value is a ratio, a count or a time of one run on one machine; what is compared goes by turns.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs import told
from large_result import carried, write_vcf
from livestack import live_stack
from parts import options, run
from standin import StandIn, result, stand_in, write_items
from waiting import measure_annotation, measure_restore

from gas.archive import Outcome, Retrieval, RetrievalTier, transfer
from gas.archive.watch import RetrievalWatch
from gas.dynamodb import Item
from gas.job import ArchiveBackend, new_job_id
from gas.local.globus_standin import ALICE, BOB
from gas.services import Services
from gas.storage_table import new_token

DELAY_S = 10
#: The archive's interval is then 10 s, and twelve of its runs wait: as many as ever do.
LIVE_DELAY_S = 120
RETRIEVAL_S = 20.0
FOREVER_S = 3600.0
JOBS_PAGE = 50  # retrievals that one page of ListJobs holds
#: Results that are archived before the other side has its turn: four chunks, as the DAG maps them.
TURN = 200
SIZE_BYTES = 100_000
PERSON = "bench000-0000-4000-8000-000000000001"


def main() -> None:
    """Read the options, measure, print."""
    parser = options(PARTS, description=__doc__)
    parser.add_argument("--results", type=int, default=1000, help="results archived on each side")
    parser.add_argument("--waiting", type=int, default=10_000, help="results that wait for their delay")
    parser.add_argument("--rounds", type=int, default=20, help="half as many jobs as are behind each p50")
    parser.add_argument("--back", type=int, default=20, help="results that come back by an upgrade")
    parser.add_argument("--retrievals", type=int, default=1000, help="retrievals that one poll looks at")
    parser.add_argument("--mib", type=int, default=2048, help="size of the result whose way is watched for memory")
    asked = parser.parse_args()
    if asked.quick:
        asked.results, asked.retrievals, asked.waiting, asked.rounds, asked.back, asked.mib = 40, 60, 200, 2, 4, 64
    run(PARTS, asked)


def archive(asked: argparse.Namespace) -> None:
    """Results a second into the archive, against the four calls that any way there needs."""
    for backend in ArchiveBackend:
        with stand_in() as aws, tempfile.TemporaryDirectory(prefix="gas-bench-") as folder:
            _archive(aws, backend, Path(folder), count=asked.results)


def _archive(aws: StandIn, backend: ArchiveBackend, folder: Path, *, count: int) -> None:
    services = aws.services(backend=backend, free_result_ttl_s=DELAY_S)
    past = int(time.time()) - 3600
    services.profiles.ensure(PERSON, name="Benchmark", email="bench@gas.invalid", now=past)
    vcf = folder / "vcf"
    bare = Bare(aws, services)

    def filled(number: int, *, due: bool) -> list[Item]:
        items = []
        for _ in range(number):
            vcf.write_bytes(secrets.token_bytes(SIZE_BYTES))
            items.append(result(aws, services, vcf, user_id=PERSON, due_since=past, alone=not due))
        if not due:
            items = [{name: value for name, value in item.items() if name != "due"} for item in items]
        write_items(aws.aws, services.settings.annotations_table, items)
        return items

    ours: list[float] = []
    theirs: list[float] = []
    warm = min(count, 20)
    for size in (warm, *[min(TURN, count - first) for first in range(0, count, TURN)]):
        filled(size, due=True)
        others = filled(size, due=False)
        ours.append(_seconds(lambda size=size: _archive_due(services, size)) / size)
        theirs.append(_seconds(lambda others=others: bare.archive(others)) / size)
    ours_s, theirs_s = statistics.median(ours[1:]), statistics.median(theirs[1:])
    told(
        f"archive of {count} results of {SIZE_BYTES // 1000} KB, {backend}, results a second, over a bare loop",
        theirs_s / ours_s,
        ">= 0.7",
        results_a_second=1 / ours_s,
        bare_a_second=1 / theirs_s,
    )


def _archive_due(services: Services, count: int) -> None:
    """What the DAG's tasks do, in one process and one chunk after the other."""
    archived = 0
    for chunk in list(transfer.due(services, before=services.storage.now() - DELAY_S)):
        archived += transfer.archive_all(services, chunk)[Outcome.ARCHIVED]
    if archived != count:
        raise RuntimeError(f"{archived} of {count} results were archived")


class Bare:
    """Get, upload, update, delete: the way to the archive without a thought for what may go wrong."""

    def __init__(self, aws: StandIn, services: Services) -> None:
        self._aws = aws.aws
        self._settings = services.settings
        vault = services.settings.archive is ArchiveBackend.VAULT
        self._upload: Callable[[str, bytes], str] = self._to_vault if vault else self._to_storage_class

    def archive(self, items: Sequence[Item]) -> None:
        """One result after the other."""
        for item in items:
            result = item["outputs"]["vcf"]
            where = {"Bucket": result["bucket"], "Key": result["key"], "VersionId": result["version_id"]}
            body = self._aws.s3.get_object(**where)["Body"].read()
            archive_id = self._upload(item["job_id"], body)
            self._aws.dynamodb.update_item(
                TableName=self._settings.annotations_table,
                Key={"job_id": {"S": item["job_id"]}},
                UpdateExpression="SET storage_state = :archived, results_file_archive_id = :id",
                ExpressionAttributeValues={":archived": {"S": "ARCHIVED"}, ":id": {"S": archive_id}},
            )
            self._aws.s3.delete_object(**where)

    def _to_vault(self, job_id: str, body: bytes) -> str:
        return str(
            self._aws.glacier.upload_archive(
                accountId="-", vaultName=self._settings.vault, archiveDescription=job_id, body=body
            )["archiveId"]
        )

    def _to_storage_class(self, job_id: str, body: bytes) -> str:
        return self._aws.s3.put_object(
            Bucket=self._settings.results_bucket, Key=f"archive/{job_id}", Body=body, StorageClass="GLACIER"
        )["VersionId"]


def memory(asked: argparse.Namespace) -> None:
    """The most memory of a process that takes one large result to the archive and back, above what it has at rest."""
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as made:
        folder = Path(made)
        large, small = folder / "large.vcf.gz", folder / "small.vcf.gz"
        records = write_vcf(large, size_bytes=asked.mib << 20)
        write_vcf(small, size_bytes=1 << 20)
        with stand_in() as aws:
            job_ids: list[str] = []
            for backend in ArchiveBackend:
                services = aws.services(
                    backend=backend,
                    free_result_ttl_s=DELAY_S,
                    work_dir=folder / "work",
                    references=folder / "references",
                )
                if job_ids:
                    time.sleep(DELAY_S + 1)  # they came back just now, and are due again
                else:
                    job_ids = _stored(aws, services, [small, large])
                _memory(aws, services, *job_ids, mib=large.stat().st_size >> 20, records=records)


def _stored(aws: StandIn, services: Services, vcfs: Sequence[Path]) -> list[str]:
    """Completed jobs with these results, due since an hour ago; their ids."""
    past = int(time.time()) - 3600
    services.profiles.ensure(PERSON, name="Benchmark", email="bench@gas.invalid", now=past)
    items = [result(aws, services, vcf, user_id=PERSON, due_since=past) for vcf in vcfs]
    write_items(aws.aws, services.settings.annotations_table, items)
    return [item["job_id"] for item in items]


def _memory(aws: StandIn, services: Services, small: str, large: str, *, mib: int, records: int) -> None:
    peaks = carried(services, aws, small=small, large=large)
    told(
        f"peak memory of archiving and thawing {mib} MiB, {services.settings.archive}, above idle, MiB",
        peaks.above_idle_mib("archive", "fetch", "rebuild", "put"),
        "<= 100",
        idle_mib=peaks.idle / (1 << 20),
        records=records,
        **{f"{phase}_mib": peaks.above_idle_mib(phase) for phase in ("archive", "fetch", "rebuild", "put")},
        **{f"{phase}_s": peaks.seconds[phase] for phase in ("archive", "fetch", "rebuild", "put")},
    )


def waiting(asked: argparse.Namespace) -> None:
    """What results that wait cost everybody else, how they come back, and when: on a live stack."""
    with live_stack(delay_s=LIVE_DELAY_S, retrieval_s=RETRIEVAL_S) as stack:
        measure_annotation(stack, waiting=asked.waiting, rounds=asked.rounds)
        for person, backend in ((ALICE, ArchiveBackend.STORAGE_CLASS), (BOB, ArchiveBackend.VAULT)):
            measure_restore(stack, person, backend, results=asked.back)


def calls(asked: argparse.Namespace) -> None:
    """Requests to AWS in one poll for many retrievals that have not ended."""
    for backend in ArchiveBackend:
        with stand_in(expedited_s=FOREVER_S, standard_s=FOREVER_S) as aws:
            _calls(aws, backend, count=asked.retrievals)


def _calls(aws: StandIn, backend: ArchiveBackend, *, count: int) -> None:
    sent: Counter[str] = Counter()

    def note(request: Any, event_name: str, **_: Any) -> None:
        sent[event_name.removeprefix("before-send.")] += 1

    aws.session.events.register("before-send", note)  # before the clients are made: they copy the session's handlers
    services = aws.services(backend=backend)
    retrievals = [_asked(aws, services, number) for number in range(count)]
    watch = RetrievalWatch(services)
    polls = []
    for _ in range(3):
        sent.clear()
        watch.look(retrievals)
        watch.await_wake(retrievals, 1)
        polls.append(Counter(sent))
    usual = polls[-1]  # the first also asks for the queue's address, and takes old messages off it
    if backend is ArchiveBackend.VAULT:
        value, target = usual["glacier.ListJobs"], f"<= {-(-count // JOBS_PAGE)} pages of ListJobs"
    else:
        value, target = usual.total(), "<= 5"
    told(f"AWS calls in one poll for {count} waiting retrievals, {backend}", value, target, **usual)


def _asked(aws: StandIn, services: Services, number: int) -> Retrieval:
    """A retrieval that the archive has begun, of a cold copy of a few bytes."""
    settings, tier = services.settings, RetrievalTier.EXPEDITED
    job_id, token, body = new_job_id(), new_token(), f"copy {number}".encode()
    if settings.archive is ArchiveBackend.VAULT:
        vault = {"accountId": "-", "vaultName": settings.vault}
        archive_id = aws.aws.glacier.upload_archive(**vault, body=body)["archiveId"]
        wish = {"Type": "archive-retrieval", "ArchiveId": archive_id, "Tier": tier.value}
        retrieval_job_id = aws.aws.glacier.initiate_job(**vault, jobParameters=wish)["jobId"]
    else:
        copy = {"Bucket": settings.results_bucket, "Key": f"archive/{job_id}/{token}"}
        archive_id = aws.aws.s3.put_object(**copy, Body=body, StorageClass="GLACIER")["VersionId"]
        wish = {"Days": 2, "GlacierJobParameters": {"Tier": tier.value}}
        aws.aws.s3.restore_object(**copy, VersionId=archive_id, RestoreRequest=wish)
        retrieval_job_id = new_token()
    return Retrieval(
        job_id=job_id,
        backend=settings.archive,
        token=token,
        archive_id=archive_id,
        retrieval_job_id=retrieval_job_id,
        tier=tier,
        asked_at=int(time.time()),
        size_bytes=len(body),
    )


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


PARTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "archive": archive,
    "calls": calls,
    "waiting": waiting,
    "memory": memory,
}


if __name__ == "__main__":
    main()
