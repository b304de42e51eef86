"""The engine's own process: reads and checks the input, has its chunks annotated by children, joins the results."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gas.annotation import bgzf
from gas.annotation.bcftools import ToolFailed, bcftools, bcftools_output
from gas.annotation.channel import Channel
from gas.annotation.check import Check, lines_of
from gas.annotation.children import Children
from gas.annotation.chunks import Chunk, Chunks
from gas.annotation.engine import Task
from gas.annotation.header import Header, Opened, read_header
from gas.annotation.notes import notes_of
from gas.annotation.provenance import bcftools_version, engine_version, header_lines, options
from gas.annotation.refusals import ReferenceMismatch, WrongBuild
from gas.annotation.report import Run, merge, preload
from gas.annotation.result_header import result_header
from gas.annotation.sorting import sorted_text
from gas.annotation.source_text import open_text, read_pieces
from gas.annotation.stages import (
    Annotated,
    LeftOfCut,
    Normalised,
    annotate_chunk,
    lies_left_of_cut,
    normalise,
)
from gas.errors import EngineError, GasError
from gas.job import Progress
from gas.references import Reference

_TABIX_MAX = (1 << 29) - 1
"""Bases of a contig that a tabix index can hold; a longer one needs a CSI index."""
_SAMPLE = 2000
"""Records by which other references are tried when most REF alleles differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the engine's process leaves: the files lie in its folder."""

    vcf: Path
    index: Path
    log: Path
    summary: Path
    table: Path
    digest: Path | None
    counts: dict[str, Any]
    notes: tuple[str, ...]
    timings: dict[str, float]


