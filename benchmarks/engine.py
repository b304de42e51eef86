"""Measure ``gas annotate`` against what can be done without it. Prints one JSON object a line.

Each value is a ratio of wall times (or of memory) of the same variants, taken in one run on one machine, the two sides
in alternation: the middle one of the repeats of either.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from genomes import Ground, human, seeded, variants

from gas.annotation.stages import COMPRESSION_LEVEL

_GAS = [sys.executable, "-c", "from gas.cli import main; main()", "annotate"]
_BY_HAND = """
import sys
import duckdb, pysam.bcftools as bcftools
fasta, gff, source, columns, given, folder, level = sys.argv[1:]
def run(command, *arguments):
    getattr(bcftools, command)(*arguments, catch_stdout=False)
run("norm", "-m", "-any", "-f", fasta, "-Ou", "-o", f"{folder}/n.bcf", given)
run("csq", "-l", "-v", "0", "-f", fasta, "-g", gff, "-Ob0", "-W", "-o", f"{folder}/c.bcf", f"{folder}/n.bcf")
run("annotate", "-a", source, "-c", columns, "-Ou", "-o", f"{folder}/a.bcf", f"{folder}/c.bcf")
run("view", f"-Oz{level}", "-o", f"{folder}/r.vcf.gz", f"{folder}/a.bcf")
run("index", "-f", "-t", f"{folder}/r.vcf.gz")
fields = "".join(f"\\t%{c.removeprefix('INFO/')}" for c in columns.split(",")[1:])
run("query", "-o", f"{folder}/t.tsv", "-f", f"%CHROM\\t%POS\\t%ID\\t%REF\\t%ALT\\t%BCSQ{fields}\\n", f"{folder}/a.bcf")
duckdb.connect().execute(
    "COPY (SELECT * EXCLUDE column5, unnest(string_split(column5, ',')) AS consequence FROM "
    f"read_csv('{folder}/t.tsv', delim='\\t', header=false, quote='', nullstr='.', auto_detect=false, "
    f"columns={ {f'column{i}': 'VARCHAR' for i in range(6 + len(columns.split(',')) - 1)} })) "
    f"TO '{folder}/t.parquet' (FORMAT parquet)"
)
"""
_BARE_CSQ = """
import sys
import pysam.bcftools as bcftools
fasta, gff, given, result = sys.argv[1:]
bcftools.csq("-l", "-v", "0", "-f", fasta, "-g", gff, "-Oz", "-o", result, given, catch_stdout=False)
"""


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--human", type=Path, help="a folder with the human files; else a seeded genome is made")
    parser.add_argument("--quick", action="store_true", help="fewer variants, one repeat: to try the benchmark itself")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as made:
        work = Path(made)
        ground = human(options.human, work) if options.human else seeded(work)
        Bench(ground, work, quick=options.quick).run()


class Bench:
    """The figures of one run."""

    def __init__(self, ground: Ground, work: Path, *, quick: bool) -> None:
        self._ground = ground
        self._work = work
        self._repeats = 1 if quick else 3
        self._many, self._few = (100_000, 20_000) if quick else (1_000_000, 100_000)
        self._sources = self._prepare_by_hand()

    def run(self) -> None:
        """Measure and print every figure."""
        many = variants(self._ground, self._many, self._work / "many.vcf.gz")
        few = variants(self._ground, self._few, self._work / "few.vcf.gz")
        one, two = {0}, {0, 1}
        by_hand, csq, ours = self._alternate(
            [lambda: self._by_hand(many), lambda: self._csq(many), lambda: self._gas(many, processors=1)], cores=one
        )
        self._print("gas annotate / the same steps by hand, one processor", ours, by_hand, at_most=1.3)
        self._print("gas annotate / bare csq, one processor", ours, csq, at_most=3.0)
        if (os.cpu_count() or 1) < 2:
            _say("gas annotate / bare csq, two processors", None, "at most 1.8", why="this machine has one processor")
        else:
            csq, ours = self._alternate([lambda: self._csq(many), lambda: self._gas(many, processors=2)], cores=two)
            self._print("gas annotate / bare csq, two processors", ours, csq, at_most=1.8)
            self._snpeff(many, cores=two)
        self._memory(many, few)

    def _print(self, figure: str, ours: float, theirs: float, *, at_most: float) -> None:
        _say(
            figure,
            round(ours / theirs, 2),
            f"at most {at_most}",
            met=ours / theirs <= at_most,
            seconds={"gas": round(ours, 2), "other": round(theirs, 2)},
            **self._about(),
        )

    def _about(self) -> dict[str, object]:
        return {"data": self._ground.label, "variants": self._many, "repeats": self._repeats}

    def _alternate(self, runs: Sequence[Callable[[], None]], *, cores: set[int]) -> list[float]:
        """The middle wall time of each, in seconds, run by turns on these processors."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores & before or before)
        try:
            times: list[list[float]] = [[] for _ in runs]
            for _ in range(self._repeats):
                for run, taken in zip(runs, times, strict=True):
                    began = time.perf_counter()
                    run()
                    taken.append(time.perf_counter() - began)
        finally:
            os.sched_setaffinity(0, before)
        return [statistics.median(taken) for taken in times]

    def _gas(self, given: Path, *, processors: int) -> None:
        environment = {**os.environ, "GAS_REFERENCES": str(self._work / "references")}
        target = self._work / "ours" / "r.vcf.gz"
        arguments = [str(given), "-r", "bench", "-o", str(target), "--processors", str(processors), "--json"]
        subprocess.run([*_GAS, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)

    def _prepare_by_hand(self) -> tuple[Path, str]:
        """The source with its fields under the names they shall have: a person would prepare it once, too."""
        import pysam.bcftools

        source = self._work / "by-hand-source.vcf.gz"
        names = self._work / "names"
        names.write_text("".join(f"INFO/{field} DBSNP_{field}\n" for field in self._ground.fields))
        arguments = ("--rename-annots", str(names), "-Oz", "-W=tbi", "-o", str(source), str(self._ground.source))
        pysam.bcftools.annotate(*arguments, catch_stdout=False)
        return source, ",".join(["ID", *(f"INFO/DBSNP_{field}" for field in self._ground.fields)])

    def _by_hand(self, given: Path) -> None:
        folder = self._work / "by-hand"
        folder.mkdir(exist_ok=True)
        source, columns = self._sources
        reference = self._ground.reference
        files = [str(reference.fasta), str(reference.gff), str(source), columns, str(given), str(folder)]
        arguments = [*files, str(COMPRESSION_LEVEL)]
        subprocess.run([sys.executable, "-c", _BY_HAND, *arguments], check=True, stderr=subprocess.DEVNULL)

    def _csq(self, given: Path) -> None:
        reference = self._ground.reference
        arguments = [str(reference.fasta), str(reference.gff), str(given), str(self._work / "csq.vcf.gz")]
        subprocess.run([sys.executable, "-c", _BARE_CSQ, *arguments], check=True, stderr=subprocess.DEVNULL)

    def _snpeff(self, given: Path, *, cores: set[int]) -> None:
        figure, target = "SnpEff / gas annotate, two processors", "at least 6"
        program = shutil.which("snpEff")
        if program is None:
            _say(figure, None, target, why="snpEff is not installed")
            return
        config = self._build_snpeff(program)
        result = self._work / "snpeff.vcf"

        def snpeff() -> None:
            with result.open("wb") as out:
                arguments = ["-c", str(config), "-noStats", "-noLog", "bench", str(given)]
                subprocess.run([program, "ann", *arguments], stdout=out, stderr=subprocess.DEVNULL, check=True)

        theirs, ours = self._alternate([snpeff, lambda: self._gas(given, processors=2)], cores=cores)
        _say(
            figure,
            round(theirs / ours, 1),
            target,
            met=theirs / ours >= 6,
            seconds={"gas": round(ours, 2), "SnpEff": round(theirs, 2)},
            **self._about(),
        )

    def _build_snpeff(self, program: str) -> Path:
        """SnpEff's database of the same genome and genes."""
        home = self._work / "snpeff"
        data = home / "data" / "bench"
        data.mkdir(parents=True)
        for source, name in ((self._ground.fasta, "sequences.fa"), (self._ground.gff, "genes.gff")):
            content = source.read_bytes()
            (data / name).write_bytes(gzip.decompress(content) if source.suffix == ".gz" else content)
        config = home / "snpEff.config"
        config.write_text(f"data.dir = {home / 'data'}\nbench.genome : bench\n")
        arguments = ["-gff3", "-noCheckCds", "-noCheckProtein", "-noLog", "-c", str(config), "bench"]
        subprocess.run([program, "build", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return config

    def _memory(self, many: Path, few: Path) -> None:
        """The largest sum of memory of the command and all its processes."""
        peaks = [_peak_bytes(lambda given=given: self._gas(given, processors=1)) for given in (many, few)]
        _say(
            "peak memory of gas annotate, many variants / a tenth of them",
            round(peaks[0] / peaks[1], 2),
            "at most 1.3",
            met=peaks[0] / peaks[1] <= 1.3,
            mib={str(count): peak >> 20 for count, peak in zip((self._many, self._few), peaks, strict=True)},
            **self._about(),
        )


def _peak_bytes(run: Callable[[], None]) -> int:
    """Run it, and watch the memory of this process's descendants: proportional set size, so that what forked
    processes share counts once.
    """
    done = threading.Event()
    peak = 0

    def watch() -> None:
        nonlocal peak
        own = psutil.Process()
        while not done.wait(0.02):
            total = 0
            for process in own.children(recursive=True):
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue  # it ended between the listing and the look
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return peak


def _say(figure: str, value: float | None, target: str, **more: object) -> None:
    print(json.dumps({"figure": figure, "value": value, "target": target, **more}), flush=True)


if __name__ == "__main__":
    main()
