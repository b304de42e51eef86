"""What looking at a result of many variants costs: pages, counts, suggestions, files. Prints one JSON object a line.

    python benchmarks/explore.py [--variants N] [--only pages]

The table is made up in the form of the engine's: 1.6 rows a variant, in the order of the genome, in row groups of
50,000. Times are of this machine, in milliseconds; ``target`` is what was aimed at, on two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import duckdb

from gas.explore import export
from gas.explore.cache import TableCache
from gas.explore.export import Format
from gas.explore.table import Table, Tables
from gas.explore.view import View
from gas.job import StoredObject

PAGE_P95_MS = 300
PAGES = 200
GENE_VARIANTS = 50


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=1_000_000)
    parser.add_argument("--only", choices=list(PARTS), action="append", help="this part alone; may be repeated")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gas-bench-") as name:
        folder = Path(name)
        made = folder / "made.parquet"
        write_table(made, variants=asked.variants)
        source = File(made)
        tables = Tables(TableCache(source, folder / "cache", limit_bytes=1 << 40))
        began = time.perf_counter()
        with tables.open(source.stored) as table:
            first_s = time.perf_counter() - began
            total = table.total(View(columns=()))
            say("table", variants=total.variants, rows=total.rows, bytes=source.stored.size_bytes)
            say("first look, with its download", ms=round(1000 * first_s, 1))
            for part in asked.only or PARTS:
                PARTS[part](table, folder, asked.variants)


class File:
    """A file in S3's place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.stored = StoredObject(bucket="b", key="k", version_id="v", sha256=sha256, size_bytes=path.stat().st_size)

    def stream(self, _: StoredObject) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk


def say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


def views(variants: int) -> Iterator[str]:
    """What people look at: a gene, a stretch, the bad ones, the rare ones, in this order and that."""
    dice = random.Random(1)
    orders = ("", "&sort=-pos", "&sort=qual", "&sort=-GNOMAD_AF,gene", "&sort=id", "&sort=impact,-qual")
    filters: tuple[Callable[[], str], ...] = (
        lambda: f"where=gene:is:GENE{dice.randrange(variants // GENE_VARIANTS)}",
        lambda: f"where=chrom:is:chr{dice.randrange(1, 23)}&where=pos:gt:{dice.randrange(5_000_000)}",
        lambda: "where=impact:in:HIGH,MODERATE",
        lambda: f"where=impact:is:MODIFIER&where=qual:gt:{dice.randrange(1000)}",
        lambda: f"where=GNOMAD_AF:lt:{dice.random():.4f}",
        lambda: "where=CLINVAR_CLNSIG:has:Pathogenic",
        lambda: f"where=consequence:has:missense_variant&where=carriers:ge:{dice.randrange(100)}",
        lambda: f"match=any&where=impact:is:HIGH&where=id:contains:{dice.randrange(1000)}",
        lambda: f"where=known:is:false&where=pos:gt:{dice.randrange(5_000_000)}",
        lambda: f"where=impact:is:HIGH&where.1=qual:gt:{dice.randrange(1000)}&where.1=id:filled",
        lambda: "",
    )
    while True:
        yield dice.choice(filters)() + dice.choice(orders)


def pages(table: Table, _: Path, variants: int) -> None:
    """A page and its count, each view seen for the first time; and the next pages, whose count is known."""
    first_ms: list[float] = []
    cpu_ms: list[float] = []
    next_ms: list[float] = []
    made = views(variants)
    for _turn in range(PAGES):
        query = next(made)
        began, began_cpu = time.perf_counter(), time.process_time()
        view = View.parse(parse_qsl(query), table.schema)
        page = table.page(view)
        table.total(view)
        first_ms.append(1000 * (time.perf_counter() - began))
        cpu_ms.append(1000 * (time.process_time() - began_cpu))
        if page.next_cursor:
            began = time.perf_counter()
            table.page(view.at(page.next_cursor, table.schema))
            table.total(view)
            next_ms.append(1000 * (time.perf_counter() - began))
    for what, times in (
        ("a filtered page, first seen, with its count", first_ms),
        ("the same in CPU time of all cores together, which other work on the machine does not lengthen", cpu_ms),
        ("the page after it", next_ms),
    ):
        p50, p95 = quantile(times, 50), quantile(times, 95)
        say(what, p50_ms=p50, p95_ms=p95, worst_ms=round(max(times)), target=PAGE_P95_MS)


