"""Index and table are made again from a result's VCF as the engine made them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pysam
import pytest

from gas.annotation import annotate
from gas.archive.rebuild import rebuild
from gas.job import Output, new_job_id
from gas.references import Reference, ReferenceStore, demo_vcf
from tests.fakes import FakeReferences, pending_job


def rows(table: Path) -> list[Any]:
    """What a table holds, with its columns."""
    with duckdb.connect() as database:
        return [*database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(table)]).fetchall(),
                *database.execute("SELECT * FROM read_parquet(?)", [str(table)]).fetchall()]  # fmt: skip


def test_as_the_engine_made_them(sars_cov_2: Reference, tmp_path: Path) -> None:
    """The table holds the same rows in the same columns, and the index leads to the same records."""
    result = annotate(demo_vcf(), tmp_path / "annotated.vcf.gz", reference=sars_cov_2)
    folder = tmp_path / "back"
    folder.mkdir()
    vcf = folder / "annotated.vcf.gz"
    vcf.write_bytes(result.vcf.read_bytes())
    services: Any = SimpleNamespace(references=ReferenceStore(sars_cov_2.folder.parent))
    files, trouble = rebuild(services, pending_job(job_id=new_job_id()), vcf)
    assert trouble is None
    assert rows(files[Output.TABLE]) == rows(result.table)
    assert files[Output.INDEX].read_bytes() == result.index.read_bytes()
    with pysam.VariantFile(str(vcf), index_filename=str(files[Output.INDEX])) as opened:
        contig = next(iter(opened.header.contigs))
        assert next(opened.fetch(contig, 20_000)).pos > 20_000


def test_without_the_reference(sars_cov_2: Reference, tmp_path: Path) -> None:
    """Where the reference was removed since, the table still has its rows, without the sources' columns."""
    result = annotate(demo_vcf(), tmp_path / "annotated.vcf.gz", reference=sars_cov_2)
    services: Any = SimpleNamespace(references=FakeReferences(frozenset()))
    table = tmp_path / "again"
    table.mkdir()
    vcf = table / "annotated.vcf.gz"
    vcf.write_bytes(result.vcf.read_bytes())
    files, trouble = rebuild(services, pending_job(job_id=new_job_id()), vcf)
    assert trouble is None
    assert len(rows(files[Output.TABLE])) > 100


@pytest.mark.parametrize("body", [b"", b"this is no VCF"])
def test_trouble_is_told(body: bytes, tmp_path: Path) -> None:
    """What cannot be made again is told in a sentence, and the VCF is given all the same."""
    vcf = tmp_path / "annotated.vcf.gz"
    vcf.write_bytes(body)
    services: Any = SimpleNamespace(references=FakeReferences(frozenset()))
    files, trouble = rebuild(services, pending_job(job_id=new_job_id()), vcf)
    assert files == {Output.VCF: vcf}
    assert trouble is not None
    assert "index" in trouble
    assert "table" in trouble
