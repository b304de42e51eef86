"""bcftools csq for the tests, in a process of its own.

csq remembers the position it ended at: run in the tests' process, it would refuse, there and in its forks, the file
that is annotated next.
"""

from __future__ import annotations

import subprocess
import sys

_CSQ = "import sys, pysam.bcftools; pysam.bcftools.csq(*sys.argv[1:], catch_stdout=False)"


def csq(*arguments: str) -> None:
    """Run ``bcftools csq`` with these arguments."""
    subprocess.run([sys.executable, "-c", _CSQ, *arguments], check=True, timeout=60)