@dataclass(slots=True)
class _State:
    chunks: list[Chunk] = field(default_factory=list)
    normalised: dict[int, Normalised] = field(default_factory=dict)
    annotated: dict[int, Annotated] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Work:
    """One run of the engine; :meth:`run` does it."""

    def __init__(self, task: Task, *, progress: Callable[[Progress], None], whole: bool = False) -> None:
        self._task = task
        self._progress = progress
        self._whole = whole
        self._state = _State()
        self._children = Children(at_once=task.processors, folder=task.folder)
        self._notes: list[str] = []
        self._declared: frozenset[bytes] = frozenset()

    def run(self) -> Outcome:
        """Do all of it.

        :raises InputError: when the input is refused.
        :raises EngineError: when a tool fails or a limit is reached.
        :raises LeftOfCut: when the file must be annotated in one chunk.
        """
        check, header = self._read()
        self._refuse_mismatches(check)
        haplotype_aware = check.genotyped and not check.phase_unknown
        self._annotate(check, haplotype_aware=haplotype_aware)
        self._progress(Progress(stage="write", done=check.records, total=check.records))
        return self._join(check, header, haplotype_aware=haplotype_aware)

    def stop(self) -> None:
        """End the children that are still at work."""
        self._children.stop()

    def _annotate(self, check: Check, *, haplotype_aware: bool) -> None:
        task, state = self._task, self._state
        groups = self._groups()
        done = 0

        def taker(number: int) -> Callable[[Annotated], None]:
            def take(outcome: Annotated) -> None:
                nonlocal done
                state.annotated[number] = outcome
                for name, seconds in outcome.timings.items():
                    state.timings[name] += seconds
                done += sum(chunk.records for chunk in groups[number])
                self._progress(Progress(stage="annotate", done=done, total=check.records))

            return take

        self._progress(Progress(stage="annotate", done=0, total=check.records))
        for number, group in enumerate(groups):
            work = partial(
                annotate_chunk,
                group,
                reference=task.reference,
                haplotype_aware=haplotype_aware,
                whole=len(groups) == 1,
                work_dir=task.folder,
            )
            self._children.start("annotating", work, taker(number))
        self._children.finish()

    # Reading

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._state.timings[name] += time.perf_counter() - began

    def _open(self) -> Opened:
        """Open the input; what an earlier run of GAS left in it is taken out on the way."""
        task = self._task
        opened = read_header(open_text(task.input, limits=task.limits), limits=task.limits)
        old = opened.header.own_tags(f"INFO/{column}" for column in task.reference.source_columns)
        if not old:
            return opened
        for _ in opened.rest:
            pass  # finds damage and bombs before bcftools reads the file
        self._notes = [f"{', '.join(old)} of an earlier annotation was replaced."]
        cleaned = bcftools_output("annotate", "--no-version", "-x", ",".join(old), "-Ov", str(task.input))
        return read_header(_readable(read_pieces(cleaned)), limits=task.limits)

    def _read(self) -> tuple[Check, Header]:
        """Check the input and have its chunks normalised."""
        task = self._task
        with self._timed("check"):
            opened = self._open()
            header = opened.header
            self._declared = frozenset(header.contigs)
            check = Check(header=header, reference=task.reference, limits=task.limits)
            chunks = Chunks(check=check, header=header, reference=task.reference, folder=task.folder, whole=self._whole)
            fasta = _Genome(task.reference, task.folder)
            for data, last in lines_of(opened.rest, limits=task.limits, first_line=header.n_lines):
                block = check.block(data, last=last)
                self._progress(Progress(stage="check", done=check.records))
                if not check.sorted:
                    continue
                for chunk in chunks.add(block):
                    self._take_chunk(chunk, header, fasta)
            check.finish()
            if opened.crlf and not check.seen["crlf"]:
                check.seen["crlf"] += 1
        if check.sorted:
            self._state.chunks.append(chunks.finish())
        else:
            chunks.discard()
            self._children.finish()
            self._state = _State(timings=self._state.timings)
            with self._timed("sort"):
                self._read_sorted(check, header, fasta)
        self._children.alone = len(self._state.chunks) == 1
        for chunk in self._state.chunks:
            self._normalise(chunk, header, fasta)
        if not self._children.alone:
            preload()  # while the children normalise; those that make tables are forked after it
        self._children.finish()
        return check, header

    def _take_chunk(self, chunk: Chunk, header: Header, fasta: _Genome) -> None:
        """Remember a chunk; where there is a processor besides this one, begin with what is there."""
        self._state.chunks.append(chunk)
        self._children.poll()
        if self._task.processors > 1:
            for waiting in self._state.chunks:
                if self._children.running < self._task.processors - 1:
                    self._normalise(waiting, header, fasta)

    def _normalise(self, chunk: Chunk, header: Header, fasta: _Genome) -> None:
        if chunk.begun:
            return
        chunk.begun = True

        def take(outcome: Normalised) -> None:
            self._state.normalised[chunk.number] = outcome
            self._state.timings["normalise"] += outcome.seconds

        genome = fasta.named(chunk)
        self._children.start("normalising", lambda: normalise(chunk, header=header, fasta=genome), take)

    def _read_sorted(self, before: Check, header: Header, fasta: _Genome) -> None:
        """Read the input again, numbered, through ``bcftools sort``, which spills to disk."""
        task = self._task
        self._progress(Progress(stage="sort", total=before.records))
        again = Check(header=header, reference=task.reference, limits=task.limits)
        opened = self._open()
        blocks = (
            again.block(data, last=last)
            for data, last in lines_of(opened.rest, limits=task.limits, first_line=header.n_lines)
        )
        check = Check(header=header, reference=task.reference, limits=task.limits, number=False)
        check.phase_unknown, check.genotyped = before.phase_unknown, before.genotyped
        folder = task.folder / "sorted"
        folder.mkdir()
        chunks = Chunks(check=check, header=header, reference=task.reference, folder=folder, whole=self._whole)
        for text in sorted_text(blocks, rank=again.contigs.rank, folder=folder):
            for chunk in chunks.add(check.block(text)):
                self._take_chunk(chunk, header, fasta)
        self._state.chunks.append(chunks.finish())

    # Between normalising and annotating

    def _refuse_mismatches(self, check: Check) -> None:
        outcomes = [self._state.normalised[chunk.number] for chunk in self._state.chunks]
        mismatches = sum(outcome.mismatches for outcome in outcomes)
        if not mismatches:
            return
        contig, position, ref, genome = next(o.first_mismatch for o in outcomes if o.first_mismatch)
        name = self._task.reference.name
        first = f"the first at {contig}:{position:,}, where the file has {_short(ref)} and {name} has {_short(genome)}"
        if mismatches * 2 <= check.records:
            raise ReferenceMismatch(
                f"{mismatches:,} of {check.records:,} REF alleles differ from the reference {name}, {first}. "
                "Correct them, or choose the reference that the file was made on."
            )
        fitting = [other.name for other in self._task.others if self._fits(other)]
        advice = (
            f"It fits the reference {' and '.join(fitting)}: choose that."
            if fitting
            else "None of the other references installed here fits either."
            if self._task.others
            else "Choose the reference that the file was made on."
        )
        raise WrongBuild(
            f"The file was made on another genome: {mismatches:,} of {check.records:,} REF alleles differ from the "
            f"reference {name}, {first}. {advice}"
        )

    def _fits(self, other: Reference) -> bool:
        """Whether nearly all of the first records agree with another reference."""
        import pysam

        opened = self._open()
        lengths = {contig.name: contig.length for contig in other.contigs}
        tried = equal = 0
        with pysam.FastaFile(str(other.fasta)) as fasta:
            for data, _ in lines_of(opened.rest, limits=self._task.limits, first_line=0):
                for line in data.split(b"\n")[: _SAMPLE - tried]:
                    fields = line.decode(errors="replace").split("\t", 5)
                    if len(fields) < 6 or not fields[1].isdigit():
                        continue
                    name = fields[0] if fields[0] in lengths else other.aliases.get(fields[0])
                    start, ref = int(fields[1]) - 1, fields[3].upper()
                    tried += 1
                    if name is not None and 0 <= start <= lengths[name] - len(ref):
                        equal += fasta.fetch(name, start, start + len(ref)).upper() == ref
                if tried >= _SAMPLE:
                    break
        return tried > 0 and equal * 20 >= tried * 19

    def _groups(self) -> list[list[Chunk]]:
        """The chunks to annotate together: alone, but where left-alignment led over a cut."""
        groups: list[list[Chunk]] = []
        for chunk in self._state.chunks:
            first = self._state.normalised[chunk.number].first
            if groups and lies_left_of_cut(chunk, first, reference=self._task.reference):
                groups[-1].append(chunk)
            else:
                groups.append([chunk])
        return groups

    # After annotating

    def _join(self, check: Check, header: Header, *, haplotype_aware: bool) -> Outcome:
        task, state = self._task, self._state
        parts = [state.annotated[number] for number in sorted(state.annotated)]
        phase = "none" if not check.genotyped else "unknown" if check.phase_unknown else "known"
        mode = "haplotype-aware" if haplotype_aware else "local"
        chosen = options(mode=mode, phase=phase)
        normalised = self._state.normalised.values()
        notes = (*self._notes, *notes_of(check, declared=self._declared, phase=phase, normalised=normalised))
        stem = task.output
        vcf, index = stem.with_name(f"{stem.name}.vcf.gz"), stem.with_name(f"{stem.name}.vcf.gz.tbi")
        with self._timed("write"):
            text = result_header([part.header for part in parts], header_lines(task.reference, chosen))
            bgzf.join(text, [part.vcf for part in parts], vcf)
        form = "-t"
        if any(contig.length > _TABIX_MAX for contig in task.reference.contigs):
            form, index = "-c", vcf.with_name(f"{vcf.name}.csi")

        def make_index() -> float:
            began = time.perf_counter()
            bcftools("index", form, "-f", "-o", str(index), str(vcf), log=task.folder / "index.log")
            return time.perf_counter() - began

        def take_index(seconds: float) -> None:
            state.timings["index"] += seconds

        if task.processors > 1:  # while the tables are joined here
            self._children.start("indexing", make_index, take_index)
        else:
            take_index(make_index())
        table, log, summary = (
            stem.with_name(stem.name + end) for end in (".parquet", ".vcf.count.log", ".summary.json")
        )
        digest = stem.with_name(f"{stem.name}.digest.parquet") if task.digest else None
        began = time.perf_counter()
        timings = {name: round(seconds, 4) for name, seconds in state.timings.items()}
        said = merge(
            [part.table for part in parts],
            run=Run(
                file_name=task.file_name,
                reference=task.reference,
                engine_version=engine_version(),
                bcftools_version=bcftools_version(),
                options=chosen,
                mode=mode,
                phase=phase,
                samples=len(header.samples),
                records=check.records,
                skipped=dict(check.skipped),
                notes=notes,
                timings=timings,
            ),
            table=table,
            log=log,
            summary=summary,
            work_dir=task.folder,
            digest=digest,
        )
        self._children.finish()
        timings |= {"report": round(time.perf_counter() - began, 4), "index": round(state.timings["index"], 4)}
        return Outcome(
            vcf=vcf, index=index, log=log, summary=summary, table=table, digest=digest,
            counts=said["counts"], notes=notes, timings=timings,
        )  # fmt: skip


