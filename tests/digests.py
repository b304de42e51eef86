"""Digests of results that a test makes up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from gas.comparison import write_digest

#: Consequence, impact and gene.
MISSENSE = ("missense_variant", "MODERATE", "A")
INTRON = ("intron_variant", "MODIFIER", "A")
STOP = ("stop_gained", "HIGH", "A")


def made_digest(path: Path, *rows: tuple[Any, ...], significance: str = "CLINVAR_CLNSIG") -> Path:
    """The digest of a table with a row for each position, consequence, impact, gene and significance."""
    table = path.with_suffix(".table")
    with duckdb.connect() as database:
        database.execute(
            "CREATE TABLE t (chrom VARCHAR, pos INTEGER, ref VARCHAR, alt VARCHAR, consequence VARCHAR, "
            f'impact VARCHAR, gene VARCHAR, protein_change VARCHAR, most_severe BOOLEAN, "{significance}" VARCHAR)'
        )
        for pos, consequence, impact, gene, known in rows:
            database.execute(
                "INSERT INTO t VALUES ('1', ?, 'A', 'C', ?, ?, ?, NULL, true, ?)",
                [pos, consequence, impact, gene, known],
            )
        database.execute(f"COPY t TO '{table}' (FORMAT parquet)")
    write_digest(table, path)
    return path
