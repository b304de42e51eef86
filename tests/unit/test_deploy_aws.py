"""The scripts that set up a machine at AWS, with programs of the same names in the place of AWS, Docker and apt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = CHECKOUT / "deploy" / "aws"
SECRET = "s3cret-of-the-database"

#: Writes down how it was called, and what lay in the files that were named, then answers as its test says.
STAND_IN = """#!/bin/bash
echo "${0##*/} $*" >>"$CALLS"
for argument in "$@"; do
    [[ $argument != file://* ]] || { cat "${argument#file://}"; echo; } >>"$CALLS"
done
answer="$ANSWERS/${0##*/}"
[[ ! -e $answer ]] || . "$answer"
"""


class Machine:
    """A machine with stand-ins for what a script calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._bin, self._answers = folder, folder / "bin", folder / "answers"
        self._calls = folder / "calls"
        for made in (self._bin, self._answers):
            made.mkdir()
        for program in ("apt-get", "aws", "curl", "docker", "systemctl"):
            (self._bin / program).write_text(STAND_IN)
            (self._bin / program).chmod(0o755)

    def answers(self, program: str, script: str) -> None:
        """Have a program answer so, in bash."""
        (self._answers / program).write_text(script)

    @property
    def calls(self) -> str:
        """How the programs were called, in order."""
        return self._calls.read_text()

    def run(
        self, script: str, *arguments: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPTS / script), *arguments],
            input=stdin,
            env={
                "PATH": os.pathsep.join([str(self._bin), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
                "HOME": str(self.folder),
                "CALLS": str(self._calls),
                "ANSWERS": str(self._answers),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def release(tmp_path: Path) -> str:
    """Where a release of GAS is cloned from: the tag v1 of a repository."""
    origin = tmp_path / "origin"
    origin.mkdir()
    shutil.copy(CHECKOUT / "docker-compose.yaml", origin)
    (origin / ".gitignore").write_text(".env*\n")
    who = ["-c", "user.name=GAS", "-c", "user.email=gas@gas.invalid"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Release"], ["tag", "v1"]):
        subprocess.run(["/usr/bin/env", "git", *who, *command], cwd=origin, check=True)
    return origin.as_uri()


def set_up(machine: Machine, release: str) -> subprocess.CompletedProcess[str]:
    folder = str(machine.folder / "gas")
    return machine.run("user-data.sh", GAS_SOURCE=release, GAS_RELEASE="v1", GAS_FOLDER=folder)


def test_machine_is_set_up_from_its_parameters(machine: Machine, release: str) -> None:
    """Settings and secrets come to .env, for root alone and in no log; then the services start, and are looked at."""
    machine.answers("curl", "[[ $* == *api/token* ]] && echo token || echo eu-west-1")
    machine.answers("aws", rf"printf '/gas/POSTGRES_PASSWORD\t{SECRET}\n/gas/GAS_MAIL_FROM\tGAS <gas@lab.example>\n'")
    for _ in range(2):  # the second time brings it up to date
        done = set_up(machine, release)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("gas: ready\n")
        assert SECRET not in done.stdout + done.stderr + machine.calls
        settings = machine.folder / "gas" / ".env"
        assert settings.stat().st_mode & 0o777 == 0o600
        assert settings.read_text().splitlines() == [
            "GAS_PREFIX='gas'",
            "GAS_REGION='eu-west-1'",
            f"POSTGRES_PASSWORD='{SECRET}'",
            "GAS_MAIL_FROM='GAS <gas@lab.example>'",
        ]
        assert sorted(path.name for path in settings.parent.glob(".env*")) == [".env"]
        assert (settings.parent / "docker-compose.yaml").stat().st_mode & 0o004  # the image's user is not root
    docker = [line for line in machine.calls.splitlines() if line.startswith("docker ")]
    assert docker[:2] == ["docker compose build --quiet", "docker compose up --detach --remove-orphans"]
    assert docker[-1] == "docker compose run --rm gas doctor operator"


def test_machine_without_secrets_does_not_start(machine: Machine, release: str) -> None:
    """Without the database's password nothing is started, and the log says what to do."""
    machine.answers("curl", "echo answer")
    done = set_up(machine, release)
    assert done.returncode == 1
    assert "deploy/secrets.sh | deploy/aws/parameters.sh" in done.stderr
    assert "docker" not in [line.split()[0] for line in machine.calls.splitlines()]


def test_examination_that_fails_is_a_failure(machine: Machine, release: str) -> None:
    """A machine that gas doctor finds ill never says that it is ready."""
    machine.answers("curl", "echo eu-west-1")
    machine.answers("aws", r"printf '/gas/POSTGRES_PASSWORD\tsecret\n'")
    machine.answers("docker", "[[ $* != *doctor* ]]")
    done = set_up(machine, release)
    assert done.returncode == 1
    assert "ready" not in done.stdout


def test_parameters_are_kept_without_being_shown(machine: Machine) -> None:
    """Each line becomes an encrypted parameter by way of a file; what is there stays unless it is to be replaced."""
    machine.answers(
        "aws", 'grep -q REDIS <<<"$(cat "${4#file://}")" && { echo ParameterAlreadyExists; exit 254; }; true'
    )
    stdin = f"# secrets\nPOSTGRES_PASSWORD={SECRET}\n\nREDIS_PASSWORD=a=b"
    done = machine.run("parameters.sh", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["/gas/POSTGRES_PASSWORD set", "/gas/REDIS_PASSWORD stays as it is"]
    asked = [json.loads(line) for line in machine.calls.splitlines() if line.startswith("{")]
    assert asked == [
        {"Name": "/gas/POSTGRES_PASSWORD", "Value": SECRET, "Type": "SecureString", "Overwrite": False},
        {"Name": "/gas/REDIS_PASSWORD", "Value": "a=b", "Type": "SecureString", "Overwrite": False},
    ]
    assert not any(SECRET in line for line in machine.calls.splitlines() if line.startswith("aws "))
    machine.run("parameters.sh", "--replace", stdin="GAS_ADMINS=ada")
    assert '"Overwrite": true' in machine.calls
    wrong = machine.run("parameters.sh", stdin=f"password {SECRET}")
    assert wrong.returncode == 2


def test_role_holds_what_gas_iam_prints(machine: Machine) -> None:
    """The role of a machine has one policy for each part that runs there, and may read its settings."""
    machine.answers("aws", "[[ $* != *get-* ]]")
    done = machine.run("role.sh", "triggerer", GAS_AWS_ACCOUNT="123456789012", GAS_PREFIX="lab", GAS_REGION="eu-west-1")
    assert done.returncode == 0, done.stderr
    calls = machine.calls
    for call in (
        "aws iam create-role --role-name lab-triggerer ",
        "aws iam put-role-policy --role-name lab-triggerer --policy-name settings ",
        "aws iam put-role-policy --role-name lab-triggerer --policy-name triggerer ",
        "aws iam add-role-to-instance-profile --instance-profile-name lab-triggerer --role-name lab-triggerer",
    ):
        assert call in calls
    assert '"arn:aws:ssm:eu-west-1:123456789012:parameter/lab/*"' in calls
    assert '"arn:aws:sqs:eu-west-1:123456789012:lab-thaw-wake"' in calls
