"""The client against a small real server that can falter at any point."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gas import client as client_module
from gas import transfers
from gas.client import Client, server_address
from gas.errors import (
    Conflict,
    Damaged,
    GasError,
    InputError,
    NotAllowed,
    NotFound,
    ReferenceProblem,
    SettingsError,
    TooManyRequests,
    Unavailable,
    UploadTooLarge,
)
from tests.unit.gas_server import RESULT, Fault, GasServer
from webui.idempotency import LEASE


@pytest.fixture
def server() -> Iterator[GasServer]:
    with GasServer() as server:
        yield server


@pytest.fixture
def gas(server: GasServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for module in (client_module, transfers):
        monkeypatch.setattr(module, "back_off", lambda *_: None)
    with Client(server.url, token=server.token) as gas:
        yield gas


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "wuhan.vcf"
    path.write_bytes(b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    return path


def completed(server: GasServer) -> str:
    job_id = server.add_job()
    server.finish(job_id)
    return job_id


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Submitting.


def test_submit_stores_the_bytes_and_starts_one_job(gas: Client, server: GasServer, vcf: Path) -> None:
    """What the storage holds is the file, and the job bears its name and reference."""
    job = gas.submit(vcf, reference="sars-cov-2")
    body = vcf.read_bytes()
    assert server.stored == {job["job_id"]: (len(body), hashlib.sha256(body).hexdigest())}
    assert (job["file_name"], job["reference"], job["status"]) == ("wuhan.vcf", "sars-cov-2", "PENDING")
    assert list(server.jobs) == [job["job_id"]]


def test_upload_tells_its_progress_up_to_the_whole(gas: Client, vcf: Path) -> None:
    """The callback hears bytes done of bytes in all, and last of all that all are done."""
    heard: list[tuple[int, int]] = []
    gas.submit(vcf, reference="sars-cov-2", on_upload=lambda done, total: heard.append((done, total)))
    size = vcf.stat().st_size
    assert heard[-1] == (size, size)
    assert {total for _, total in heard} == {size}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST /api/v1/uploads", status=503),
        Fault("POST /storage", status=503),
        Fault("POST /storage", after_doing=True),
        Fault("POST /api/v1/jobs", status=502),
        Fault("POST /api/v1/jobs", after_doing=True),
    ],
    ids=["begin-503", "storage-503", "storage-answer-lost", "submit-502", "submit-answer-lost"],
)
def test_submit_that_falters_is_repeated_under_one_job_id(
    gas: Client, server: GasServer, vcf: Path, fault: Fault
) -> None:
    """Whatever exchange breaks, once or its answer alone, one submit makes one job of the whole file."""
    fault.times = 2
    server.faults = [fault]
    job = gas.submit(vcf, reference="sars-cov-2")
    assert fault.times == 0
    assert list(server.jobs) == [job["job_id"]]
    assert server.stored[job["job_id"]][0] == vcf.stat().st_size


def test_upload_that_keeps_breaking_is_given_up_with_a_sentence(gas: Client, server: GasServer, vcf: Path) -> None:
    """After the last attempt the error names the storage, and no job was made."""
    server.faults = [Fault("POST /storage", times=99)]
    with pytest.raises(Unavailable, match=r"upload to 127\.0\.0\.1:\d+ broke off"):
        gas.submit(vcf, reference="sars-cov-2")
    assert server.jobs == {}


def test_too_large_a_file_is_refused_in_the_servers_words(gas: Client, server: GasServer, vcf: Path) -> None:
    """A 413 is UploadTooLarge with the server's own sentence, before a byte is uploaded."""
    server.limit_bytes = 10
    with pytest.raises(UploadTooLarge, match="upgrade") as refusal:
        gas.submit(vcf, reference="sars-cov-2")
    assert refusal.value.kind == "upload-too-large"
    assert server.stored == {}


def test_unknown_reference_is_a_reference_problem(gas: Client, vcf: Path) -> None:
    """The kind that the server gives decides the class, finer than the status."""
    with pytest.raises(ReferenceProblem, match="there is sars-cov-2"):
        gas.submit(vcf, reference="klingon")


def test_file_that_is_not_there_is_bad_input(gas: Client, tmp_path: Path) -> None:
    """A path that cannot be read is told as such, before the server hears of it."""
    with pytest.raises(InputError, match=r"cannot read .*absent\.vcf: No such file"):
        gas.submit(tmp_path / "absent.vcf", reference="sars-cov-2")
    with pytest.raises(InputError, match="Is a directory"):
        gas.submit(tmp_path, reference="sars-cov-2")


