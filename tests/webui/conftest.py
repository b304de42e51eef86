"""The web app over real parts: PostgreSQL, an AWS stand-in, and a Globus stand-in that is driven over HTTP."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fauxbus.server import make_server
from fauxbus.world import World
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from pydantic import SecretStr
from sqlalchemy import text
from typer.testing import CliRunner, Result
from werkzeug.serving import make_server as make_wsgi_server
from werkzeug.test import TestResponse

from gas.annotation.engine import annotate
from gas.cli import build_app
from gas.errors import Unavailable
from gas.forecast import RecentTimes
from gas.iam import Role
from gas.job import Job, JobStatus, Output, Progress, StoredObject, new_job_id
from gas.provision import provision
from gas.references import Reference, ReferenceStore, demo_vcf
from gas.services import Services, build
from gas.settings import Settings
from tests.chromium import launched
from tests.conftest import AwsStandIn, free_ports
from tests.permissions import acts
from webui import tokens
from webui.app import create_app

PATIENCE_MS = 20_000
WEB_URL = "http://localhost:8800"
ALICE = "11111111-1111-4111-8111-111111111111"
ALICE_AT_WORK = "11111111-2222-4222-8222-222222222222"
BOB = "22222222-1111-4111-8111-111111111111"
CAROL = "33333333-1111-4111-8111-111111111111"
OPERATOR = "44444444-1111-4111-8111-111111111111"
PROVIDER = "41143743-f3c8-4d60-bbdb-eeecaba85bd9"
CLIENT_ID = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT_SECRET = "of the stand-in"
SCRIPT_ID = "aaaaaaaa-0000-4000-8000-000000000002"
SCRIPT_SECRET = "of a script"
SCOPE = f"https://auth.globus.org/scopes/{CLIENT_ID}/jobs"


@dataclass
class FakeAirflow:
    """Remembers which runs were asked for; ``down`` makes it answer like an Airflow that does not."""

    runs: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    down: bool = False

    def submit(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any]) -> bool:
        if self.down:
            raise Unavailable("Airflow does not answer")
        self.runs.append(run_id)
        return True

    def durations(self, dag_id: str, number: int) -> list[float]:
        if self.down:
            raise Unavailable("Airflow does not answer")
        return self.took

    def stop(self, dag_id: str, run_id: str) -> None:
        if self.down:
            raise Unavailable("Airflow does not answer")
        self.stopped.append(run_id)


@dataclass(frozen=True)
class Globus:
    """The Globus stand-in, as a browser and its people use it."""

    url: str
    world: World

    def authorize(self, account: str, url: str) -> str:
        """Where Globus sends the browser of ``account`` that asks for ``url``."""
        with httpx.Client(base_url=self.url) as browser:
            browser.post("/_fauxbus/auth/session", json={"account": account}).raise_for_status()
            return browser.get(url).headers["Location"]


def person(username: str, name: str, email: str, organization: str | None = None) -> dict[str, str | None]:
    return {
        "username": username,
        "identity_provider": PROVIDER,
        "name": name,
        "email": email,
        "organization": organization,
    }


def seed(url: str) -> dict[str, Any]:
    """Alice has two linked identities; Carol has Alice's e-mail address and is another person."""
    return {
        "oidc": {"issuer": url, "signed_token_clock": "wall"},
        "identity_providers": {PROVIDER: {"name": "Globus ID"}},
        "accounts": {
            ALICE: {
                "identities": {
                    ALICE: person("alice@globusid.org", "Alice Example", "alice@uchicago.example"),
                    ALICE_AT_WORK: person(
                        "alice@work.example", "Alice A. Example", "alice@uchicago.example", "UChicago"
                    ),
                }
            },
            BOB: {"identities": {BOB: person("bob@globusid.org", "Bob Builder", "bob@lab.example")}},
            CAROL: {"identities": {CAROL: person("carol@globusid.org", "Carol", "alice@uchicago.example")}},
            OPERATOR: {"identities": {OPERATOR: person("op@globusid.org", "Olga Operator", "op@lab.example")}},
        },
        "clients": {
            CLIENT_ID: {
                "secret": CLIENT_SECRET,
                "name": "GAS",
                "redirect_uris": [f"{WEB_URL}/oauth-authorized/globus"],
            },
            SCRIPT_ID: {"secret": SCRIPT_SECRET, "name": "a script"},
        },
    }


