"""``gas table`` and the client's calls behind it, against the web app over a socket."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from typer.testing import CliRunner, Result

from gas.cli import build_app
from gas.client import Client
from gas.errors import GasError, InputError, NotFound, Unavailable
from gas.job import Job
from tests.webui.conftest import ALICE, Browser, Jobs
from tests.webui.test_command_line import code_of, exchange
from webui import explore_api


@pytest.fixture
def token(app: Flask, alice: Browser) -> str:
    return exchange(app, code_of(alice)).json["access_token"]


@pytest.fixture
def job(jobs: Jobs) -> Job:
    return jobs.annotated(ALICE)


class Gas:
    """The command, as somebody who is signed in runs it."""

    def __init__(self, server: str, token: str, job: Job) -> None:
        self.environment = {"GAS_SERVER": server, "GAS_TOKEN": token}
        self.job_id = job.job_id

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(build_app(), ["table", self.job_id, *arguments], env=self.environment)

    def refusal(self, *arguments: str) -> str:
        error = self(*arguments).exception
        assert isinstance(error, GasError)
        return str(error)


@pytest.fixture
def gas(served: str, token: str, job: Job) -> Gas:
    return Gas(served, token, job)


S_AND_BAD = ("--filter", "gene=S", "-f", "impact in HIGH,MODERATE")


def test_rows_for_a_person_or_another_program(gas: Gas) -> None:
    """Filtered, sorted, in the columns asked for; how many there are in all is told beside it."""
    done = gas(*S_AND_BAD, "--sort", "-pos", "--columns", "pos,gene,impact", "--limit", "3")
    assert done.exit_code == 0
    head, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert head == ["pos", "gene", "impact"]
    assert len(rows) == 3
    assert [int(row[0]) for row in rows] == sorted((int(row[0]) for row in rows), reverse=True)
    assert "3 of " in done.stderr


def test_one_document(gas: Gas) -> None:
    """--json tells the total and at most so many rows, fetched page by page where they are many."""
    document = json.loads(gas("--json", "--limit", "1000").stdout)
    assert len(document["rows"]) == document["total"]["rows"] > 100
    assert json.loads(gas("--format", "json", "--limit", "2").stdout)["total"] == document["total"]


def test_all_rows_as_a_file(gas: Gas, tmp_path: Path) -> None:
    """Every format holds what the table says, on standard output or in a file."""
    total = json.loads(gas(*S_AND_BAD, "--json").stdout)["total"]
    assert len(gas(*S_AND_BAD, "--format", "tsv").stdout.splitlines()) == total["rows"] + 1
    assert len(gas(*S_AND_BAD, "--format", "jsonl").stdout.splitlines()) == total["rows"]
    target = tmp_path / "s.vcf.gz"
    done = gas(*S_AND_BAD, "--format", "vcf", "--csq", "-o", str(target))
    assert done.stdout == f"{target}\n"
    lines = gzip.decompress(target.read_bytes()).splitlines()
    assert sum(not line.startswith(b"#") for line in lines) == total["variants"]
    assert sum(b";CSQ=" in line for line in lines) == total["variants"]
    for form, begins in (("parquet", b"PAR1"), ("xlsx", b"PK")):
        document = json.loads(gas("--format", form, "-o", str(tmp_path / form), "--json").stdout)
        assert (tmp_path / form).read_bytes().startswith(begins)
        assert document["size_bytes"] == (tmp_path / form).stat().st_size


def test_any_is_enough_if_asked(gas: Gas) -> None:
    """Filters are all needed otherwise."""
    both = json.loads(gas(*S_AND_BAD, "--json").stdout)["total"]["rows"]
    either = json.loads(gas(*S_AND_BAD, "--any", "--json").stdout)["total"]["rows"]
    assert either > both


def test_filters_are_combined_by_words(gas: Gas) -> None:
    """Parentheses, several filters and --any say the same in their ways; a list may be longer than an address."""

    def rows(*arguments: str) -> int:
        return json.loads(gas(*arguments, "--json").stdout)["total"]["rows"]

    genes = rows("-f", "gene=S") + rows("-f", "gene=N")
    assert rows("-f", "gene=S or gene=N") == rows("-f", "gene=S", "-f", "gene=N", "--any") == genes > 0
    bad = rows("-f", "impact in HIGH,MODERATE and (gene=S or gene=N)")
    assert 0 < bad == rows("-f", "impact in HIGH,MODERATE", "-f", "gene=S or gene=N") < genes
    panel = ",".join(f"GENE{number}" for number in range(990))
    assert rows("-f", f"gene in S,N,{panel}") == genes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--filter", "genes=S"], "there is no column 'genes'"),
        (["--filter", "gene like S"], "is not a filter"),
        (["--format", "tsv", "--csq"], "--csq goes with --format vcf"),
        (["-o", "x"], "-o goes with the formats that hold every row"),
        (["--format", "tsv", "--json"], "--json needs -o FILE"),
        (["--format", "tsv", "--filter", "pos contains 1"], "can be compared by"),
    ],
)
def test_what_cannot_be_used_is_told(gas: Gas, arguments: list[str], said: str) -> None:
    """One sentence, and the exit code of bad input."""
    assert said in gas.refusal(*arguments)
    error = gas(*arguments).exception
    assert isinstance(error, InputError)
    assert error.exit_code == 2


def test_a_file_that_breaks_off_is_not_kept(gas: Gas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends without the end of the file: an error, and nothing that looks like a result."""

    def broken(*_: object, **__: object) -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("broken off")

    monkeypatch.setattr(explore_api, "_chunks", broken)
    error = gas("--format", "tsv", "-o", str(tmp_path / "x.tsv")).exception
    assert isinstance(error, Unavailable)
    assert list(tmp_path.iterdir()) == []


def test_anothers_job_is_no_job(served: str, token: str) -> None:
    """As everywhere."""
    with Client(served, token=token) as client, pytest.raises(NotFound):
        client.table("0" * 8 + "-0000-4000-8000-" + "0" * 12)
