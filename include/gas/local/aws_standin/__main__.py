"""Serve the AWS stand-in until SIGTERM or SIGINT, then leave a snapshot."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gas.local.aws_standin.glacier import Waits
from gas.local.aws_standin.server import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at; who reaches it may do all")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, help="where the snapshot is kept; nothing is kept without it")
    parser.add_argument("--expedited-s", type=float, default=1.0, help="how long an Expedited retrieval takes")
    parser.add_argument("--standard-s", type=float, default=3.0, help="how long a Standard or Bulk retrieval takes")
    options = parser.parse_args()
    serve(
        host=options.host,
        port=options.port,
        state=options.state,
        secret=os.environ["AWS_SECRET_ACCESS_KEY"],
        waits=Waits(expedited_s=options.expedited_s, standard_s=options.standard_s),
    )