def test_upload_of_a_big_file_needs_no_memory_for_it(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """64 MiB go through while the client and the server together hold less than 4 MiB more."""
    big = tmp_path / "big.vcf.gz"
    with big.open("wb") as stream:
        stream.truncate(64 << 20)
    server.limit_bytes = 1 << 30
    tracemalloc.start()
    try:
        job = gas.submit(big, reference="sars-cov-2")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.stored[job["job_id"]][0] == 64 << 20
    assert peak_bytes < 4 << 20


def test_job_that_cannot_be_started_yet_is_named(gas: Client, server: GasServer, vcf: Path) -> None:
    """The upload is not lost: starting is tried longer than anything else, and the error ends with the job's id."""
    server.faults = [Fault("POST /api/v1/jobs", status=503, times=99)]
    with pytest.raises(Unavailable) as error:
        gas.submit(vcf, reference="sars-cov-2")
    assert str(error.value).endswith(f"(job {next(iter(server.stored))})")
    assert server.seen["POST /api/v1/jobs"] == client_module.START_ATTEMPTS


# Watching.


def test_wait_returns_the_ended_job_and_tells_each_change_once(gas: Client, server: GasServer, vcf: Path) -> None:
    """PENDING, RUNNING with progress, COMPLETED: each is told once, and the last is returned."""
    server.looks_until_done = 4
    job_id = gas.submit(vcf, reference="sars-cov-2")["job_id"]
    told: list[str] = []
    job = gas.wait(job_id, on_change=lambda job: told.append(job["status"]))
    assert told == ["PENDING", "RUNNING", "COMPLETED"]
    assert job["outputs"]["vcf"]["size_bytes"] == len(RESULT)


def test_wait_outlives_a_server_that_is_started_again(gas: Client, server: GasServer) -> None:
    """More refusals than one exchange is repeated do not end the waiting."""
    job_id = server.add_job()
    server.faults = [Fault(f"GET /api/v1/jobs/{job_id}", status=503, times=client_module.ATTEMPTS + 2)]
    server.looks_until_done = client_module.ATTEMPTS + 3
    assert gas.wait(job_id)["status"] == "COMPLETED"


def test_wait_gives_up_after_its_time(gas: Client, server: GasServer) -> None:
    """A job that is not done in time is an error that says the work goes on."""
    server.looks_until_done = 10_000
    with pytest.raises(Unavailable, match="the work goes on"):
        gas.wait(server.add_job(), timeout_s=0.3)


def test_watching_several_jobs_ends_with_the_last_of_them(gas: Client, server: GasServer) -> None:
    """All are watched side by side, and each one's end is told."""
    ids = [server.add_job() for _ in range(3)]
    ends = [job["job_id"] for job in gas.watch(ids) if job["status"] == "COMPLETED"]
    assert sorted(ends) == sorted(ids)


def test_jobs_come_page_by_page_and_filtered(gas: Client, server: GasServer) -> None:
    """All pages make one sequence in the server's order, and a page is fetched only when it is needed."""
    ids = [server.add_job() for _ in range(7)]
    server.jobs[ids[3]]["status"] = "FAILED"
    assert [job["job_id"] for job in gas.jobs(page_size=3)] == ids
    assert server.seen["GET /api/v1/jobs"] == 3
    assert [job["job_id"] for job in gas.jobs(status="FAILED")] == [ids[3]]
    next(gas.jobs(page_size=2))
    assert server.seen["GET /api/v1/jobs"] == 5


def test_log_and_summary_of_a_finished_job(gas: Client, server: GasServer) -> None:
    """The log is text, the summary a document; a job without them is NotFound in the server's words."""
    job_id = completed(server)
    assert gas.log(job_id) == "MODERATE 3\n"
    assert gas.summary(job_id)["counts"]["records"] == 6100
    with pytest.raises(NotFound, match="has no log"):
        gas.log(server.add_job(status="FAILED"))


# Downloading.


def test_download_is_whole_and_leaves_nothing_else(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """The file has the record's bytes and the server's name for it in the folder, and the token stays with the API."""
    heard: list[tuple[int, int]] = []
    got = gas.download(completed(server), "vcf", tmp_path, on_progress=lambda done, total: heard.append((done, total)))
    assert got.path == tmp_path / "wuhan.annot.vcf.gz"
    assert got.path.read_bytes() == RESULT
    assert got.sha256 == hashlib.sha256(RESULT).hexdigest()
    assert heard[-1] == (len(RESULT), len(RESULT))
    assert names_in(tmp_path) == ["wuhan.annot.vcf.gz"]
    assert server.tokens_at_storage == [""]


@pytest.mark.parametrize("ranges", [True, False])
def test_download_that_breaks_off_is_taken_up(gas: Client, server: GasServer, tmp_path: Path, ranges: bool) -> None:
    """With ranges only the rest is fetched, by a fresh link; without, all of it again; the bytes are the same."""
    job_id = completed(server)
    server.ranges = ranges
    server.faults = [Fault("GET /storage", after_bytes=100_000, times=2)]
    got = gas.download(job_id, "vcf", tmp_path / "x.vcf.gz")
    assert got.path.read_bytes() == RESULT
    assert got.sha256 == hashlib.sha256(RESULT).hexdigest()
    assert server.seen[f"GET /api/v1/jobs/{job_id}/download/vcf"] == 3
    assert server.resumed_at == ([100_000, 200_000] if ranges else [])


def test_download_that_keeps_breaking_off_leaves_no_file(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """A truncated file is never given its name."""
    server.faults = [Fault("GET /storage", after_bytes=5, times=99)]
    with pytest.raises(Unavailable, match="broke off"):
        gas.download(completed(server), "vcf", tmp_path)
    assert names_in(tmp_path) == []


def test_download_with_another_checksum_is_not_kept(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """Bytes that are not the record's are refused, and what was there before stays."""
    server.claimed_sha256 = "0" * 64
    job_id = completed(server)
    target = tmp_path / "mine.vcf.gz"
    target.write_bytes(b"before")
    with pytest.raises(Damaged, match="SHA-256 differs"):
        gas.download(job_id, "vcf", target, overwrite=True)
    assert target.read_bytes() == b"before"
    assert names_in(tmp_path) == ["mine.vcf.gz"]


def test_download_never_replaces_another_file_unasked(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """Another file of the name is a Conflict; the very same bytes are a download already done."""
    job_id = completed(server)
    target = tmp_path / "wuhan.annot.vcf.gz"
    target.write_bytes(b"mine")
    with pytest.raises(Conflict, match="is another file"):
        gas.download(job_id, "vcf", tmp_path)
    assert target.read_bytes() == b"mine"
    gas.download(job_id, "vcf", target, overwrite=True)
    again = gas.download(job_id, "vcf", tmp_path)
    assert again.path.read_bytes() == RESULT
    assert server.seen["GET /storage/results/vcf"] == 1


def test_download_of_the_input_needs_no_checksum(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """Nobody has recorded the input's checksum; it is fetched under the name it was given."""
    assert gas.download(completed(server), "input", tmp_path).path.name == "wuhan.vcf"


@pytest.mark.parametrize("name", ["../../evil.vcf.gz", "/etc/evil.vcf.gz", "..\\evil.vcf.gz", ".evil.vcf.gz"])
def test_name_from_the_server_stays_in_the_folder(gas: Client, server: GasServer, tmp_path: Path, name: str) -> None:
    """A name that a server sends can neither leave the folder nor hide in it."""
    job_id = completed(server)
    server.jobs[job_id]["outputs"]["vcf"]["file_name"] = name
    assert gas.download(job_id, "vcf", tmp_path).path == tmp_path / "evil.vcf.gz"


def test_download_to_where_nothing_can_be_written(gas: Client, server: GasServer, tmp_path: Path) -> None:
    """A missing folder is told with the path and the system's reason."""
    with pytest.raises(GasError, match=r"cannot write .*: No such file or directory"):
        gas.download(completed(server), "vcf", tmp_path / "absent" / "x.vcf.gz")


# Refusals.


def test_token_that_is_no_longer_good_says_to_sign_in(server: GasServer) -> None:
    """A 401 is NotAllowed, names the server, and says what to do."""
    with Client(server.url, token="gas_revoked") as gas, pytest.raises(NotAllowed, match=r"no longer valid.*gas login"):
        gas.me()
    with Client(server.url) as gas, pytest.raises(NotAllowed, match=r"not signed in.*gas login"):
        gas.me()
    assert server.seen["GET /api/v1/me"] == 2


def test_server_that_is_down_is_named_at_once(unused_port: int) -> None:
    """A refused connection is told with the address and what to do, without repeating."""
    with Client(f"http://127.0.0.1:{unused_port}") as gas, pytest.raises(Unavailable) as error:
        gas.check_reachable()
    assert f"http://127.0.0.1:{unused_port}" in str(error.value)
    assert "GAS_SERVER" in str(error.value)


@pytest.fixture
def unused_port() -> int:
    with GasServer() as server:
        return int(server.url.rpartition(":")[2])


def test_transient_answers_are_repeated_and_lasting_ones_are_not(gas: Client, server: GasServer) -> None:
    """A 503 is tried again up to the limit; a 500 is told at once."""
    server.faults = [Fault("GET /api/v1/me", status=503, times=client_module.ATTEMPTS - 1)]
    assert gas.me()["name"] == "Alice Example"
    server.faults = [Fault("GET /api/v1/me", status=500)]
    with pytest.raises(Unavailable, match="500"):
        gas.me()
    assert server.seen["GET /api/v1/me"] == client_module.ATTEMPTS + 1


def test_one_that_asks_too_often_waits_as_long_as_it_is_told(
    gas: Client, server: GasServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 429 is no failed attempt: the client waits for the server's time, again and again, but not for ever."""
    waits: list[str | None] = []
    monkeypatch.setattr(client_module, "back_off", lambda _, retry_after=None: waits.append(retry_after))
    server.faults = [Fault("GET /api/v1/me", status=429, times=client_module.LIMITED_ATTEMPTS)]
    assert gas.me()["name"] == "Alice Example"
    assert waits == ["0"] * client_module.LIMITED_ATTEMPTS
    server.faults = [Fault("GET /api/v1/me", status=429, times=99)]
    with pytest.raises(TooManyRequests):
        gas.me()


def test_what_makes_something_is_repeated_under_one_key(gas: Client, server: GasServer, vcf: Path) -> None:
    """A request that is repeated bears the key it had, another one another; a server still at it is waited for."""
    server.faults = [
        Fault("POST /api/v1/uploads", status=503),
        Fault("POST /api/v1/jobs", status=409),
        Fault("POST /api/v1/jobs", after_doing=True),
    ]
    gas.submit(vcf, reference="sars-cov-2")
    first = dict(server.keys)
    assert {where: (len(keys), len(set(keys))) for where, keys in first.items()} == {
        "POST /api/v1/uploads": (2, 1),
        "POST /api/v1/jobs": (3, 1),
    }
    server.keys.clear()
    gas.submit(vcf, reference="sars-cov-2")
    assert not {key for keys in first.values() for key in keys} & {key for keys in server.keys.values() for key in keys}


def test_a_server_that_is_still_at_the_first_request_is_waited_for(
    gas: Client, server: GasServer, vcf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request whose first attempt died with the web app waits for longer than that one is believed to live."""
    waits: list[str | None] = []
    monkeypatch.setattr(client_module, "back_off", lambda _, retry_after=None: waits.append(retry_after))
    assert LEASE.total_seconds() < client_module.IN_PROGRESS_ATTEMPTS * 0.75  # what the least of the waits adds up to
    server.faults = [Fault("POST /api/v1/jobs", status=409, times=client_module.IN_PROGRESS_ATTEMPTS)]
    assert gas.submit(vcf, reference="sars-cov-2")["status"] == "PENDING"
    assert waits == ["0"] * client_module.IN_PROGRESS_ATTEMPTS
    server.faults = [Fault("POST /api/v1/jobs", status=409, times=99)]
    with pytest.raises(Conflict):
        gas.submit(vcf, reference="sars-cov-2")


def test_something_that_is_not_a_gas_server_is_told_as_such(server: GasServer) -> None:
    """An address where another program answers is called what it is."""
    with Client(f"{server.url}/elsewhere", token="t") as gas:
        assert gas.server.endswith("/elsewhere")
        with pytest.raises(NotFound):  # this one at least speaks problem+json
            gas.me()
    server.faults = [Fault("GET /api/v1/me", status=302)]
    with Client(server.url, token="t") as gas, pytest.raises(Unavailable, match="does not answer as a GAS server"):
        gas.me()


def test_job_id_that_is_none_is_never_sent(gas: Client, server: GasServer) -> None:
    """Text that cannot be a job's id does not become part of an address."""
    with pytest.raises(NotFound, match="not a job's id"):
        gas.job("../me")
    assert sum(server.seen.values()) == 0


def test_revoking_twice_is_the_same_as_once(gas: Client, server: GasServer) -> None:
    """A token that is worthless already counts as revoked."""
    gas.revoke()
    server.token = "another"
    gas.revoke()
    assert server.revoked == ["gas_of_alice"]


@pytest.mark.parametrize("address", ["localhost:8800", "ftp://x", "http://", "https://x/?a=b", ""])
def test_address_that_is_none_is_refused(address: str) -> None:
    """Only an http or https address names a server."""
    with pytest.raises(SettingsError, match="not a server's address"):
        server_address(address)


def test_address_has_one_spelling() -> None:
    """However it is written, one server has one address, so that its token is found."""
    assert server_address(" HTTP://LocalHost:8800/ ") == "http://localhost:8800"
