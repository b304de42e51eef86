"""A worker process: annotates one job, and sends itself a signal before the Nth call of an operation.

Started by the tests as ``python -m tests.faults.worker JOB_ID ATTEMPT OPERATION NTH SIGNAL`` with GAS's settings in
its environment. Exits with 0 when the job's run returned, with 10 when the attempt was fenced.
"""

from __future__ import annotations

import os
import sys

import boto3

from gas import annotate_job, services
from gas.errors import Fenced
from gas.settings import Settings
from tests.fakes import FakeReferences, fake_annotate
from tests.faults.harness import Faults

FENCED = 10


def main(job_id: str, attempt: str, operation: str, nth: str, signal_number: str) -> int:
    """Run the job; the exit code says how it went."""
    annotate_job.annotation.annotate = fake_annotate
    services.ReferenceStore = lambda _: FakeReferences()

    def signal_self(_: object) -> None:
        os.kill(os.getpid(), int(signal_number))

    session = boto3.Session()
    Faults(operation, int(nth), signal_self).watch(session)
    try:
        annotate_job.run(services.build(Settings.from_environment(), session=session), job_id=job_id, attempt=attempt)
    except Fenced:
        return FENCED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
