"""The commands that speak to a server, run as a person or a script runs them, against a small real server."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gas.cli import main
from gas.login import Challenge, Credentials, Loopback
from tests.unit.gas_server import RESULT, Fault, GasServer

BROWSER = """
import sys, urllib.error, urllib.parse, urllib.request
address = sys.argv[1]
how = sys.argv[2]
if how == "approves":
    urllib.request.urlopen(address, timeout=10).close()
query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
def answer(**fields):
    urllib.request.urlopen(query["redirect_uri"] + "?" + urllib.parse.urlencode(fields), timeout=10).close()
if how == "refuses":
    answer(state=query["state"], error="access_denied")
if how == "is-attacked":
    try:
        answer(state="guessed", code="stolen")
    except urllib.error.HTTPError as refusal:
        assert refusal.code == 400
    urllib.request.urlopen(address, timeout=10).close()
"""


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Gas = Callable[..., Run]


@pytest.fixture
def server() -> Iterator[GasServer]:
    with GasServer() as server:
        yield server


@pytest.fixture
def signed_out(server: GasServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GAS_SERVER", server.url)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("GAS_TOKEN", raising=False)


@pytest.fixture
def gas(signed_out: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Gas:
    """The command, in this process."""

    def run(*arguments: str | Path) -> Run:
        monkeypatch.setattr(sys, "argv", ["gas", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return Run(int(end.value.code or 0), out, err)

    return run


@pytest.fixture
def signed_in(signed_out: None, monkeypatch: pytest.MonkeyPatch, server: GasServer) -> None:
    monkeypatch.setenv("GAS_TOKEN", server.token)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "config" / "gas" / "credentials.json")


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "wuhan.vcf"
    path.write_bytes(b"##fileformat=VCFv4.2\n")
    return path


def login(tmp_path: Path, how: str, *options: str) -> subprocess.CompletedProcess[str]:
    """``gas login`` in a process of its own, with a browser that is a script."""
    script = tmp_path / "browser.py"
    script.write_text(BROWSER)
    browser = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} %s {how}"
    return subprocess.run(
        [sys.executable, "-c", "from gas.cli import main; main()", "login", *options],
        env={**os.environ, "BROWSER": browser},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# Signing in.


def test_login_keeps_a_token_that_the_commands_then_use(
    gas: Gas, server: GasServer, credentials: Credentials, tmp_path: Path
) -> None:
    """Through the browser to a token, in a file for its owner alone, and never on the screen."""
    done = login(tmp_path, "approves", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "Alice Example"
    assert f"{server.url}/cli/authorize?" in done.stderr
    assert server.token not in done.stdout + done.stderr
    kept = tmp_path / "config" / "gas" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert credentials.token(server.url) == server.token
    assert gas("whoami", "--json").document["email"] == "alice@uchicago.example"


def test_login_remembers_the_server(
    gas: Gas, server: GasServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a login nothing needs to name the server again."""
    monkeypatch.delenv("GAS_SERVER")
    assert login(tmp_path, "approves", "--server", server.url).returncode == 0
    assert server.url in gas("whoami").out


def test_login_that_the_person_refuses_ends_with_3(signed_out: None, credentials: Credentials, tmp_path: Path) -> None:
    """A refusal at the browser is told, and no token is kept."""
    done = login(tmp_path, "refuses")
    assert done.returncode == 3
    assert "refused at the browser (access_denied)" in done.stderr
    assert credentials.server is None


def test_login_heeds_only_the_answer_to_its_own_question(
    signed_out: None, server: GasServer, credentials: Credentials, tmp_path: Path
) -> None:
    """A code brought with another state is turned away, and the true answer still counts."""
    assert login(tmp_path, "is-attacked").returncode == 0
    assert credentials.token(server.url) == server.token


def test_loopback_stays_on_this_machine_and_gives_up_in_time() -> None:
    """It listens on 127.0.0.1 alone, and an answer that never comes is an error."""
    from gas.errors import NotAllowed

    with Loopback(state="s") as loopback:
        assert loopback.redirect_uri.startswith("http://127.0.0.1:")
        with pytest.raises(NotAllowed, match="nobody signed in"):
            loopback.wait(timeout_s=0.05)