@pytest.fixture(scope="session")
def globus_server() -> Iterator[Globus]:
    port = free_ports()
    url = f"http://localhost:{port}"
    world = World()
    world.load(seed(url))
    server = make_server("127.0.0.1", port, world=world, canonical_seed=seed(url))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    os.environ["GLOBUS_SDK_SERVICE_URL_AUTH"] = f"{url}/"
    yield Globus(url=url, world=world)
    del os.environ["GLOBUS_SDK_SERVICE_URL_AUTH"]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def globus(globus_server: Globus) -> Globus:
    httpx.post(f"{globus_server.url}/_fauxbus/reset").raise_for_status()
    return globus_server


@pytest.fixture(scope="session")
def settings(postgres_url: str, sars_cov_2: Reference, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        table_cache=tmp_path_factory.mktemp("tables"),
        web_url=WEB_URL,
        web_secret_key=SecretStr("for tests"),
        web_database_url=SecretStr(postgres_url),
        globus_client_id=CLIENT_ID,
        globus_client_secret=SecretStr(CLIENT_SECRET),
        globus_scope=SCOPE,
        admins=frozenset({OPERATOR}),
        references=sars_cov_2.folder.parent,
        free_upload_limit_bytes=1 << 20,
        premium_upload_limit_bytes=2 << 20,
        rate_limit="",
    )


@pytest.fixture(scope="session")
def airflow() -> FakeAirflow:
    return FakeAirflow()


@pytest.fixture(scope="session")
def wired(settings: Settings, lasting_aws: AwsStandIn, airflow: FakeAirflow) -> Services:
    """Real tables and buckets, made once."""
    where = {"session": lasting_aws.session, "endpoint_url": lasting_aws.endpoint_url}
    httpx.post(f"{lasting_aws.endpoint_url}/moto-api/reset").raise_for_status()
    for _ in provision(settings, **where):
        pass
    return dataclasses.replace(build(settings, **where), airflow=airflow)


@pytest.fixture
def services(wired: Services, lasting_aws: AwsStandIn, airflow: FakeAirflow) -> Services:
    """The services, without any job or profile."""
    tables = lasting_aws.session.resource("dynamodb", endpoint_url=lasting_aws.endpoint_url)
    for name, key in ((wired.settings.annotations_table, "job_id"), (wired.settings.profiles_table, "user_id")):
        for item in tables.Table(name).scan()["Items"]:
            tables.Table(name).delete_item(Key={key: item[key]})
    tables.meta.client.close()
    airflow.runs.clear()
    airflow.stopped.clear()
    airflow.took = []
    airflow.down = False
    return wired


@pytest.fixture(scope="session")
def built_app(wired: Services, globus_server: Globus) -> Flask:
    app = create_app(services=wired)
    app.testing = False  # errors become answers here, as they do in production
    app.wsgi_app = acts(Role.WEB, app.wsgi_app)
    return app


@pytest.fixture
def app(built_app: Flask, services: Services, globus: Globus) -> Flask:
    """The web app with nobody known to it."""
    with built_app.app_context():
        session = built_app.appbuilder.session
        tables = "ab_user, ab_user_role, gas_api_token, gas_login_code, gas_share_link, gas_web_session"
        tables += ", gas_idempotency_key"
        session.execute(text(f"TRUNCATE {tables} CASCADE"))
        session.commit()
        session.remove()
    introspection = built_app.config["GLOBUS_INTROSPECTION"]
    introspection._answers.clear()
    built_app.extensions["gas-recent-times"] = RecentTimes(services.airflow)
    return built_app


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address at which programs and browsers reach the web app meanwhile."""
    server = make_wsgi_server("127.0.0.1", free_ports(), app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    """The address of the web app."""
    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def chrome(chromium: str) -> Iterator[Chromium]:
    """A Chromium for the tests of a file."""
    expect.set_options(timeout=PATIENCE_MS)
    with launched(chromium, "--disable-gpu") as browser:
        yield browser


class Browser:
    """A browser of the web app; ``globus`` is where its person signs in."""

    def __init__(self, app: Flask, globus: Globus) -> None:
        self.client: FlaskClient = app.test_client()
        self._globus = globus

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, base_url=WEB_URL, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.client.post(path, base_url=WEB_URL, **options)

    def open(self, path: str, **options: Any) -> TestResponse:
        return self.client.open(path, base_url=WEB_URL, **options)

    @property
    def cookie(self) -> str | None:
        cookie = self.client.get_cookie("gas_session", domain="localhost")
        return cookie.value if cookie else None

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie("gas_session", value, domain="localhost")

    def start(self, *, target: str | None = None) -> str:
        """Begin a sign-in; where at Globus the browser is sent."""
        query = {} if target is None else {"next": target}
        return self.get("/login/globus", query_string=query).headers["Location"]

    def come_back(self, location: str) -> TestResponse:
        """Follow Globus's redirect back to GAS."""
        parts = urlsplit(location)
        return self.get(f"{parts.path}?{parts.query}")

    def sign_in(self, account: str, *, target: str | None = None) -> TestResponse:
        return self.come_back(self._globus.authorize(account, self.start(target=target)))

    @property
    def csrf(self) -> str:
        """The token that this browser's pages carry."""
        return re.search(r'name="csrf-token" content="([^"]+)"', self.get("/jobs/").text)[1]

    def call(self, method: str, path: str, *, json: Any = None, csrf: bool = True) -> TestResponse:
        """A call of the API as a page makes it."""
        headers = {"X-CSRFToken": self.csrf} if csrf and method not in ("GET", "HEAD") else {}
        return self.open(f"/api/v1/{path}", method=method, json=json, headers=headers)


