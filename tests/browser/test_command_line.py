"""``gas login`` through a real browser, and the commands on the real server with the token it brought."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ALICE, BOB, At, FinishedJob

pytestmark = [pytest.mark.browser, pytest.mark.live]

GAS = [sys.executable, "-c", "from gas.cli import main; main()"]
SECONDS = 120

Gas = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(web_url: str, tmp_path: Path) -> dict[str, str]:
    """A terminal of somebody who has not signed in yet."""
    return {**os.environ, "GAS_SERVER": web_url, "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def gas(environment: dict[str, str]) -> Gas:
    """The command, as a process of its own."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*GAS, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)

    return run


@pytest.fixture
def login(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """``gas login --no-browser``, waiting for its answer."""
    process = subprocess.Popen([*GAS, "login", "--no-browser"], env=environment, stderr=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()


def address_of(login: subprocess.Popen[str]) -> str:
    assert login.stderr is not None
    said: list[str] = []
    for line in login.stderr:
        said.append(line)
        if match := re.search(r"http://\S+/cli/authorize\S+", line):
            return match[0]
    return pytest.fail(f"gas login printed no address, but: {said}")


def sign_in(login: subprocess.Popen[str], at: At, person: str) -> None:
    visitor = at(person)
    visitor.page.goto(address_of(login))
    expect(visitor.page.get_by_role("heading", name=re.compile("act for you"))).to_be_visible()
    expect(visitor.page.locator("main")).to_contain_text(person)
    visitor.page.get_by_role("button", name="Allow", exact=True).click()
    expect(visitor.page.get_by_role("heading", name="You are signed in")).to_be_visible()
    assert login.wait(timeout=SECONDS) == 0


def test_login_submit_download_logout(
    at: At, gas: Gas, login: subprocess.Popen[str], demo_vcf: Path, tmp_path: Path
) -> None:
    """A token comes through the browser; with it a VCF is annotated and fetched; after logout it opens nothing."""
    sign_in(login, at, ALICE)
    who = json.loads(gas("whoami", "--json").stdout)
    assert who["name"] == ALICE

    done = gas("submit", demo_vcf, "--reference", "sars-cov-2", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    (job,) = json.loads(done.stdout)["jobs"]
    assert job["status"] == "COMPLETED"
    assert job["job_id"] in gas("jobs").stdout
    assert "missense" in gas("log", job["job_id"]).stdout

    target = tmp_path / "annotated.vcf.gz"
    assert gas("download", job["job_id"], "-o", target).returncode == 0
    assert hashlib.sha256(target.read_bytes()).hexdigest() == job["outputs"]["vcf"]["sha256"]
    assert "missense|S|" in pysam.bcftools.query("-f", "%INFO/BCSQ\n", str(target))

    files = json.loads(gas("download", job["job_id"], "--output", "all", "-o", tmp_path / "all", "--json").stdout)
    assert {file["output"] for file in files["files"]} == {"vcf", "index", "log", "summary", "table", "digest"}

    token = next(iter(json.loads((tmp_path / "config/gas/credentials.json").read_text())["tokens"].values()))
    assert gas("logout").returncode == 0
    assert gas("jobs").returncode == 3
    stranger = at()
    answer = stranger.context.request.get(f"{stranger.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401


def test_job_that_fails_ends_the_command_with_its_sentence(
    at: At, gas: Gas, login: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Exit code 6, and on stderr the sentence that the page would show."""
    sign_in(login, at, ALICE)
    bad = tmp_path / "empty-header.vcf"
    bad.write_text("##fileformat=VCFv4.2\nno columns\n")
    done = gas("submit", bad, "-r", "sars-cov-2", "--wait", "--json")
    assert done.returncode == 6
    (trouble,) = json.loads(done.stdout)["errors"]
    assert trouble["error"] in done.stderr


def test_another_persons_job_is_not_found(
    at: At, gas: Gas, login: subprocess.Popen[str], finished_job: FinishedJob
) -> None:
    """Bob's commands end with 4 on Alice's job, whatever he asks of it."""
    sign_in(login, at, BOB)
    for command in ("show", "log", "download"):
        assert gas(command, finished_job.job_id).returncode == 4


def test_login_that_is_denied_at_the_browser(at: At, login: subprocess.Popen[str]) -> None:
    """ "Don't allow" ends the command with 3, and the page says that the terminal was not let in."""
    alice = at(ALICE)
    alice.page.goto(address_of(login))
    alice.page.get_by_role("button", name="Don't allow").click()
    expect(alice.page.get_by_role("heading", name="Not signed in")).to_be_visible()
    assert login.wait(timeout=SECONDS) == 3
