"""What follows from another version in force."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gas.errors import Unavailable
from gas.reference_news import see_to, watch
from gas.references import ReferenceStore
from gas.settings import Settings
from tests.mirror import mirrored

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class FakeAirflow:
    """Takes backfills, or does not answer."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.begun: list[dict[str, Any]] = []

    def is_paused(self, _: str) -> bool:
        return False

    def backfill(self, dag_id: str, **asked: Any) -> Any:
        if self.down:
            raise Unavailable("the workflow engine does not answer")
        self.begun.append({"dag_id": dag_id, **asked})
        return SimpleNamespace(backfill_id=1)


@pytest.fixture
def store(tmp_path: Path) -> ReferenceStore:
    """A store in which a second version has been put in force since the first was seen to."""
    store = ReferenceStore(tmp_path / "references")
    with mirrored() as mirror:
        for name, body in (("g.fa.gz", mirror.fasta), ("g.gff3.gz", mirror.gff)):
            (tmp_path / name).write_bytes(body)
    for version in ("one", "two"):
        store.add(
            "grch38",
            fasta=tmp_path / "g.fa.gz",
            gff=tmp_path / "g.gff3.gz",
            version=version,
            origin={"published": "grch38", "clinvar": version},
        )
        store.use("grch38", version)
        watch(store)
    return store


def told(store: ReferenceStore, airflow: FakeAirflow, *, days: int) -> list[str]:
    settings = Settings(reannotate_auto=days, installed=date(2026, 11, 1))
    return [str(finding) for finding in see_to(store, settings=settings, airflow=airflow, now=NOW)]  # type: ignore[arg-type]


def test_operator_is_told_the_command_once(store: ReferenceStore) -> None:
    """With the days that it is about."""
    airflow = FakeAirflow()
    (said,) = told(store, airflow, days=0)
    assert said.startswith("reference grch38: version two is in force now, before it was one: `gas backfill reannotate")
    assert "--from 2026-11-01 --to 2026-11-25" in said
    assert told(store, airflow, days=0) == []
    assert airflow.begun == []


def test_what_a_failed_call_has_not_done_the_next_does(store: ReferenceStore) -> None:
    """Nothing counts as seen to before the backfill has begun; it reaches no further back than the installation."""
    with pytest.raises(Unavailable):
        told(store, FakeAirflow(down=True), days=90)
    airflow = FakeAirflow()
    assert "since 2026-11-01 are annotated again" in told(store, airflow, days=90)[0]
    assert airflow.begun[0]["start"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert told(store, airflow, days=90) == []
