"""GAS at a size where one machine is too small. Prints one JSON object a line.

    python benchmarks/scale.py [--only PART] [--quick]

Each value is a ratio, a count or a time of one run on one machine. A burst of 5,000 jobs takes about an hour.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import burst
import people
import records
import scheduler
import workers
from genomes import ON_A_CONTIG, seeded, variants
from jobs import told
from livestack import live_stack
from parts import options, run

GAS = (sys.executable, "-c", "from gas.cli import main; main()")
DELAY_S = 300
#: Longer than any burst: it is not measured with archiving beside it.
LONG_DELAY_S = 86_400
SHORT_RETRIEVAL_S = 2.0
RETRIEVAL_S = 20.0


def main() -> None:
    """Read the options, measure, print."""
    parser = options(PARTS, description=__doc__)
    parser.add_argument("--jobs", type=int, default=5_000, help="jobs submitted at once")
    parser.add_argument("--records", type=int, default=1_000_000, help="records in the table")
    parser.add_argument("--variants", type=int, default=5_000_000, help="variants of one job")
    parser.add_argument("--people", type=int, default=200, help="people who look at their pages")
    asked = parser.parse_args()
    if asked.quick:
        asked.jobs, asked.records, asked.variants, asked.people = 20, 20_000, 50_000, 10
    run(PARTS, asked)


def large_job(asked: argparse.Namespace) -> None:
    """One job on two processors against one, by turns."""
    if (os.cpu_count() or 1) < 2:
        raise RuntimeError("this machine has one processor")
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as made:
        work = Path(made)
        ground = seeded(work, copies=-(-asked.variants // ON_A_CONTIG))
        given = variants(ground, asked.variants, work / "given.vcf.gz")
        environment = {**os.environ, "GAS_REFERENCES": str(work / "references")}
        took: dict[str, list[float]] = {"1": [], "2": []}
        for processors in ("1", "2", "1", "2"):
            options = ["--reference", ground.reference.name, "--processors", processors, "--json"]
            command = [*GAS, "annotate", str(given), "-o", str(work / "result.vcf.gz"), *options]
            began = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            took[processors].append(time.perf_counter() - began)
    one_s, two_s = (statistics.median(took[processors]) for processors in took)
    told(
        f"gas annotate of {asked.variants} variants, one processor's time over that of two",
        one_s / two_s,
        ">= 1.7",
        one_s=one_s,
        two_s=two_s,
    )


def table(asked: argparse.Namespace) -> None:
    """What is read of a large table."""
    records.measure(records=asked.records)


def many_jobs(asked: argparse.Namespace) -> None:
    """Jobs that come all at once, and upgrades in the middle of them."""
    with live_stack(delay_s=LONG_DELAY_S, retrieval_s=SHORT_RETRIEVAL_S) as stack:
        burst.measure(stack, jobs=asked.jobs)


def polling(asked: argparse.Namespace) -> None:
    """People who look at their pages."""
    with live_stack(delay_s=DELAY_S, retrieval_s=RETRIEVAL_S) as stack:
        people.measure(stack, people=asked.people, for_s=10 if asked.quick else 60)


def celery(asked: argparse.Namespace) -> None:
    """Two Celery workers against one."""
    workers.measure(jobs=2 if asked.quick else 8, variants_each=asked.variants // 5)


def loop(asked: argparse.Namespace) -> None:
    """The scheduler with many that wait."""
    waiting, thawing = (200, 20) if asked.quick else (10_000, 1_000)
    scheduler.measure(waiting=waiting, thawing=thawing, quick=asked.quick)


PARTS = {
    "scheduler": loop,
    "workers": celery,
    "large-job": large_job,
    "table": table,
    "polling": polling,
    "burst": many_jobs,
}

if __name__ == "__main__":
    main()
