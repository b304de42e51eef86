"""What the tests stand on: real parts of the local stack, on loopback, in temporary folders."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from xdist.workermanage import NodeManager

from gas.job import ArchiveBackend
from gas.local import postgres
from gas.local.layout import Layout
from gas.local.stack import Stack
from tests import permissions
from tests.faults.tally import COUNTED

if TYPE_CHECKING:
    from gas.references import Reference

#: How long retrievals and inventories take.
WAITS = ("--expedited-s", "0.1", "--standard-s", "0.3")
STACK_PORTS = 4  # the web app, Airflow, and the stand-ins for AWS and Globus


def pytest_configure() -> None:
    """Let SIGTERM end a run as Ctrl-C does, so that the stack and the servers that it started are stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ends workers; in the background it would be ignored
    NodeManager.EXIT_TIMEOUT = 30  # its 10 s are over before execnet, which waits for 5 and 10, has ended a worker


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave those that need a running stack to the end, those of each side by side: stacks take processor time.

    Within these groups the order stays as it was shuffled.
    """

    def group(item: pytest.Item) -> int:
        needed: tuple[str, ...] = getattr(item, "fixturenames", ())
        if "hasty_stack" not in needed:
            return int("stack" in needed)
        callspec = getattr(item, "callspec", None)
        return 2 + list(ArchiveBackend).index(callspec.params["hasty_stack"]) if callspec else 2

    items.sort(key=group)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands over what its tests counted."""
    handed_over = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over["counted"] = dict(COUNTED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add up what the workers counted."""
    COUNTED.update(getattr(node, "workeroutput", {}).get("counted", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    if COUNTED:
        terminalreporter.section("faults and schedules")
        for what, number in sorted(COUNTED.items()):
            terminalreporter.write_line(f"{number:6} {what}")


def free_ports(count: int = 1) -> int:
    """Return the first of ``count`` free ports in a row, below those that systems give to outgoing connections."""
    for _ in range(100):
        first = random.SystemRandom().randrange(10_000, 30_000)  # not the seeded one: test runs may go side by side
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("there are no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _no_foreign_settings() -> Iterator[None]:
    """No test reads the settings, credentials or proxies of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name == "GAS_CHROMIUM":
                continue  # which browser to drive, not a setting of GAS
            if name.startswith(("GAS_", "AWS_", "AIRFLOW", "GLOBUS_SDK_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


@pytest.fixture(scope="session", autouse=True)
def _watched_aws() -> Iterator[None]:
    """Every call of AWS is counted to the role that acts."""
    with pytest.MonkeyPatch.context() as patch:
        permissions.install(patch)
        yield


@pytest.fixture(autouse=True)
def _within_policies() -> Iterator[None]:
    """No role does what its IAM policy does not let it do."""
    permissions.WATCH.forget()
    yield
    assert not permissions.WATCH.refused, "; ".join(dict.fromkeys(permissions.WATCH.refused))


# The AWS stand-in.
@dataclass(frozen=True, kw_only=True)
class AwsStandIn:
    """A running stand-in for AWS, and a session with its credentials."""

    endpoint_url: str
    session: boto3.Session


@contextmanager
def _aws_stand_in(folder: Path) -> Iterator[AwsStandIn]:
    port, secret = free_ports(), uuid.uuid4().hex
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gas.local.aws_standin", "--port", str(port), *WAITS],
            env={**os.environ, "AWS_SECRET_ACCESS_KEY": secret},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _await_answer(f"{url}/moto-api/data.json", process, log)
        session = boto3.Session(aws_access_key_id="GASTEST", aws_secret_access_key=secret, region_name="us-east-1")
        yield AwsStandIn(endpoint_url=url, session=session)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def _emptied_aws(_no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStandIn]:
    with _aws_stand_in(tmp_path_factory.mktemp("aws")) as stand_in:
        yield stand_in


@pytest.fixture
def aws(_emptied_aws: AwsStandIn) -> Iterator[AwsStandIn]:
    """An empty AWS."""
    yield _emptied_aws
    httpx.post(f"{_emptied_aws.endpoint_url}/moto-api/reset", timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def lasting_aws(_no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStandIn]:
    """An AWS that no other test empties, for fixtures that outlive a test."""
    with _aws_stand_in(tmp_path_factory.mktemp("aws")) as stand_in:
        yield stand_in


# PostgreSQL.
@pytest.fixture(scope="session")
def postgres_layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A PostgreSQL server, as the local stack runs it."""
    layout = Layout.of(state=tmp_path_factory.mktemp("postgres"), base_port=8800)  # no port is opened
    postgres.initialise(layout)
    with (layout.log / "postgres.log").open("wb") as out:
        process = subprocess.Popen(postgres.server_command(layout), stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while not postgres.answers(layout):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((layout.log / "postgres.log").read_text())
            time.sleep(0.05)
        postgres.make_databases(layout)
        yield layout
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown
        process.wait(timeout=30)


@pytest.fixture(scope="session")
def postgres_url(postgres_layout: Layout) -> str:
    """The SQLAlchemy URL of an empty database."""
    return postgres_layout.database_url("gas_web")


# References.
@pytest.fixture(scope="session")
def sars_cov_2(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """SARS-CoV-2, installed."""
    from gas.references import ReferenceStore, install_sars_cov_2

    return install_sars_cov_2(ReferenceStore(tmp_path_factory.mktemp("references")))


# The whole stack.
@contextmanager
def _running_stack(folder: Path, **settings: object) -> Iterator[Stack]:
    """A stack on free ports and with a state of its own; it keeps its settings when it is started again."""
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    running = Stack(Layout.of(state=folder / "state", base_port=free_ports(STACK_PORTS)))
    running.up(told=lambda _: None)
    try:
        yield running
    finally:
        running.down()


@pytest.fixture(scope="session")
def stack(_no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole local stack; results stay while the tests look at them."""
    with _running_stack(tmp_path_factory.mktemp("stack"), GAS_FREE_RESULT_TTL=86400) as running:
        yield running


#: How long a free person's result stays on a stack that is in a hurry, in seconds: the shortest that GAS allows.
HASTY_DELAY_S = 10


@pytest.fixture(scope="session", params=list(ArchiveBackend))
def hasty_stack(
    request: pytest.FixtureRequest, _no_foreign_settings: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack that archives after a few seconds, once with each back end.

    Tests that need it run side by side, and leave nobody's job and everybody on the free plan.
    """
    folder = tmp_path_factory.mktemp("hasty")
    with _running_stack(folder, GAS_FREE_RESULT_TTL=HASTY_DELAY_S, GAS_ARCHIVE=request.param) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive; without one, browser tests are skipped."""
    from tests.chromium import find_chromium

    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: run make browser, or install chromium")
    return path
