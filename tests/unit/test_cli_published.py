"""``gas reference install``, ``update``, ``list`` and ``use`` against a mirror on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gas.cli import build_app
from tests.mirror import Mirror, mirrored

FIRST, SECOND = (f"ensembl-115.clinvar-2026-11-{day}" for day in (16, 23))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with mirrored() as mirror:
        for name, value in mirror.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GAS_REFERENCES", str(tmp_path / "references"))
        yield mirror


def run(*arguments: str) -> str:
    """What ``gas reference ...`` prints on standard output."""
    result = CliRunner().invoke(build_app(), ["reference", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def document(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_words(mirror: Mirror) -> None:
    """The need is said first; the version in force has a star."""
    assert "to fetch" in run("install", "grch38", "--dry-run")
    assert "No reference is installed" in run("list")
    said = run("install", "grch38")
    assert said.index("of disk meanwhile") < said.index(f"Installed grch38 {FIRST}") < said.index("It is in force")
    assert f"grch38 {FIRST} is in force, and the latest." in run("update")
    mirror.clinvar("20261123", leave=5)
    assert f"grch38 {SECOND}:" in run("update", "--dry-run")
    assert f"grch38 {SECOND} is in force now." in run("update", "grch38")
    assert f"    {FIRST}\n  * {SECOND}\n" in run("list")
    assert run("use", "grch38", FIRST) == f"grch38 {FIRST} is in force.\n"
    assert f"`gas reference use grch38 {SECOND}` would put the latest" in run("update")
    assert "nothing to follow" not in run("update")


def test_documents(mirror: Mirror) -> None:
    """Each is one JSON document with the versions."""
    assert document("update") == {"references": []}
    offered = document("install", "grch38", "--dry-run")
    assert (offered["version"], offered["installed"], sorted(offered["files"])) == (
        FIRST,
        False,
        ["clinvar", "fasta", "gff"],
    )
    installed = document("install", "grch38")
    assert (installed["version"], installed["in_force"]) == (FIRST, True)
    assert installed["origin"]["ensembl"] == "115"
    mirror.clinvar("20261123", leave=5)
    assert document("update", "--dry-run")["references"][0]["version"] == SECOND
    updated = document("update", "--keep", "1")["references"]
    assert updated == [{"name": "grch38", "version": SECOND, "new": True, "removed": [FIRST]}]
    assert document("use", "grch38", SECOND) == {"name": "grch38", "version": SECOND}
    (listed,) = document("list")["references"]
    assert (listed["version"], listed["versions"]) == (SECOND, [SECOND])
