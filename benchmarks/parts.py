"""The parts of a benchmark: the command's options, and one after the other."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Callable, Mapping

Part = Callable[[argparse.Namespace], None]


def options(parts: Mapping[str, Part], *, description: str | None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks in parts understand."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", choices=list(parts), action="append", help="this part alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="very few of each: to try the benchmark itself")
    return parser


def run(parts: Mapping[str, Part], asked: argparse.Namespace) -> None:
    """Measure; one part that cannot be measured here takes no other along."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started for the while is then stopped, too
    for part in asked.only or parts:
        try:
            parts[part](asked)
        except Exception as error:  # whatever it is, it is told, and the others go on
            traceback.print_exc()
            print(json.dumps({"figure": part, "value": None, "why": f"{type(error).__name__}: {error}"}), flush=True)