@pytest.fixture
def visitor(app: Flask, globus: Globus) -> Browser:
    """A browser that nobody has signed in with."""
    return Browser(app, globus)


@pytest.fixture
def alice(app: Flask, globus: Globus) -> Browser:
    browser = Browser(app, globus)
    assert browser.sign_in(ALICE).status_code == 302
    return browser


@pytest.fixture
def bob(app: Flask, globus: Globus) -> Browser:
    browser = Browser(app, globus)
    assert browser.sign_in(BOB).status_code == 302
    return browser


@pytest.fixture
def operator(app: Flask, globus: Globus) -> Browser:
    browser = Browser(app, globus)
    assert browser.sign_in(OPERATOR).status_code == 302
    return browser


@pytest.fixture
def gas(app: Flask, alice: Browser) -> Iterator[Callable[..., Result]]:
    """The ``gas`` command, signed in as Alice by ``gas login`` unless given another token."""
    serving = make_wsgi_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    with app.app_context():
        session = app.appbuilder.session
        asked = tokens.login_request(
            redirect_uri="http://127.0.0.1:5000/callback",
            state="12345678",
            code_challenge=tokens._s256("v" * 43),
            code_challenge_method="S256",
            client_name="lab",
        )
        code = tokens.new_code(session, user=app.appbuilder.sm.find_user(username=ALICE), asked=asked)
        signed_in = tokens.exchange(session, code=code, code_verifier="v" * 43, redirect_uri=asked.redirect_uri)

    def run(*arguments: str, token: str = signed_in, stdin: str | None = None) -> Result:
        environment = {"GAS_SERVER": f"http://127.0.0.1:{serving.server_port}", "GAS_TOKEN": token}
        return CliRunner().invoke(build_app(), list(arguments), env=environment, input=stdin)

    yield run
    serving.shutdown()
    thread.join()
    serving.server_close()


