"""What a second Celery worker brings: the services of ``docker-compose.yaml`` as plain processes, one slot a worker."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from genomes import ON_A_CONTIG, seeded, variants
from jobs import Input, Submitter, told

from tests.compose.running import running


def measure(*, jobs: int, variants_each: int) -> None:
    """The same jobs, by one worker and by two, by turns; each job has one processor."""
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as made:
        folder = Path(made)
        alone = {"scheduler": 1, "triggerer": 1}
        slots = {"GAS_WORKER_SLOTS": "1", "GAS_PROCESSORS": "1"}
        with running(folder, replicas=alone, **slots) as stack:
            services = stack.services()
            # This installs the genome among the references of the stack.
            ground = seeded(services.references.folder.parent, copies=-(-variants_each // ON_A_CONTIG))
            large = Input(
                path=variants(ground, variants_each, folder / "large.vcf.gz"), reference=ground.reference.name
            )
            submitter = Submitter(services)
            submitter.many_jobs(large, 2)
            second = stack.topology.of("worker")[1]
            took: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(2):
                took[2].append(submitter.many_jobs(large, jobs))
                stack.topology.kill(second)
                took[1].append(submitter.many_jobs(large, jobs))
                stack.topology.start_again(second)
    one_s, two_s = (statistics.median(took[workers]) for workers in (1, 2))
    told(
        f"{jobs} jobs of {variants_each} variants: jobs a minute with two Celery workers over one",
        one_s / two_s,
        ">= 1.7",
        two_a_minute=60 * jobs / two_s,
        one_a_minute=60 * jobs / one_s,
    )
