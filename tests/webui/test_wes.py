"""A workflow client that knows nothing of GAS runs an annotation: GA4GH's Workflow Execution Service 1.1."""

from __future__ import annotations

import io
import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from gas.job import JobStatus
from gas.profiles_table import Tier
from gas.services import Services
from tests.webui.conftest import ALICE, BOB, SCOPE, WEB_URL, Browser, FakeAirflow, Globus, Jobs
from tests.webui.test_api import globus_token
from tests.webui.test_storage import archived
from webui import wes

WES = "/ga4gh/wes/v1"
VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
Client = Callable[..., TestResponse]


@pytest.fixture
def client(alice: Browser, app: Flask) -> Client:
    """A program with a token of Alice's, and nothing else."""
    made = {"name": "nextflow", "scope": "jobs", "expires_in_days": 7}
    token = alice.call("POST", "tokens", json=made).json["token"]

    def call(
        method: str,
        path: str,
        *,
        data: Mapping[str, Any] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        told = {"Authorization": f"Bearer {token}", **(headers or {})}
        if data is not None:
            boundary, body = encode_multipart(data)
            told["Content-Type"] = f'multipart/form-data; boundary="{boundary}"'
        return app.test_client().open(f"{WES}/{path}", WEB_URL, method=method, headers=told, data=body)

    return call


def form(*files: tuple[str, bytes], params: Any = None, **fields: str) -> dict[str, Any]:
    """A run request; one attachment a file."""
    return {
        "workflow_params": json.dumps({"vcf": "a.vcf.gz", "reference": "sars-cov-2"} if params is None else params),
        "workflow_type": "GAS",
        "workflow_type_version": "1.0",
        "workflow_url": "gas:annotate",
        "workflow_attachment": [FileStorage(io.BytesIO(body), name) for name, body in files],
        **fields,
    }


def test_service_says_what_it_runs(visitor: Browser) -> None:
    """Whoever asks learns the versions, the one workflow and its type, and where to get a token."""
    told = visitor.get(f"{WES}/service-info").json
    assert told["type"] == {"group": "org.ga4gh", "artifact": "wes", "version": "1.1.0"}
    assert told["supported_wes_versions"] == ["1.1.0"]
    assert told["workflow_type_versions"] == {"GAS": {"workflow_type_version": ["1.0"]}}
    assert told["tags"]["workflow_url"] == "gas:annotate"
    assert told["auth_instructions_url"] == f"{WEB_URL}/login/"
    needed = {"workflow_engine_versions", "default_workflow_engine_parameters", "system_state_counts"}
    assert needed | {"id", "name", "organization", "version", "supported_filesystem_protocols"} <= set(told)


def test_an_attached_file_is_annotated(client: Client, services: Services, airflow: FakeAirflow) -> None:
    """The file is stored as the job's upload, the DAG run is asked for, and the run bears its tags."""
    answer = client("POST", "runs", data=form(("a.vcf.gz", VCF), tags='{"cohort": "2026-11"}'))
    assert answer.status_code == 200
    (run_id,) = airflow.runs
    assert answer.json == {"run_id": run_id}
    job = services.jobs.owned(run_id, ALICE)
    assert b"".join(services.objects.stream(job.input)) == VCF
    assert (job.input_file_name, job.reference) == ("a.vcf.gz", "sars-cov-2")
    told = client("GET", f"runs/{run_id}").json
    assert told["state"] == "QUEUED"
    assert told["request"] == {
        "workflow_params": {"vcf": f"drs://localhost:8800/{run_id}.input", "reference": "sars-cov-2"},
        "workflow_type": "GAS",
        "workflow_type_version": "1.0",
        "workflow_url": "gas:annotate",
        "workflow_engine": "gas",
        "workflow_engine_parameters": {},
        "tags": {"cohort": "2026-11"},
    }


def test_a_large_attachment_lies_on_disk(client: Client, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file up to the plan's limit comes through; it is spooled to disk and stored whole."""
    rolled, rollover = [], tempfile.SpooledTemporaryFile.rollover

    def counted(file: Any) -> None:
        rolled.append(file)
        rollover(file)

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", counted)
    body = VCF + bytes(services.settings.free_upload_limit_bytes - len(VCF))
    run_id = client("POST", "runs", data=form(("a.vcf.gz", body))).json["run_id"]
    assert services.jobs.get(run_id).input.size_bytes == len(body)
    assert rolled


def test_too_large_an_attachment_is_refused(client: Client, services: Services, airflow: FakeAirflow) -> None:
    """Beyond the plan's limit the sentence names it and the upgrade, whether the file says its size or the request."""
    limit = services.settings.free_upload_limit_bytes
    for size_bytes in (limit + 1, limit + (200 << 10)):
        refused = client("POST", "runs", data=form(("a.vcf.gz", bytes(size_bytes))))
        assert (refused.status_code, refused.json["status_code"]) == (413, 413)
        assert "free plan takes at most 1 MiB; upgrade" in refused.json["msg"]
    assert airflow.runs == []
    services.profiles.set_tier(ALICE, Tier.PREMIUM)
    assert client("POST", "runs", data=form(("a.vcf.gz", bytes(limit + 1)))).status_code == 200


def test_only_some_files_are_received_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """While as many files come in as a process receives, the next is told when to come back."""
    monkeypatch.setattr(wes, "_receiving", threading.BoundedSemaphore(1))
    with wes._receiving:
        refused = client("POST", "runs", data=form(("a.vcf.gz", VCF)))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert client("POST", "runs", data=form(("a.vcf.gz", VCF))).status_code == 200


def test_nobody_unknown_is_read(app: Flask) -> None:
    """Without a sign-in not a byte of the body is taken."""
    body = io.BytesIO(bytes(1 << 20))
    answer = app.test_client().post(
        f"{WES}/runs", base_url=WEB_URL, input_stream=body, content_type="multipart/form-data; boundary=x"
    )
    assert answer.status_code == 401
    assert body.tell() == 0


def test_an_object_of_ones_own_is_annotated(client: Client, jobs: Jobs, services: Services) -> None:
    """The VCF may be named by its DRS URI: the input of a job, or its result."""
    job = jobs.done(ALICE)
    for word, body in (("input", VCF[:21]), ("vcf", b"the vcf")):
        uri = client("GET", f"runs/{job.job_id}").json["request"]["workflow_params"]["vcf"].replace("input", word)
        run_id = client("POST", "runs", data=form(params={"vcf": uri})).json["run_id"]
        assert b"".join(services.objects.stream(services.jobs.get(run_id).input)) == body
    assert services.jobs.get(run_id).input_file_name == "cohort.annot.vcf.gz"


def test_anothers_object_is_not_there(client: Client, jobs: Jobs) -> None:
    """Nobody annotates what is somebody else's, or on another server."""
    for uri in (
        f"drs://localhost:8800/{jobs.done(BOB).job_id}.vcf",
        f"drs://elsewhere.example/{jobs.done(ALICE).job_id}.vcf",
    ):
        answer = client("POST", "runs", data=form(params={"vcf": uri}))
        assert (answer.status_code, answer.json["kind"]) == (404, "not-found")


def test_an_archived_object_cannot_be_annotated(client: Client, jobs: Jobs, services: Services) -> None:
    """What lies in the archive is a conflict that says what brings it back."""
    uri = f"drs://localhost:8800/{archived(services, jobs).job_id}.vcf"
    answer = client("POST", "runs", data=form(params={"vcf": uri}))
    assert (answer.status_code, answer.json["kind"]) == (409, "archived")


BAD: list[tuple[dict[str, str], str]] = [
    ({"workflow_params": "{"}, "Invalid JSON"),
    ({"workflow_params": "[]"}, "object"),
    ({"workflow_params": '{"vcf": 1}'}, "vcf"),
    ({"workflow_params": '{"vcf": "b.vcf"}'}, "name of an attached file"),
    ({"workflow_params": '{"vcf": "a.vcf.gz", "reference": "klingon"}'}, "klingon"),
    ({"workflow_params": '{"vcf": "a.vcf.gz", "threads": 4}'}, "threads"),
    ({"workflow_type": "CWL"}, "workflow_type must be GAS"),
    ({"workflow_type_version": "2.0"}, "workflow_type_version must be 1.0"),
    ({"workflow_url": "https://dockstore.example/a.cwl"}, "workflow_url must be gas:annotate"),
    ({"workflow_engine": "toil"}, "workflow_engine must be gas"),
    ({"workflow_engine_parameters": '{"cores": "4"}'}, "workflow_engine_parameters"),
    ({"tags": '{"a": 1}'}, "valid string"),
    ({"tags": "[" * 5000}, "tags"),
    ({"workflow_parms": ""}, "workflow_parms"),
    ({"workflow_params": " " * (70 << 10)}, ""),
]


def test_a_bad_request_says_what_is_bad(client: Client, airflow: FakeAirflow) -> None:
    """Each request that cannot be used is refused in the standard's form, in a sentence, and makes nothing."""
    for changed, said in BAD:
        refused = client("POST", "runs", data=form(("a.vcf.gz", VCF), **changed))
        assert refused.status_code in (400, 413), changed
        assert refused.json["status_code"] == refused.status_code
        assert said in refused.json["msg"]
    assert airflow.runs == []


def test_a_name_with_folders_reaches_no_key(client: Client, services: Services) -> None:
    """Of a path the last part is shown, and the object's key is made of ids."""
    sent = form(("sub/../../a.vcf", VCF), params={"vcf": "sub/../../a.vcf"})
    job = services.jobs.get(client("POST", "runs", data=sent).json["run_id"])
    assert (job.input_file_name, job.input.key) == ("a.vcf", f"{ALICE}/{job.job_id}/input")


def test_a_repeated_submission_makes_one_run(client: Client, airflow: FakeAirflow) -> None:
    """Under one Idempotency-Key one run is made, however the form is cut; with another file the key is refused."""
    headers = {"Idempotency-Key": "k"}
    first, second = (client("POST", "runs", data=form(("a.vcf.gz", VCF)), headers=headers).json for _ in range(2))
    assert first == second == {"run_id": airflow.runs[0]}
    assert len(airflow.runs) == 1
    other = client("POST", "runs", data=form(("a.vcf.gz", VCF + b"x")), headers=headers)
    assert (other.status_code, other.json["kind"]) == (422, "idempotency-key-reused")


def test_a_part_without_a_name_is_refused(app: Flask, client: Client) -> None:
    """A form may be cut in ways that no client cuts it; with a key and without one it is a bad request."""
    part = 'Content-Disposition: form-data; name="\u039b\x7f"; filename*=x'
    for told in ({}, {"Idempotency-Key": "k"}):
        headers = {**told, "Content-Type": "multipart/form-data; boundary=x"}
        body = f"--x\r\n{part}\r\n\r\n1\r\n--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n".encode()
        assert client("POST", "runs", body=body, headers=headers).status_code == 400


def test_a_run_that_airflow_cannot_take_yet_waits(client: Client, services: Services, airflow: FakeAirflow) -> None:
    """The run is recorded and told as waiting: reconcile begins it."""
    airflow.down = True
    run_id = client("POST", "runs", data=form(("a.vcf.gz", VCF))).json["run_id"]
    assert services.jobs.get(run_id).job_status is JobStatus.PENDING
    assert client("GET", f"runs/{run_id}/status").json == {"run_id": run_id, "state": "QUEUED"}


def test_every_state_has_its_word(client: Client, jobs: Jobs, services: Services) -> None:
    """States are those of the standard; the input's fault and ours are told apart."""
    cancelled = jobs.pending(ALICE)
    services.jobs.cancel(cancelled.job_id, ALICE)
    for job, state in (
        (jobs.pending(ALICE), "QUEUED"),
        (jobs.running(ALICE), "RUNNING"),
        (jobs.done(ALICE), "COMPLETE"),
        (jobs.failed(ALICE, "line 2: no tab", "bad-columns"), "EXECUTOR_ERROR"),
        (jobs.failed(ALICE, "no memory", "engine"), "SYSTEM_ERROR"),
        (cancelled, "CANCELED"),
    ):
        assert client("GET", f"runs/{job.job_id}/status").json["state"] == state


def test_a_run_tells_its_log_and_outputs(client: Client, jobs: Jobs, alice: Browser) -> None:
    """A finished run has its times, exit code and log, and each output as an object of the repository."""
    job = jobs.done(ALICE)
    told = client("GET", f"runs/{job.job_id}").json
    log = told["run_log"]
    assert (log["name"], log["exit_code"]) == ("gas:annotate", 0)
    assert log["start_time"] <= log["end_time"]
    assert alice.get(log["stdout"].removeprefix(WEB_URL)).text == Jobs.LOG
    assert set(told["outputs"]) == {"vcf", "index", "log", "summary", "table", "digest"}
    uri = told["outputs"]["vcf"]
    assert uri.startswith("drs://localhost:8800/")
    assert alice.get(f"/ga4gh/drs/v1/objects/{uri.rpartition('/')[2]}").json["self_uri"] == uri
    assert told["task_logs_url"] == f"{WEB_URL}{WES}/runs/{job.job_id}/tasks"


def test_a_run_has_one_task_once_it_has_begun(client: Client, jobs: Jobs) -> None:
    """The list has the task with its sentence of failure, and the task's own address says the same."""
    waiting, failed = jobs.pending(ALICE).job_id, jobs.failed(ALICE, "line 2: no tab", "bad-columns").job_id
    assert client("GET", f"runs/{waiting}/tasks").json == {"task_logs": [], "next_page_token": ""}
    assert client("GET", f"runs/{waiting}/tasks/annotate").status_code == 404
    (task,) = client("GET", f"runs/{failed}/tasks?page_size=5").json["task_logs"]
    assert (task["id"], task["exit_code"], task["system_logs"]) == ("annotate", 1, ["line 2: no tab"])
    assert client("GET", f"runs/{failed}/tasks/annotate").json == task
    assert client("GET", f"runs/{failed}/tasks?page_token=x").status_code == 400


def test_runs_come_in_pages(client: Client, jobs: Jobs) -> None:
    """One's own runs, newest first, a page at a time until the token is empty."""
    jobs.pending(BOB)
    mine = [jobs.pending(ALICE, ago_s=ago_s).job_id for ago_s in (1, 2, 3)]
    first = client("GET", "runs?page_size=2").json
    rest = client("GET", f"runs?page_size=1000&page_token={first['next_page_token']}").json
    assert [run["run_id"] for run in first["runs"] + rest["runs"]] == mine
    assert first["runs"][0] == {"run_id": mine[0], "state": "QUEUED", "tags": {}}
    assert rest["next_page_token"] == ""
    for query in ("page_size=0", "page_size=x", "page_token=x"):
        assert client("GET", f"runs?{query}").status_code == 400


def test_a_run_is_cancelled(client: Client, jobs: Jobs, airflow: FakeAirflow) -> None:
    """Cancelling ends the run, again and again; one that has ended otherwise is a conflict."""
    job = jobs.running(ALICE)
    for _ in range(2):
        assert client("POST", f"runs/{job.job_id}/cancel").json == {"run_id": job.job_id}
    assert client("GET", f"runs/{job.job_id}/status").json["state"] == "CANCELED"
    assert job.job_id in airflow.stopped
    refused = client("POST", f"runs/{jobs.done(ALICE).job_id}/cancel")
    assert (refused.status_code, refused.json["status_code"]) == (409, 409)


def test_a_globus_token_opens_it(app: Flask, globus: Globus) -> None:
    """A Globus access token with this server's scope runs workflows too; a junk one does not."""
    for token, status in ((globus_token(globus, SCOPE), 200), ("junk", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        assert app.test_client().get(f"{WES}/runs", base_url=WEB_URL, headers=headers).status_code == status


def test_a_browser_needs_its_csrf_token(alice: Browser) -> None:
    """A cookie alone, which another site could make a browser send, submits nothing."""
    assert alice.post(f"{WES}/runs", data=form(("a.vcf.gz", VCF))).status_code == 400
    answer = alice.post(f"{WES}/runs", data=form(("a.vcf.gz", VCF)), headers={"X-CSRFToken": alice.csrf})
    assert answer.status_code == 200