def test_challenge_is_the_s256_of_rfc_7636() -> None:
    """The example of RFC 7636, appendix B."""
    challenge = Challenge(verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge.s256 == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert Challenge().state != Challenge().state


def test_logout_revokes_and_forgets(gas: Gas, server: GasServer, credentials: Credentials) -> None:
    """The token is worthless at the server and gone here; another logout is no error."""
    credentials.keep(server=server.url, token=server.token)
    assert gas("logout", "--json").document == {"server": server.url, "revoked": True, "everywhere": False}
    assert (server.revoked, server.sessions_ended) == ([server.token], 0)
    assert credentials.token(server.url) is None
    assert gas("logout").code == 0
    assert gas("whoami").code == 3


def test_logout_everywhere_ends_the_browsers_first(
    gas: Gas, server: GasServer, credentials: Credentials, dead_url: str
) -> None:
    """The browsers, and then this terminal; where the browsers cannot be signed out, the token is kept to try again."""
    credentials.keep(server=dead_url, token="t")
    assert gas("logout", "--everywhere", "--server", dead_url).code == 5
    assert credentials.token(dead_url) == "t"
    credentials.keep(server=server.url, token=server.token)
    document = gas("logout", "--everywhere", "--json").document
    assert document == {"server": server.url, "revoked": True, "everywhere": True}
    assert (server.revoked, server.sessions_ended) == ([server.token], 1)
    assert gas("logout", "--everywhere").code == 3


def test_logout_forgets_even_when_the_server_is_down(gas: Gas, credentials: Credentials, dead_url: str) -> None:
    """Nothing is kept that the person wanted gone; that it could not be revoked is told."""
    credentials.keep(server=dead_url, token="t")
    run = gas("logout", "--server", dead_url)
    assert run.code == 0
    assert "stays good at the server" in run.err
    assert credentials.token(dead_url) is None


def test_token_goes_to_its_own_server_only(gas: Gas, server: GasServer, credentials: Credentials) -> None:
    """A token kept for one server is not offered to another, which is not even asked."""
    credentials.keep(server="https://other.example", token="t")
    run = gas("jobs")
    assert run.code == 3
    assert "run `gas login`" in run.err
    assert sum(server.seen.values()) == 0


def test_damaged_credentials_are_told_with_what_to_do(gas: Gas, tmp_path: Path) -> None:
    """A file that holds no tokens is named, with the way out."""
    path = tmp_path / "config" / "gas" / "credentials.json"
    path.parent.mkdir(parents=True)
    path.write_text("not json")
    run = gas("whoami")
    assert run.code == 1
    assert str(path) in run.err
    assert "delete it" in run.err


@pytest.fixture
def dead_url() -> str:
    with GasServer() as server:
        return server.url


# Submitting.


@pytest.mark.usefixtures("signed_in")
class TestSubmit:
    def test_prints_the_job_and_returns_at_once(self, gas: Gas, server: GasServer, vcf: Path) -> None:
        """Without --wait the id is all of stdout, so that a shell can take it."""
        run = gas("submit", vcf, "--reference", "sars-cov-2")
        assert run.code == 0
        assert run.out.split() == list(server.jobs)
        assert server.jobs[run.out.strip()]["status"] == "PENDING"

    def test_waits_and_downloads(self, gas: Gas, server: GasServer, vcf: Path, tmp_path: Path) -> None:
        """With --download the job is waited for and its VCF, index and count log lie in the folder."""
        run = gas("submit", vcf, "-r", "sars-cov-2", "--download", tmp_path / "results", "--json")
        assert run.code == 0, run.err
        document = run.document
        assert [job["status"] for job in document["jobs"]] == ["COMPLETED"]
        assert [file["output"] for file in document["files"]] == ["vcf", "index", "log"]
        assert document["errors"] == []
        assert (tmp_path / "results" / "wuhan.annot.vcf.gz").read_bytes() == RESULT
        assert re.findall("PENDING|RUNNING|COMPLETED", run.err) == ["PENDING", "RUNNING", "COMPLETED"]

    def test_job_that_fails_ends_with_6_and_its_sentence(self, gas: Gas, server: GasServer, vcf: Path) -> None:
        """A script can tell a failed job from a failed command."""
        server.outcome = {"status": "FAILED", "error": "line 7: POS is not a number", "error_kind": "bad-pos"}
        run = gas("submit", vcf, "-r", "sars-cov-2", "--wait", "--json")
        assert run.code == 6
        assert run.document["jobs"][0]["error_kind"] == "bad-pos"
        assert run.document["errors"][0]["error"] == "line 7: POS is not a number"
        assert "gas: wuhan.vcf: line 7: POS is not a number" in run.err

    def test_refused_file_holds_up_no_other(self, gas: Gas, server: GasServer, vcf: Path, tmp_path: Path) -> None:
        """The good file has its job, the other its sentence and the exit code."""
        run = gas("submit", tmp_path / "absent.vcf", vcf, "-r", "sars-cov-2", "--json")
        assert run.code == 2
        assert [job["file_name"] for job in run.document["jobs"]] == ["wuhan.vcf"]
        assert [error["kind"] for error in run.document["errors"]] == ["input"]

    def test_over_the_limit_the_servers_sentence_is_told(self, gas: Gas, server: GasServer, vcf: Path) -> None:
        """The limit and the way to more are in the server's words."""
        server.limit_bytes = 3
        run = gas("submit", vcf, "-r", "sars-cov-2")
        assert (run.code, run.out) == (2, "")
        assert "larger than a free plan's 10 MiB: upgrade" in run.err

    def test_download_that_would_replace_a_file_holds_up_no_other(
        self, gas: Gas, server: GasServer, vcf: Path, tmp_path: Path
    ) -> None:
        """A file of the name is left alone, the job is told, and the command ends with 1."""
        mine = tmp_path / "results" / "wuhan.annot.vcf.gz"
        mine.parent.mkdir()
        mine.write_bytes(b"mine")
        run = gas("submit", vcf, "-r", "sars-cov-2", "--download", mine.parent, "--json")
        assert run.code == 1
        assert mine.read_bytes() == b"mine"
        assert [job["status"] for job in run.document["jobs"]] == ["COMPLETED"]
        assert [error["kind"] for error in run.document["errors"]] == ["conflict"]

    def test_id_is_printed_when_the_waiting_breaks_off(
        self, gas: Gas, server: GasServer, vcf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever has begun a job learns its id, though the server is lost before its end."""
        from gas.client import Client
        from gas.errors import Unavailable

        def lost(*_: object, **__: object) -> None:
            raise Unavailable("lost")

        monkeypatch.setattr(Client, "watch", lost)
        run = gas("submit", vcf, "-r", "sars-cov-2", "--wait")
        assert run.code == 5
        assert run.out.split() == list(server.jobs)


# Looking and downloading.


@pytest.mark.usefixtures("signed_in")
class TestLooking:
    def test_jobs_are_tab_separated_in_a_pipe(self, gas: Gas, server: GasServer) -> None:
        """A line a job under a header, nothing cut short, nothing a terminal would act upon."""
        job_id = server.add_job(file_name="a very long name " * 20 + "\x1b[31m.vcf")
        lines = gas("jobs").out.splitlines()
        assert lines[0].split("\t") == ["JOB", "STATUS", "SUBMITTED", "REFERENCE", "FILE"]
        cells = lines[1].split("\t")
        assert cells[:4] == [job_id, "PENDING", "2026-11-24T20:00:00Z", "sars-cov-2"]
        assert cells[4] == "a very long name " * 20 + "\N{REPLACEMENT CHARACTER}[31m.vcf"

    def test_jobs_as_json_limited_and_filtered(self, gas: Gas, server: GasServer) -> None:
        """--limit counts jobs, --status takes any case, and the document has the API's own jobs."""
        ids = [server.add_job(status="FAILED" if n % 2 else "COMPLETED") for n in range(6)]
        assert [job["job_id"] for job in gas("jobs", "--limit", "2", "--json").document["jobs"]] == ids[:2]
        failed = gas("jobs", "--status", "failed", "--json").document["jobs"]
        assert [job["job_id"] for job in failed] == ids[1::2]
        assert gas("jobs", "--status", "lost").code == 2

    def test_show_tells_counts_error_and_files(self, gas: Gas, server: GasServer) -> None:
        """What a person wants to know of a job, in lines; with --json the API's own document."""
        job_id = server.add_job(notes=["phase unknown"])
        server.finish(job_id)
        text = gas("show", job_id).out
        assert re.search(r"^status +COMPLETED$", text, re.MULTILINE)
        assert re.search(r"^records +6,100$", text, re.MULTILINE)
        assert re.search(r"^by impact +HIGH 3, MODERATE 8$", text, re.MULTILINE)
        assert re.search(r"^note +phase unknown$", text, re.MULTILINE)
        assert re.search(r"^vcf +wuhan\.annot\.vcf\.gz +[\d,]+ bytes +sha256 [0-9a-f]{64}$", text, re.MULTILINE)
        assert gas("show", job_id, "--json").document == server.jobs[job_id]

    @pytest.mark.parametrize(
        ("storage", "said"),
        [
            (
                {"state": "HOT", "not_before": "2026-11-24T22:00:00Z"},
                "not before 2026-11-24T22:00:00Z",
            ),
            ({"state": "ARCHIVED", "archive_time": "2026-11-24T22:00:00Z"}, "`gas subscribe` brings it back"),
            ({"state": "THAWING", "retrieval_tier": "Expedited", "expected_by": "2026-11-24T22:05:00Z"}, "expected by"),
            ({"state": "THAWING", "error": "the copy is damaged"}, "on its way back; the copy is damaged"),
        ],
    )
    def test_show_tells_where_the_result_lies(
        self, gas: Gas, server: GasServer, storage: dict[str, str], said: str
    ) -> None:
        """In one line: ready and until when, in the archive and what brings it back, or on its way and by when."""
        nothing = dict.fromkeys(("not_before", "archive_time", "retrieval_tier", "expected_by", "error"))
        job_id = server.add_job(storage={**nothing, **storage})
        server.finish(job_id)
        assert re.search(rf"^storage .*{re.escape(said)}", gas("show", job_id).out, re.MULTILINE)

    def test_download_of_all_leaves_out_what_is_archived(self, gas: Gas, server: GasServer, tmp_path: Path) -> None:
        """What is at hand comes; what is in the archive is named."""
        job_id = server.add_job()
        server.finish(job_id)
        server.jobs[job_id]["outputs"]["vcf"]["available"] = False
        run = gas("download", job_id, "--output", "all", "-o", tmp_path / "new")
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
            "wuhan.annot.vcf.count.log",
            "wuhan.annot.vcf.gz.tbi",
        ]
        assert "the vcf is in the archive" in run.err

    def test_delete_asks_first(self, gas: Gas, server: GasServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a yes nothing is deleted; with --yes the job is gone, and a lost answer does no harm."""
        job_id = server.add_job()
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
        assert gas("delete", job_id).code == 1
        assert job_id in server.jobs
        server.faults = [Fault(f"DELETE /api/v1/jobs/{job_id}", after_doing=True)]
        assert gas("delete", job_id, "--yes", "--json").document == {"job_id": job_id, "deleted": True}
        assert gas("show", job_id).code == 4

    def test_job_is_cancelled_once(self, gas: Gas, server: GasServer) -> None:
        """A lost answer does no harm; a job that has ended meanwhile is left, with a sentence."""
        job_id = server.add_job()
        server.faults = [Fault(f"POST /api/v1/jobs/{job_id}/cancel", after_doing=True)]
        assert gas("cancel", job_id).out == f"{job_id} CANCELLED\n"
        assert gas("cancel", job_id, "--json").document["status"] == "CANCELLED"
        ended = gas("cancel", server.add_job(status="COMPLETED"))
        assert (ended.code, "has ended meanwhile" in ended.err) == (1, True)

    def test_job_is_run_again_as_one_new_job(self, gas: Gas, server: GasServer) -> None:
        """A lost answer makes no second job; with --wait the command ends with the new job's outcome."""
        job_id = server.add_job(status="COMPLETED")
        server.faults = [Fault(f"POST /api/v1/jobs/{job_id}/rerun", after_doing=True)]
        new = gas("rerun", job_id, "--reference", "wuhan").out.strip()
        assert set(server.jobs) == {job_id, new}
        assert server.jobs[new]["reference"] == "wuhan"
        server.outcome = {"status": "FAILED", "error": "line 3: no"}
        assert gas("rerun", job_id, "--wait").code == 6

    def test_job_is_renamed(self, gas: Gas, server: GasServer) -> None:
        """The job is called by its new name, which is told."""
        job_id = server.add_job()
        assert gas("rename", job_id, "trio 7.vcf").out == "trio 7.vcf\n"
        assert server.jobs[job_id]["file_name"] == "trio 7.vcf"

    def test_jobs_are_looked_for(self, gas: Gas, server: GasServer) -> None:
        """What is looked for reaches the server in its words; what is not named is not sent."""
        looked_for = ("--name", "trio", "--storage", "archived", "-r", "grch38", "--from", "2026-11-01")
        assert gas("jobs", *looked_for, "--to", "2026-11-24", "--limit", "5").code == 0
        assert gas("jobs").code == 0
        assert server.searches == [
            {
                "limit": "5",
                "name": "trio",
                "storage": "ARCHIVED",
                "reference": "grch38",
                "from": "2026-11-01",
                "to": "2026-11-24",
            },
            {"limit": "20"},
        ]

    def test_result_is_shared_and_unshared(self, gas: Gas, server: GasServer) -> None:
        """The link's address alone is printed; the list tells what is good, and --revoke ends all."""
        job_id = server.add_job(status="COMPLETED")
        made = gas("share", job_id, "--days", "30")
        assert made.out == f"{server.url}/shared/secret\n"
        assert "good until in 30 days" in made.err
        assert gas("share", job_id, "--json").document["expires_at"] == "in 7 days"
        assert gas("share", job_id, "--list").out.splitlines()[1:] == [
            "2\t2026-11-24T20:00:00Z\tin 7 days",
            "1\t2026-11-24T20:00:00Z\tin 30 days",
        ]
        assert gas("share", job_id, "--revoke", "--list").code == 2
        assert (gas("share", job_id, "--revoke").code, server.links) == (0, {})
        assert gas("share", job_id, "--list", "--json").document["links"] == []

    def test_plan_is_changed(self, gas: Gas, server: GasServer) -> None:
        """An upgrade and its undoing, each told in a sentence; with --json the account as it is then."""
        assert "on its way back" in gas("subscribe").err
        assert server.tier == "premium"
        assert gas("unsubscribe", "--json").document["tier"] == "free"

    def test_unknown_job_ends_with_4(self, gas: Gas) -> None:
        """Another's job, a job that never was, and a word that is no id: all are 'no such job'."""
        for job_id in ("00000000-0000-4000-8000-000000000000", "../me"):
            assert gas("show", job_id).code == 4

    def test_log_is_printed_as_it_is(self, gas: Gas, server: GasServer) -> None:
        """The bytes of the log, or one document that holds them."""
        job_id = server.add_job()
        server.finish(job_id)
        assert gas("log", job_id).out == "MODERATE 3\n"
        assert gas("log", job_id, "--json").document == {"job_id": job_id, "log": "MODERATE 3\n"}

    def test_download_names_the_file_it_wrote(
        self, gas: Gas, server: GasServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The VCF comes by default, into this folder, under the server's name."""
        monkeypatch.chdir(tmp_path)
        job_id = server.add_job()
        server.finish(job_id)
        assert gas("download", job_id).out == "wuhan.annot.vcf.gz\n"
        assert (tmp_path / "wuhan.annot.vcf.gz").read_bytes() == RESULT

    def test_download_of_all_as_json(self, gas: Gas, server: GasServer, tmp_path: Path) -> None:
        """Every output goes into the folder, which is made; path, size and checksum of each are told."""
        job_id = server.add_job()
        server.finish(job_id)
        document = gas("download", job_id, "--output", "all", "-o", tmp_path / "new", "--json").document
        assert document["job_id"] == job_id
        for file in document["files"]:
            assert Path(file["path"]).stat().st_size == file["size_bytes"]
            assert set(file) == {"output", "path", "size_bytes", "sha256"}
        assert [file["output"] for file in document["files"]] == ["vcf", "index", "log"]

    def test_download_of_a_job_without_files_says_how_it_stands(self, gas: Gas, server: GasServer) -> None:
        """A failed job has nothing to download, and the sentence says so."""
        run = gas("download", server.add_job(status="FAILED"), "--output", "all")
        assert run.code == 6
        assert "no files to download: FAILED" in run.err

    def test_damaged_download_ends_with_1_and_no_file(self, gas: Gas, server: GasServer, tmp_path: Path) -> None:
        """A wrong checksum is an error of the command."""
        server.claimed_sha256 = "0" * 64
        job_id = server.add_job()
        server.finish(job_id)
        target = tmp_path / "x.vcf.gz"
        assert gas("download", job_id, "-o", target).code == 1
        assert not target.exists()

    def test_force_replaces_a_file(self, gas: Gas, server: GasServer, tmp_path: Path) -> None:
        """Another file of the name is kept unless --force is given."""
        job_id = server.add_job()
        server.finish(job_id)
        target = tmp_path / "x.vcf.gz"
        target.write_bytes(b"mine")
        assert gas("download", job_id, "-o", target).code == 1
        assert target.read_bytes() == b"mine"
        assert gas("download", job_id, "-o", target, "--force").code == 0
        assert target.read_bytes() == RESULT

    def test_server_that_is_down_ends_with_5(self, gas: Gas, dead_url: str) -> None:
        """The sentence names the address, and there is no traceback."""
        run = gas("jobs", "--server", dead_url)
        assert run.code == 5
        assert f"no GAS server answers at {dead_url}" in run.err
        assert "Traceback" not in run.err


def test_every_command_documents_its_exit_codes(gas: Gas) -> None:
    """Each --help ends with what the exit codes mean."""
    for command in ("login", "logout", "whoami", "submit", "jobs", "show", "log", "download"):
        run = gas(command, "--help")
        assert run.code == 0
        assert "Exit codes: 0 done" in run.out
