"""The files for Prometheus and Grafana agree with each other, with what GAS sends, and with the runbooks."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import promql_parser
import pytest
import yaml

from gas import metrics, overview
from gas.job import new_job_id
from gas.metrics import Metrics
from gas.overview import Overview, Waiting
from gas.services import Services
from gas.settings import Settings
from tests.fakes import pending_job

CHECKOUT = Path(__file__).parents[2]
MONITORING = CHECKOUT / "deploy" / "monitoring"
SENT = re.compile(r"""\.(count|gauge|timing)\(\s*f?"([a-z_.{}()\[\]A-Z ]+)""")

MAPPINGS = yaml.safe_load((MONITORING / "statsd-exporter.yaml").read_text())["mappings"]
RULES = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())


def mapped(name: str) -> str | None:
    """What a StatsD name is called in Prometheus, as the exporter finds it: ``*`` is one part between dots."""
    for mapping in MAPPINGS:
        pattern = re.escape(mapping["match"]).replace(r"\*", r"[^.]+")
        if re.fullmatch(pattern, name):
            return str(mapping["name"])
    return None


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody who listens for StatsD."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        yield server


@pytest.fixture
def to(listener: socket.socket) -> Iterator[Metrics]:
    """What sends to it."""
    settings = Settings(statsd_on=True, statsd_host="127.0.0.1", statsd_port=listener.getsockname()[1])
    with closing(Metrics(settings)) as sender:
        yield sender


def test_figures_are_sent_as_statsd(listener: socket.socket, to: Metrics) -> None:
    """Counters, gauges, and times in milliseconds; a negative gauge would be taken for a change."""
    to.count("jobs_ended.completed", 2)
    to.gauge("archive_lag", -5)
    to.timing("job_run", 1.5)
    heard = [listener.recv(200).decode() for _ in range(3)]
    assert heard == ["gas.jobs_ended.completed:2|c", "gas.archive_lag:0.0|g", "gas.job_run:1500.000000|ms"]


def test_nothing_is_sent_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by default, nor to a name that nobody knows; and nothing fails."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for to in (Metrics(), Metrics(Settings()), Metrics(Settings(statsd_on=True, statsd_host="nobody.invalid"))):
        to.count("jobs_ended.failed")
        assert not to.on


def test_measured_is_how_gas_stands(listener: socket.socket, to: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many jobs are where, since when the oldest, and how late the archive is; each figure has a name."""
    none = Waiting(number=0, oldest=[])
    seen = Overview(
        at=10_000,
        by_status={},
        failures={},
        failed=[],
        pending=Waiting(number=2, oldest=[("a", 9_900), ("b", 9_990)]),
        running=none,
        archiving=none,
        thawing=none,
        due=Waiting(number=1, oldest=[("c", 9_000)]),
        trouble=[("d", "lost")],
        whole=True,
    )
    monkeypatch.setattr(overview, "overview", lambda _: seen)
    there = SimpleNamespace(metrics=to, settings=Settings(free_result_ttl_s=300))
    metrics.measure(cast("Services", there))
    heard = dict(listener.recv(200).decode().removesuffix("|g").split(":") for _ in range(13))
    assert heard["gas.jobs.pending"] == "2"
    assert heard["gas.oldest.pending"] == "100"
    assert heard["gas.oldest.running"] == "0.0"
    assert heard["gas.archive_lag"] == "700"
    assert heard["gas.jobs_in_trouble"] == "1"
    assert heard["gas.measured_at"] == "10000"
    assert None not in map(mapped, heard)


def test_end_of_a_job_is_told_once_it_has_one(listener: socket.socket, to: Metrics) -> None:
    """A PENDING job tells nothing."""
    there = cast("Services", SimpleNamespace(metrics=to))
    metrics.job_ended(there, None)
    metrics.job_ended(there, pending_job(job_id=new_job_id()))
    to.count("end")
    assert listener.recv(200) == b"gas.end:1|c"


def test_all_that_is_sent_has_a_name() -> None:
    """Every figure in the source, with whatever stands in its place-holders, is in the exporter's mapping."""
    sent = set()
    for folder in ("include/gas", "plugins", "dags", "webui"):
        for file in (CHECKOUT / folder).rglob("*.py"):
            text = file.read_text()
            if "metrics" in text.lower():
                sent |= {name for _, name in SENT.findall(text)}
    names = {"gas." + re.sub(r"\{[^}]*\}", "x", name) for name in sent}
    assert len(names) >= 12
    assert {name for name in names if mapped(name) is None} == set()


def expressions() -> list[str]:
    """All queries of the alerts and of the dashboard."""
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in RULES] + targets


@pytest.mark.parametrize("query", expressions(), ids=range(len(expressions())))
def test_queries_are_promql_about_what_there_is(query: str) -> None:
    """Prometheus would read each, and each asks for figures that the mapping names."""
    promql_parser.parse(query)
    known = {mapping["name"] for mapping in MAPPINGS}
    asked = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\b(?:gas|airflow)_[a-z_]+", query)}
    assert asked
    assert asked <= known


def test_every_figure_is_shown_or_watched_and_explained() -> None:
    """Each one of GAS's stands in a query of the dashboard or of an alert, and in the document for whoever looks."""
    names = {mapping["name"] for mapping in MAPPINGS if mapping["match"].startswith("gas.")}
    asked = {re.sub(r"_(bucket|count|sum)$", "", n) for q in expressions() for n in re.findall(r"\bgas_[a-z_]+", q)}
    explained = set(re.findall(r"`(gas_[a-z_]+)[`{]", (CHECKOUT / "docs" / "metrics.md").read_text()))
    assert names == asked == explained


def test_dashboard_shows_what_operators_must_see() -> None:
    """Jobs, latencies, archive lag, restore times and what no record names: each has a panel and an alert."""
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    watched = " ".join(rule["expr"] for rule in RULES)
    for panel, alert in (
        ("gas_jobs_ended_total", "gas_jobs_ended_total"),
        ("gas_job_wait_seconds", 'gas_oldest_seconds{state="pending"}'),
        ("gas_web_request_seconds", "gas_web_request_seconds"),
        ("gas_archive_lag_seconds", "gas_archive_lag_seconds"),
        ("gas_restore_seconds", 'gas_oldest_seconds{state="thawing"}'),
        ("gas_findings", 'gas_findings{dag="inventory"}'),
    ):
        assert panel in shown, panel
        assert alert in watched, alert


def test_each_alert_has_a_runbook() -> None:
    """The address that an alert names is a heading there; a runbook without an alert is of no use."""
    headings = re.findall(r"^## (\w+)$", (CHECKOUT / "docs" / "runbooks.md").read_text(), flags=re.MULTILINE)
    anchors = [rule["annotations"]["runbook_url"] for rule in RULES]
    assert anchors == [f"docs/runbooks.md#{heading.lower()}" for heading in headings]
    assert [rule["alert"] for rule in RULES] == headings


def test_dashboard_is_whole() -> None:
    """Panels have ids and places of their own, and take their figures from the data source that is chosen."""
    panels: list[Any] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
