"""Every command in the documents works on a running stack, in a clone of the tree, for a person who is signed in."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from gas.cli import build_app
from gas.local.globus_standin import BOB
from gas.local.stack import Stack
from gas.local.variables import stack_variables
from gas.references import demo_vcf
from tests.live.people import client_of
from tests.mirror import mirrored

pytestmark = pytest.mark.live

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Blocks of what is no command.
OTHER_LANGUAGES = frozenset({"mermaid", "text", "python", "json", "ini", "yaml"})
#: What cannot be run from here, and why it need not be.
ELSEWHERE = {
    "make demo": "the clone's own stack would be one more; CI runs it",
    "make test": "it is what runs this",
    "make test-long": "hours",
    "make bench": "an hour",
    "make bench-scale": "hours",
    "make pictures": "tests/browser/test_pictures.py takes them in every run",
    "make lint": "make test begins with it",
    "make lock": "would change what is installed",
}
SECONDS = 150


def commands(document: Path) -> list[str]:
    """The blocks of a document that are for a shell; a block of an unknown language fails."""
    found = []
    for language, text in BLOCK.findall(document.read_text()):
        assert language in OTHER_LANGUAGES | {"sh"}, f"{document.name}: a block marked {language!r}"
        if language == "sh":
            found.append(text)
    return found


def here(text: str) -> str:
    """The block without what is not for here: each such line is told."""
    lines = []
    for line in text.splitlines():
        why = ELSEWHERE.get(line.split("#")[0].strip())
        if why is None and line.startswith("docker "):
            why = "it takes a Docker engine and ports 80 and 443; tests/compose runs what it would start"
        lines.append(line if why is None else f"echo {line!r} is not run: {why!r}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a stranger has it, with the environment that is made already."""
    folder = tmp_path_factory.mktemp("clone") / "gas"
    shutil.copytree(CHECKOUT, folder, ignore=shutil.ignore_patterns(".*cache", ".git", ".gas", ".venv", "__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "cohort.vcf.gz").write_bytes(gzip.compress(demo_vcf().read_bytes()))
    return folder


@pytest.fixture(scope="module")
def publishers() -> Iterator[dict[str, str]]:
    """Where Ensembl and ClinVar are, on loopback and small."""
    with mirrored() as mirror:
        yield mirror.variables


@pytest.fixture(scope="module")
def shell(
    stack: Stack, clone: Path, publishers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of Bob's terminal: signed in, with a finished job and his file."""
    with client_of(stack.layout, BOB) as gas:
        job_id = gas.submit(clone / "cohort.vcf.gz", reference="sars-cov-2")["job_id"]
        gas.wait(job_id)
        token = gas._api.headers["Authorization"].removeprefix("Bearer ")
    return {
        **stack_variables(stack.layout),
        **publishers,
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]]),
        "HOME": str(tmp_path_factory.mktemp("home")),
        "GAS_STATE": str(stack.layout.state),
        "GAS_SERVER": stack.layout.web_url,
        "GAS_TOKEN": token,
        "JOB": job_id,
        "EDITOR": "true",  # whoever edits leaves the file as it is
    }


def test_every_command_that_a_text_names_is_there() -> None:
    """``gas table`` in a sentence is a command of GAS, and ``make up`` a target."""
    texts = "\n".join(document.read_text() for document in DOCUMENTS)
    named = set(re.findall(r"`gas ([a-z]+)", texts))
    assert named
    assert named <= set(get_command(build_app()).commands)
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`(?:[A-Z_]+=\S+ )?make ([a-z-]+)`", texts)) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_a_document_works(document: Path, clone: Path, shell: dict[str, str]) -> None:
    """One after the other, as somebody types them who reads the document from its beginning."""
    script = "\n".join(map(here, commands(document)))
    traced = f"set -euo pipefail\ntrap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n{script}\n"
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-c", traced],
        cwd=clone,
        env=shell,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{document.name}: {done.stderr}\n{done.stdout}"
