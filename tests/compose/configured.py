"""The Compose file as Compose itself reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
FILE = CHECKOUT / "docker-compose.yaml"
DEV = CHECKOUT / "deploy" / "dev.env"
PROGRAMS = Path(sys.executable).parent


def compose() -> list[str] | None:
    """The command of Compose: the one that the development environment brings, or Docker's; ``None`` without one."""
    for command in ([str(PROGRAMS / "docker-compose")], ["docker", "compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    return None


def secrets() -> dict[str, str]:
    """What ``deploy/secrets.sh`` prints."""
    said = subprocess.run([CHECKOUT / "deploy" / "secrets.sh"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def configured(variables: Mapping[str, str], *, folder: Path, dev: bool) -> subprocess.CompletedProcess[str]:
    """What Compose makes of the file.

    :param variables: the lines of the ``.env``, and nothing of the environment.
    :param folder: where the ``.env`` may be written.
    :param dev: whether the stand-ins take part.
    """
    command = compose()
    assert command is not None
    environment = folder / "compose.env"
    environment.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    files = [DEV, environment] if dev else [environment]
    return subprocess.run(
        [
            *command,
            "--file",
            str(FILE),
            *(f"--env-file={file}" for file in files),
            *(["--profile=dev"] if dev else []),
            "--profile=tools",
            "config",
            "--format=json",
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def model(variables: Mapping[str, str], *, folder: Path, dev: bool) -> dict[str, Any]:
    """The same as a document: interpolated, merged, with every default in its place."""
    done = configured(variables, folder=folder, dev=dev)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))  # it is made to be read by Compose again
    return document