class _Genome:
    """The reference's FASTA under the input's names of its contigs: only the index beside it is written anew."""

    def __init__(self, reference: Reference, folder: Path) -> None:
        self._reference = reference
        self._folder = folder
        self._made: dict[frozenset[tuple[bytes, bytes]], Path] = {}

    def named(self, chunk: Chunk) -> Path:
        """The FASTA to use for a chunk."""
        fasta = self._reference.fasta
        if not chunk.renames:
            return fasta
        key = frozenset(chunk.renames.items())
        if key not in self._made:
            folder = self._folder / f"genome-{len(self._made)}"
            folder.mkdir()
            names = {own: name for name, own in chunk.renames.items()}
            lines = []
            for line in Path(f"{fasta}.fai").read_bytes().splitlines():
                own, tab, rest = line.partition(b"\t")
                lines.append(names.get(own, own) + tab + rest + b"\n")
            path = folder / fasta.name
            path.symlink_to(fasta.resolve())
            Path(f"{path}.fai").write_bytes(b"".join(lines))
            if Path(f"{fasta}.gzi").exists():
                Path(f"{path}.gzi").symlink_to(Path(f"{fasta}.gzi").resolve())
            self._made[key] = path
        return self._made[key]


def _readable(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except ToolFailed as error:
        raise EngineError(f"The annotation engine failed: {error}") from error


def _short(bases: str) -> str:
    return bases if len(bases) <= 20 else f"{bases[:20]}... ({len(bases):,} bases)"


def serve(task: Task, channel: int) -> None:
    """Do a task in this process and report on the descriptor ``channel``; see :mod:`gas.annotation.engine`."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # this process forks, so it must have one thread
    send = Channel(channel).send
    try:
        work = Work(task, progress=send)
        try:
            outcome = work.run()
        except LeftOfCut:
            work.stop()
            (task.folder / "whole").mkdir()
            outcome = Work(replace(task, folder=task.folder / "whole"), progress=send, whole=True).run()
        send(outcome)
    except GasError as error:
        send(error)
    except MemoryError:
        send(EngineError("The annotation engine reached its memory limit; the file needs more."))
    except OSError as error:
        send(EngineError(f"The annotation engine cannot go on: {error.strerror or error}."))
