"""What is kept, brought to the form that this GAS knows: Airflow's database, the web app's, and the records of jobs.

Airflow's and the web app's own code works in processes of their own, so that neither is imported here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum

from gas.errors import GasError

_SAID_LINES = 15


class MigrationFailed(GasError):
    """A part could not be brought up to date; says what its code said."""

    kind = "migration"


class Part(StrEnum):
    """What can be brought up to date on its own."""

    AIRFLOW = "airflow"
    WEB = "web"
    RECORDS = "records"


def migrate(parts: Sequence[Part], *, environment: Mapping[str, str]) -> Iterator[tuple[Part, str]]:
    """Bring these parts up to date, one after the other; yields a sentence about each when it is done.

    It may be repeated, and by two at once: each part is locked in its own database meanwhile.

    :param environment: where the parts find their databases and settings.
    :raises MigrationFailed: with the end of what was said.
    """
    for part in parts:
        yield part, _BY[part](environment)


def run(module: str, *arguments: str, environment: Mapping[str, str], typed: str = "") -> str:
    """Run a module of GAS as a program; the last line that it printed.

    :param typed: what it reads: a secret among the arguments would show in the list of processes.
    :raises MigrationFailed: when it ends with an error.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=typed,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-_SAID_LINES:])
        raise MigrationFailed(f"{module} failed; the databases are as they were or as far as it came:\n{said}")
    return done.stdout.splitlines()[-1]


def _airflow(environment: Mapping[str, str]) -> str:
    return run("gas_airflow.migrate", environment=environment)


def _web(environment: Mapping[str, str]) -> str:
    return run("webui.migrate", environment=environment)


def _records(environment: Mapping[str, str]) -> str:
    from botocore.exceptions import ClientError

    from gas import dynamodb, record_schema
    from gas.services import build
    from gas.settings import Settings

    try:
        number = record_schema.migrate(build(Settings.of(environment)))
    except ClientError as error:
        if dynamodb.code(error) != "ResourceNotFoundException":
            raise MigrationFailed(f"the records of jobs could not be looked through: {error}") from error
        return "There are no records of jobs yet"
    return f"The records of jobs have the layout {record_schema.LAYOUT}; {number} had an earlier one"


_BY: Mapping[Part, Callable[[Mapping[str, str]], str]] = {
    Part.AIRFLOW: _airflow,
    Part.WEB: _web,
    Part.RECORDS: _records,
}