def deep(table: Table, _: Path, variants: int) -> None:
    """A page far into the table: a cursor does not count the rows before it."""
    for query in ("", "sort=-pos", "sort=qual"):
        view = View.parse(parse_qsl(query), table.schema)
        value = {"": [], "sort=-pos": [1_000_000], "sort=qual": [500.0]}[query]
        far = view.at(view.cursor_after(seen=variants // 2, values=value, row=variants // 2), table.schema)
        times = [timed(lambda far=far: table.page(far)) for _turn in range(10)]
        say(f"a page in the middle, {query or 'in the order of the file'}", p50_ms=quantile(times, 50))


def suggestions(table: Table, _: Path, variants: int) -> None:
    """What the field for a filter's value asks for at each key."""
    for column, prefix in (("gene", ""), ("gene", "gene12"), ("consequence", "m"), ("CLINVAR_CLNSIG", "")):
        times = [timed(lambda column=column, prefix=prefix: table.suggest(column, prefix)) for _turn in range(10)]
        say(f"suggestions for {column} {prefix!r}", p50_ms=quantile(times, 50), worst_ms=round(max(times)))


def files(table: Table, folder: Path, variants: int) -> None:
    """All rows, or as many as a sheet holds, in each format; memory is that of the process at its most so far."""
    for form, query in (
        (Format.TSV, ""),
        (Format.JSONL, ""),
        (Format.PARQUET, ""),
        (Format.TSV, "sort=-qual"),
        (Format.XLSX, "where=most_severe:is:true"),
    ):
        view = View.parse(parse_qsl(query), table.schema)
        rows = table.total(view).rows
        began = time.perf_counter()
        size_bytes = first_s = 0.0
        for chunk in export.chunks(table, view, form, scratch=folder):
            first_s = first_s or time.perf_counter() - began
            size_bytes += len(chunk)
        seconds = time.perf_counter() - began
        say(
            f"{form} {query}".strip(),
            rows_per_s=round(rows / seconds),
            seconds=round(seconds, 2),
            first_byte_ms=round(1000 * first_s),
            bytes=int(size_bytes),
            memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        )


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def quantile(times: list[float], percent: int) -> float:
    return round(statistics.quantiles(times, n=100)[percent - 1], 1)


def write_table(path: Path, *, variants: int) -> None:
    """A made-up result, the same each time."""
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute(
            f"COPY ({_ROWS.format(variants=variants)}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, "
            "ROW_GROUP_SIZE 50000)"
        )


_ROWS = """
WITH variant AS (
  SELECT i AS rec, 'chr' || (1 + (i * 22) // ({variants} + 1)) AS chrom,
    CAST(((i * 22) % ({variants} + 1)) * 5 + 1 AS INTEGER) AS pos,
    CASE WHEN hash(i, 1) % 100 < 60 THEN 'rs' || (hash(i, 2) % 900000000) END AS id,
    ['A', 'C', 'G', 'T'][CAST(1 + hash(i, 3) % 4 AS BIGINT)] AS ref,
    ['AT', 'G', 'T', 'C'][CAST(1 + hash(i, 4) % 4 AS BIGINT)] AS alt,
    round((hash(i, 5) % 100000) / 100.0, 2) AS qual,
    CASE WHEN hash(i, 6) % 10 < 9 THEN 'PASS' ELSE 'LowQual' END AS filter,
    i // 50 AS g, 1 + hash(i, 7) % 10 // 7 * 2 AS entries
  FROM range(1, {variants} + 1) made(i)
), entry AS (
  SELECT *, unnest(range(CAST(entries AS BIGINT))) AS k, hash(rec, k, 8) % 100 AS fate FROM variant
)
SELECT rec, chrom, pos, id, ref, alt, qual, filter,
  CASE fate WHEN 0 THEN 'stop_gained' WHEN 1 THEN 'frameshift_variant' WHEN 2 THEN 'missense_variant'
    WHEN 3 THEN 'missense_variant&splice_region_variant' WHEN 4 THEN 'synonymous_variant'
    WHEN 5 THEN '3_prime_UTR_variant' ELSE 'intron_variant' END AS consequence,
  CASE WHEN fate < 2 THEN 'HIGH' WHEN fate < 4 THEN 'MODERATE' WHEN fate < 5 THEN 'LOW' ELSE 'MODIFIER' END AS impact,
  'GENE' || g AS gene, CASE WHEN fate < 6 THEN 'ENST' || (g * 10 + k) END AS transcript,
  'protein_coding' AS biotype, CASE WHEN g % 2 = 0 THEN '+' ELSE '-' END AS strand,
  CASE WHEN fate < 5 THEN 'N' || (hash(rec, 9) % 900) || 'Y' END AS protein_change,
  CASE WHEN fate < 5 THEN (hash(rec, 9) % 900) || 'N>' || (hash(rec, 9) % 900) || 'Y' END AS amino_acid_change,
  CASE WHEN fate < 5 THEN pos || ref || '>' || alt END AS dna_change,
  false AS after_stop, k = 0 AS most_severe, CAST(hash(rec, 10) % 100 AS INTEGER) AS carriers,
  CASE WHEN hash(rec, 11) % 50 = 0 THEN
    ['Benign', 'Pathogenic', 'Likely_benign', 'Uncertain'][CAST(1 + hash(rec, 12) % 4 AS BIGINT)] END AS CLINVAR_CLNSIG,
  CASE WHEN hash(rec, 13) % 100 < 40 THEN (hash(rec, 14) % 1000000) / 1e6 END AS GNOMAD_AF
FROM entry
"""

PARTS: dict[str, Callable[[Table, Path, int], None]] = {
    "pages": pages,
    "deep": deep,
    "suggestions": suggestions,
    "files": files,
}


if __name__ == "__main__":
    main()
