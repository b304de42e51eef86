"""Serve the AWS stand-in until SIGTERM or SIGINT, then leave a snapshot."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gas.local.aws_standin.server import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, help="where the snapshot is kept; nothing is kept without it")
    options = parser.parse_args()
    serve(port=options.port, state=options.state, secret=os.environ["AWS_SECRET_ACCESS_KEY"])
