"""Tables and results to look at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from gas.explore.cache import TableCache
from gas.explore.table import Tables
from gas.job import StoredObject


@dataclass
class Store:
    """In S3's place: bytes by VersionId, and how often each was fetched."""

    held: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def put(self, version_id: str, data: bytes) -> StoredObject:
        self.held[version_id] = data
        return StoredObject(
            bucket="results",
            key="annotated.parquet",
            version_id=version_id,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
        )

    def stream(self, stored: StoredObject) -> Iterator[bytes]:
        self.fetched.append(stored.version_id)
        data = self.held[stored.version_id]
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]


@dataclass(frozen=True)
class Shelf:
    """A store and the tables that are looked at from it."""

    store: Store
    tables: Tables

    @classmethod
    def at(cls, folder: Path, *, limit_bytes: int = 1 << 30) -> Shelf:
        store = Store()
        return cls(store, Tables(TableCache(store, folder, limit_bytes=limit_bytes)))


MADE_COLUMNS = """
    rec BIGINT, chrom VARCHAR, pos INTEGER, id VARCHAR, ref VARCHAR, alt VARCHAR, qual DOUBLE, filter VARCHAR,
    consequence VARCHAR, impact VARCHAR, gene VARCHAR, transcript VARCHAR, biotype VARCHAR, strand VARCHAR,
    protein_change VARCHAR, amino_acid_change VARCHAR, dna_change VARCHAR, after_stop BOOLEAN, most_severe BOOLEAN,
    carriers INTEGER, "odd""name" VARCHAR, AF DOUBLE
"""


def made_table(path: Path, rows: list[tuple[object, ...]], *, group: int = 2048) -> Path:
    """A table of the engine's columns and two of sources, one with a quote in its name."""
    text = path.with_suffix(".jsonl")
    names = [column.strip().split()[0].strip('"').replace('""', '"') for column in MADE_COLUMNS.split(",")]
    text.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE made ({MADE_COLUMNS})")
        database.execute(f"INSERT INTO made BY NAME FROM read_json('{text}', sample_size=-1)")
        database.execute(f"COPY made TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {group})")
    text.unlink()
    return path
