"""The references DAG, run by Airflow against a mirror on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gas.airflow_api import AirflowApi, AlreadyRunning
from gas.downloads import Downloads
from gas.published import Publishers, install
from gas.references import ReferenceStore
from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS
from tests.mirror import Mirror, mirrored

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

pytestmark = AIRFLOWS_OWN_WARNINGS

FIRST, SECOND = (f"ensembl-115.clinvar-2026-11-{day}" for day in (16, 23))


@pytest.fixture
def mirror(connected: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror that the DAG's tasks ask."""
    with mirrored() as mirror:
        for name, value in mirror.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GAS_REFERENCES", str(tmp_path / "references"))
        yield mirror


@pytest.fixture
def store(mirror: Mirror, tmp_path: Path) -> ReferenceStore:
    """A store with grch38, as installed by hand."""
    store = ReferenceStore(tmp_path / "references")
    downloads = Downloads()
    publishers = Publishers(mirror.settings(store.folder), downloads)
    install(lambda: publishers.offer("grch38", store=store), store=store, downloads=downloads)
    downloads.close()
    return store


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Airflow was asked to backfill."""
    begun: list[dict[str, Any]] = []

    def backfill(_: AirflowApi, dag_id: str, **asked: Any) -> Any:
        begun.append({"dag_id": dag_id, **asked})
        return SimpleNamespace(backfill_id=1)

    monkeypatch.setattr(AirflowApi, "backfill", backfill)
    monkeypatch.setattr(AirflowApi, "is_paused", lambda *_: False)
    return begun


def run(dag_bag: DagBag, *, dry_run: bool = False) -> str:
    return str(dag_bag.dags["references"].test(run_conf={"dry_run": dry_run}).state)


def test_new_clinvar_is_installed_and_jobs_annotated_again(
    dag_bag: DagBag, mirror: Mirror, store: ReferenceStore, begun: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bounded backfill for one new release, also where an earlier one was in the way; none without news."""
    monkeypatch.setenv("GAS_REANNOTATE_AUTO", "3")
    assert run(dag_bag) == "success"
    assert store.get("grch38").version == FIRST
    mirror.clinvar("20261123", leave=5)
    accept = AirflowApi.backfill

    def busy(*_: Any, **__: Any) -> Any:
        raise AlreadyRunning("a backfill is running")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AirflowApi, "backfill", busy)
        patch.setattr(AirflowApi, "running_backfill", lambda *_: SimpleNamespace(start=0, end=0, created=0))
        patch.setattr(AirflowApi, "backfill_runs", lambda *_: SimpleNamespace(at_work=1, ended=0, failed=0))
        patch.setattr("gas.backfill._busy", lambda *_: "busy")
        assert run(dag_bag) == "success"
    assert AirflowApi.backfill is accept
    assert store.get("grch38").version == SECOND
    assert begun == []
    for _ in range(2):
        assert run(dag_bag) == "success"
    (asked,) = begun
    assert (asked["dag_id"], asked["at_once"]) == ("reannotate", 1)
    assert asked["end"] - asked["start"] == timedelta(days=3)
    assert datetime.now(UTC) - asked["end"] < timedelta(minutes=2)


def test_run_fails_with_an_update(dag_bag: DagBag) -> None:
    """What follows is seen to in any case, and hides no failure."""
    dag = dag_bag.dags["references"]
    ends = {task.task_id: task.trigger_rule for task in dag.tasks if not task.downstream_task_ids}
    assert ends == {"see_to": "all_done", "updated": "all_success"}


def test_operator_is_told_how(dag_bag: DagBag, mirror: Mirror, store: ReferenceStore, begun: list[Any]) -> None:
    """Without GAS_REANNOTATE_AUTO nothing is begun."""
    assert run(dag_bag) == "success"
    mirror.clinvar("20261123", leave=5)
    assert run(dag_bag) == "success"
    assert store.get("grch38").version == SECOND
    assert begun == []
    assert (store.folder / ".seen" / "grch38").read_text() == f"{SECOND}\n"


def test_dry_run_only_tells(
    dag_bag: DagBag,
    mirror: Mirror,
    store: ReferenceStore,
    begun: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is published is in the log; nothing is fetched or begun, and the next run does it."""
    monkeypatch.setenv("GAS_REANNOTATE_AUTO", "3")
    assert run(dag_bag) == "success"
    mirror.clinvar("20261123", leave=5)
    with caplog.at_level("INFO"):
        assert dag_bag.dags["references"].get_task("look").python_callable(params={"dry_run": True}) == []
    assert f"grch38 {SECOND} would be installed and put in force" in caplog.messages
    assert run(dag_bag, dry_run=True) == "success"
    assert [version.version for version in store.versions("grch38")] == [FIRST]
    assert begun == []
    assert run(dag_bag) == "success"
    assert store.get("grch38").version == SECOND
    assert len(begun) == 1


def test_nothing_is_asked_where_nothing_is_followed(dag_bag: DagBag, mirror: Mirror) -> None:
    """A stack with references from files alone needs no way to the publishers."""
    assert run(dag_bag) == "success"
    assert mirror.web.asked == []
