"""A result of gigabytes, and a process of its own that takes it to the archive and back while its memory is watched."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import boto3
import psutil
import pysam
from standin import StandIn

from gas.archive import Outcome, RetrievalStatus, transfer
from gas.job import Job, Output
from gas.services import Services, build
from gas.settings import Settings

SAMPLES = 2_504  # as in the 1000 Genomes Project
CONTIG_BASES = 200_000_000
IDLE = "idle"
WATCH_S = 0.02
REST_S = 1.0
_DISTINCT_ROWS = 64
_GENOTYPES = ("0|0", "0|1", "1|0", "1|1")
_HEADER = (
    "##fileformat=VCFv4.2",
    '##FILTER=<ID=PASS,Description="All filters passed">',
    f"##contig=<ID=1,length={CONTIG_BASES}>",
    '##INFO=<ID=BCSQ,Number=.,Type=String,Description="Consequences">',
    '##INFO=<ID=GAS_REC,Number=1,Type=Integer,Description="Number of the record in the input">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
)


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Memory of a process with its children, in bytes: at rest, and the most in each phase of its work."""

    idle: int
    phases: Mapping[str, int]
    seconds: Mapping[str, float]

    def above_idle_mib(self, *phases: str) -> float:
        """The highest peak of these phases above idle; never below 0."""
        return max(0, max(self.phases[phase] for phase in phases) - self.idle) / (1 << 20)


def write_vcf(path: Path, *, size_bytes: int) -> int:
    """Write an annotated VCF of many samples; how many records it took.

    It is valid BGZF of at least ``size_bytes``, stored and not compressed, which is quick to make and takes the same
    way as what is compressed.
    """
    rng = random.Random(7)
    rows = ["\t".join(rng.choices(_GENOTYPES, weights=(90, 4, 4, 2), k=SAMPLES)) for _ in range(_DISTINCT_ROWS)]
    names = "\t".join(f"S{number}" for number in range(SAMPLES))
    with pysam.BGZFile(str(path), "wb0") as out:
        columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}"
        out.write(("\n".join([*_HEADER, columns]) + "\n").encode())
        written = number = 0
        while written < size_bytes:
            number += 1
            gene = f"GENE{number % 997}|T{number % 997}|protein_coding|+|12A>12V|{number}C>T"
            info = f"BCSQ=missense|{gene};GAS_REC={number}"
            line = f"1\t{number * 100}\t.\tC\tT\t50\tPASS\t{info}\tGT\t{rows[number % _DISTINCT_ROWS]}\n".encode()
            out.write(line)
            written += len(line)
    return number


def carried(services: Services, aws: StandIn, *, small: str, large: str) -> Peaks:
    """Take a small result to the archive and back, rest, then take the large one.

    Another process does it, so that nothing of the measurement is in its memory.

    :param small: the id of a due job; it warms everything that any result needs.
    :param large: the id of the due job that is watched.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    worker = spawn.Process(target=_carry, args=(there, services.settings, aws.url, aws.keys, small, large))
    worker.start()
    there.close()
    try:
        peaks = _watch(here, psutil.Process(worker.pid))
    finally:
        worker.join()
    if worker.exitcode:
        raise RuntimeError(f"the process that carried the result ended with {worker.exitcode}")
    return peaks


def _watch(worker: Connection, process: psutil.Process) -> Peaks:
    """Sample the worker's memory until it ends. It tells each phase, and begins it when that is known here."""
    peaks: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    phase, last = "", time.monotonic()
    while True:
        seconds[phase] += -last + (last := time.monotonic())
        try:
            if worker.poll(WATCH_S):
                phase = worker.recv()
                if phase == IDLE:
                    time.sleep(REST_S)
                    peaks[IDLE] = _memory_bytes(process)
                worker.send(None)
        except EOFError:
            break
        if phase != IDLE:
            peaks[phase] = max(peaks[phase], _memory_bytes(process))
    return Peaks(idle=peaks[IDLE], phases=peaks, seconds=seconds)


def _memory_bytes(process: psutil.Process) -> int:
    """What is resident of the process, and what its descendants have for themselves alone."""
    total = 0
    try:
        total = process.memory_info().rss
        for child in process.children(recursive=True):
            total += child.memory_full_info().uss
    except psutil.Error:  # one of them ended meanwhile
        pass
    return total


def _carry(parent: Connection, settings: Settings, url: str, keys: dict[str, str], small: str, large: str) -> None:
    """What the worker does."""

    def enter(phase: str) -> None:
        parent.send(phase)
        parent.recv()

    services = build(settings, session=boto3.Session(**keys), endpoint_url=url)
    enter("small")
    _there_and_back(services, small, enter=lambda _: None)
    gc.collect()
    enter(IDLE)
    _there_and_back(services, large, enter=enter)
    enter("end")


def _there_and_back(services: Services, job_id: str, *, enter: Callable[[str], None]) -> None:
    enter("archive")
    if (outcome := transfer.archive_one(services, job_id)) is not Outcome.ARCHIVED:
        raise RuntimeError(f"the result was not archived: {outcome}")
    enter("ask")
    transfer.begin_restore_job(services, job_id)
    retrieval = transfer.ask(services, job_id)
    if retrieval is None:
        raise RuntimeError("the archive was not asked")
    while services.archives[retrieval.backend].status(retrieval) is RetrievalStatus.WAITING:
        time.sleep(0.1)
    with _told_of_rebuild(enter):
        enter("fetch")
        if (outcome := transfer.thaw(services, job_id)) is not Outcome.THAWED:
            raise RuntimeError(f"the result did not come back: {outcome}")


@contextmanager
def _told_of_rebuild(enter: Callable[[str], None]) -> Iterator[None]:
    """Have it told when a thaw begins to make index and table anew, and when it goes on to put what it has."""
    module = importlib.import_module("gas.archive.thaw")  # the package has a function of this name
    original = module.rebuild

    def rebuild(services: Services, job: Job, vcf: Path) -> tuple[dict[Output, Path], str | None]:
        enter("rebuild")
        files, trouble = original(services, job, vcf)
        if trouble:
            raise RuntimeError(trouble)
        enter("put")
        return files, trouble

    module.rebuild = rebuild
    try:
        yield
    finally:
        module.rebuild = original
