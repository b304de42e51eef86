"""``gas annotate`` as a person and as a script use it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gas.references import Reference
from tests.unit.engine_inputs import D614G, F924F, N501Y, records_of, vcf, write


def _command(reference: Reference, *arguments: object) -> tuple[list[str], dict[str, str]]:
    program = [sys.executable, "-c", "from gas.cli import main; main()", "annotate", *map(str, arguments)]
    return program, {**os.environ, "GAS_REFERENCES": str(reference.folder.parent)}


def _gas(reference: Reference, *arguments: object) -> subprocess.CompletedProcess[str]:
    program, environment = _command(reference, *arguments)
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def given_vcf(tmp_path: Path) -> Path:
    """Three known changes."""
    return write(tmp_path / "in.vcf", vcf(F924F, N501Y, D614G))


def test_prints_a_true_summary(given_vcf: Path, tmp_path: Path, sars_cov_2: Reference) -> None:
    """The counts, the notes and where the files are."""
    ran = _gas(sars_cov_2, given_vcf, "--reference", "sars-cov-2", "-o", tmp_path / "out" / "r.vcf.gz")
    assert ran.returncode == 0, ran.stderr
    assert "3 records, 3 variants: 3 with a consequence, 0 without" in ran.stdout
    assert str(tmp_path / "out" / "r.vcf.gz") in ran.stdout.splitlines()
    assert len(records_of(tmp_path / "out" / "r.vcf.gz")) == 3
    assert ran.stderr == ""


def test_json(given_vcf: Path, tmp_path: Path, sars_cov_2: Reference) -> None:
    """``--json`` prints one object with the files, the counts and the notes."""
    ran = _gas(sars_cov_2, given_vcf, "-r", "sars-cov-2", "-o", tmp_path / "r.vcf.gz", "--json", "--processors", "2")
    said = json.loads(ran.stdout)
    assert said["counts"]["records"] == 3
    assert said["vcf"] == str(tmp_path / "r.vcf.gz")
    assert said["notes"] == []


def test_bad_input_ends_with_2_and_one_sentence(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A refused file: exit code 2, one line on standard error, nothing on standard output, no file."""
    bad = write(tmp_path / "bad.vcf", vcf(N501Y.replace("23063", "-1")))
    ran = _gas(sars_cov_2, bad, "-r", "sars-cov-2", "-o", tmp_path / "out" / "r.vcf.gz")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == "gas: line 9: POS must be a whole number, and is '-1'.\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_reference_ends_with_2_and_says_which_there_are(
    given_vcf: Path, tmp_path: Path, sars_cov_2: Reference
) -> None:
    """The installed references are named."""
    ran = _gas(sars_cov_2, given_vcf, "-r", "hg99", "-o", tmp_path / "r.vcf.gz")
    assert ran.returncode == 2
    assert "hg99" in ran.stderr
    assert "sars-cov-2" in ran.stderr


def test_a_missing_file_ends_with_2(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A file that is not there is named."""
    ran = _gas(sars_cov_2, tmp_path / "absent.vcf", "-r", "sars-cov-2", "-o", tmp_path / "r.vcf.gz")
    assert ran.returncode == 2
    assert "absent.vcf" in ran.stderr


def test_a_progress_bar_on_a_terminal(given_vcf: Path, tmp_path: Path, sars_cov_2: Reference) -> None:
    """On a terminal a bar shows the stage; it goes to standard error alone."""
    program, environment = _command(sars_cov_2, given_vcf, "-r", "sars-cov-2", "-o", tmp_path / "r.vcf.gz", "--json")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(program, env={**environment, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass  # Linux's way of saying that the terminal was closed
    finally:
        os.close(ours)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(output)["counts"]["records"] == 3
    assert any(word in shown for word in (b"Checking", b"Annotating", b"Writing"))