@functools.cache
def annotated_demo(references: Path) -> Mapping[Output, bytes]:
    """The files of a real result, made once."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "demo.vcf.gz"
        annotate(demo_vcf(), target, reference=ReferenceStore(references).get("sars-cov-2"))
        return {
            output: target.with_name(f"demo{ending}").read_bytes()
            for output, ending in (
                (Output.VCF, ".vcf.gz"),
                (Output.INDEX, ".vcf.gz.tbi"),
                (Output.TABLE, ".parquet"),
                (Output.SUMMARY, ".summary.json"),
            )
        }


class Jobs:
    """Makes jobs in the states that a test needs, with real objects behind them."""

    LOG = "consequence\tvariants\nmissense\t2\n"
    SUMMARY: Mapping[str, Any] = {
        "provenance": {
            "engine": "GAS",
            "engine_version": "0.1.0",
            "bcftools_version": "1.24",
            "reference": {"name": "sars-cov-2", "fasta_sha256": "aa", "gff_sha256": "bb"},
            "sources": [{"name": "clinvar", "version": "2026-11", "date": "2026-11-02", "sha256": "cc"}],
            "mode": "local",
            "phase": "unknown",
        },
        "counts": {
            "records": 3,
            "variants": 3,
            "annotated": 2,
            "unannotated": 1,
            "genes": 1,
            "skipped": {"breakend": 1},
        },
        "by_consequence": {"missense": 2},
        "by_impact": {"HIGH": 0, "MODERATE": 2, "LOW": 0, "MODIFIER": 0},
        "by_gene": {"S": 2},
        "gene_impacts": {"S": {"HIGH": 0, "MODERATE": 2, "LOW": 0, "MODIFIER": 0}},
        "by_contig": {"NC_045512.2": 3},
        "by_kind": {"SNV": 2, "deletion": 1},
        "ts_tv": 2.0,
        "first_rows": [
            {"chrom": "NC_045512.2", "pos": 23403, "ref": "A", "alt": "G", "gene": "S", "consequence": "missense"}
            | {
                "impact": "MODERATE",
                "protein_change": "D614G",
                "dna_change": "23403A>G",
                "id": None,
                "transcript": "T1",
            }
        ],
    }

    def __init__(self, services: Services) -> None:
        self._services = services

    def put(self, bucket: str, key: str, body: bytes) -> StoredObject:
        put = self._services.objects._aws.s3.put_object(Bucket=bucket, Key=key, Body=body)
        digest = hashlib.sha256(body).hexdigest()
        return StoredObject(bucket=bucket, key=key, version_id=put["VersionId"], sha256=digest, size_bytes=len(body))

    def upload(self, owner: str, body: bytes = b"##fileformat=VCFv4.3\n") -> str:
        """An upload that no job was made of; its job id."""
        job_id = new_job_id()
        key = self._services.objects.input_key(user_id=owner, job_id=job_id)
        self.put(self._services.settings.inputs_bucket, key, body)
        return job_id

    def pending(self, owner: str, *, name: str = "cohort.vcf.gz", ago_s: int = 0) -> Job:
        job_id = self.upload(owner)
        stored = self._services.objects.head_input(user_id=owner, job_id=job_id)
        return self._services.jobs.create(
            Job(
                job_id=job_id,
                user_id=owner,
                input_file_name=name,
                reference="sars-cov-2",
                submit_time=int(time.time()) - ago_s,
                job_status=JobStatus.PENDING,
                input=stored,
            )
        )

    def running(self, owner: str, **options: Any) -> Job:
        job = self.pending(owner, **options)
        self._services.jobs.start(job.job_id, "0001")
        self._services.jobs.report(job.job_id, "0001", Progress(stage="annotating", done=1234, total=5678))
        return self._services.jobs.get(job.job_id)

    def failed(self, owner: str, error: str, kind: str = "input", **options: Any) -> Job:
        job = self.pending(owner, **options)
        self._services.jobs.start(job.job_id, "0001")
        return self._services.jobs.fail(job.job_id, "0001", error, kind)

    def annotated(self, owner: str, **options: Any) -> Job:
        """A finished job with a real result: the demo's VCF, annotated."""
        return self.done(owner, files=annotated_demo(self._services.settings.references), **options)

    def done(
        self,
        owner: str,
        *,
        summary: Mapping[str, Any] | None = None,
        files: Mapping[Output, bytes] | None = None,
        **options: Any,
    ) -> Job:
        job = self.pending(owner, **options)
        self._services.jobs.start(job.job_id, "0001")
        return self.finish(job, summary=summary, files=files)

    def finish(
        self,
        job: Job,
        *,
        summary: Mapping[str, Any] | None = None,
        files: Mapping[Output, bytes] | None = None,
    ) -> Job:
        """Put the files of a job that runs, and complete it."""
        owner = job.user_id
        bodies = {
            Output.VCF: b"the vcf",
            Output.INDEX: b"the index",
            Output.TABLE: b"the table",
            Output.DIGEST: b"the digest",
            Output.LOG: self.LOG.encode(),
            Output.SUMMARY: json.dumps(summary or self.SUMMARY).encode(),
            **(files or {}),
        }
        bucket = self._services.settings.results_bucket
        outputs = {
            output: self.put(
                bucket,
                self._services.objects.output_key(output, user_id=owner, job_id=job.job_id, attempt="0001"),
                body,
            )
            for output, body in bodies.items()
        }
        return self._services.jobs.complete(job.job_id, "0001", outputs, {"variants": 3}, ["phase unknown"])


@pytest.fixture
def jobs(services: Services) -> Jobs:
    return Jobs(services)
