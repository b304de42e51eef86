"""What a run found: the table of annotated variants, and the counts of it.

The engine calls :func:`chunk_table` for each piece of the genome, in the child that annotated it, and :func:`merge`
once at the end. The table is one Parquet file with a row for each consequence of each variant (one allele is one
variant); a variant without any has one row too:

======================= ========= ==================================================================================
``rec``                 BIGINT    the number of the record in the input, from 1; the alleles of one record share it
``chrom``, ``pos``      VARCHAR,  as in the result: the input's spelling of the contig, the 1-based position after
                        INTEGER   left-alignment
``id``, ``ref``,        VARCHAR   ``id`` is filled from the sources where the input has none
``alt``, ``filter``
``qual``                DOUBLE
``consequence``         VARCHAR   Sequence Ontology term, or several joined by ``&``
``impact``              VARCHAR   HIGH, MODERATE, LOW or MODIFIER: of the worst of those terms
``gene``,               VARCHAR   ``transcript`` is null where csq names the gene alone (introns, non-coding genes)
``transcript``,
``biotype``, ``strand``
``protein_change``      VARCHAR   a changed residue as ``N501Y``, ``Q27*``, ``F924=`` (unchanged) or ``Y345fs`` (the
                                  frame is lost there), numbered as in the reference's protein; other changes as
                                  in ``amino_acid_change``
``amino_acid_change``,  VARCHAR   as csq writes them: ``501N>498Y`` (the second number counts in the haplotype's own
``dna_change``                    protein), ``23063A>T``; changes that act together on one haplotype are joined by ``+``
``after_stop``          BOOLEAN   whether a stop earlier in the transcript makes the change moot
``most_severe``         BOOLEAN   true in exactly one row of each variant
``carriers``            INTEGER   samples that carry the allele; null without genotypes
``CLINVAR_CLNSIG``, ... as the    one column for each INFO field of a source
                        source
======================= ========= ==================================================================================

Where csq refers to another record (``@POS``: the consequence of two changes together stands at one of them), the
row holds the consequence itself.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gas import memory_database
from gas.annotation import count_log, haplotypes
from gas.annotation.consequences import CONSEQUENCES, SEVERITY, Impact, most_severe
from gas.comparison import write_digest
from gas.references import Reference

if TYPE_CHECKING:
    import duckdb

_MEMORY_LIMIT = "256MB"
_ROW_GROUP = 50_000  # rows; bounds what the Parquet writer holds
_LONGEST_LINE = 24_000_000  # bytes of one record's line in the table's text form
_BLOCK = 1 << 22
_FIRST_ROWS = 10
_TOP_GENES = 50
_LONGEST_INDEL = 50  # bases; longer ones are counted together
_TYPES = {"Integer": "BIGINT", "Float": "DOUBLE", "Flag": "BOOLEAN"}
_COLUMN = re.compile(r"^[A-Za-z_][0-9A-Za-z_.]*$")


@dataclass(kw_only=True)
class Counts:
    """Counts of variants (one allele each), unless said otherwise. They add up over the pieces of a genome."""

    variants: int = 0
    rows: int = 0
    annotated: int = 0
    """With at least one consequence."""
    unresolved: int = 0
    """References to another record (``@POS``) that led nowhere; their rows have no consequence."""
    consequences: Counter[str] = field(default_factory=Counter)
    """Rows, by each term they hold."""
    most_severe: Counter[str] = field(default_factory=Counter)
    """By the worst term."""
    impacts: Counter[str] = field(default_factory=Counter)
    """By the worst impact."""
    genes: Counter[str] = field(default_factory=Counter)
    genes_by_impact: dict[str, Counter[str]] = field(default_factory=dict)
    """For each gene, its variants by their worst impact there."""
    contigs: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    """By INFO field of a source that is filled, and ``""``: by any."""
    kinds: Counter[str] = field(default_factory=Counter)
    indel_sizes: Counter[int] = field(default_factory=Counter)
    """By bases gained (positive) or lost; 51 and -51 stand for all that are longer."""
    transitions: int = 0
    transversions: int = 0
    known: int = 0
    """With an ID, or found in a source."""
    first_rows: list[dict[str, Any]] = field(default_factory=list)
    """The first rows with a consequence."""

    def add(self, other: Counts) -> None:
        """Add the counts of the piece that comes next."""
        for name in ("variants", "rows", "annotated", "unresolved", "transitions", "transversions", "known"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("consequences", "most_severe", "impacts", "genes", "contigs", "sources", "kinds", "indel_sizes"):
            getattr(self, name).update(getattr(other, name))
        for gene, impacts in other.genes_by_impact.items():
            self.genes_by_impact.setdefault(gene, Counter()).update(impacts)
        self.first_rows = (self.first_rows + other.first_rows)[:_FIRST_ROWS]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTable:
    """The table of one piece of the genome, and what is in it."""

    path: Path
    counts: Counts
    whole: bool
    """Whether it is the whole result, and written as such; else it is compressed lightly, to be read once more."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the report says of the run itself."""

    file_name: str
    """The name the person gave the input: shown, never opened."""
    reference: Reference
    engine_version: str
    bcftools_version: str
    options: Mapping[str, Any]
    mode: str
    """``haplotype-aware`` or ``local``."""
    phase: str
    """``known``, ``unknown``, or ``none`` where the file has no genotypes."""
    samples: int
    records: int
    """Records of the input."""
    skipped: Mapping[str, int]
    """Records kept but not annotated, by reason."""
    notes: tuple[str, ...]
    timings: Mapping[str, float]
    """Seconds, by step."""


_prepared: duckdb.DuckDBPyConnection | None = None
"""An idle database in memory, made by :func:`preload`."""


def preload() -> None:
    """Import what the report needs, and open an empty database, so that children forked afterwards have both.

    A database has no thread beside its caller's here, so a forked child may go on with it: that takes 2 ms, where
    opening one takes 20.
    """
    global _prepared
    import pysam.bcftools  # noqa: F401 - the imports take 0.2 s, which a mere check shall not pay

    if _prepared is None:
        _prepared = _open_database()


def chunk_table(
    chunk: Path, table: Path, *, source_columns: Sequence[str], work_dir: Path, whole: bool = False
) -> ChunkTable:
    """Write the Parquet table of one annotated piece, and count it.

    :param chunk: an annotated VCF or BCF: sorted, one ALT a record, with ``INFO/BCSQ`` and ``INFO/GAS_REC``.
    :param table: where the Parquet file goes.
    :param source_columns: INFO fields that become columns; one that the header lacks is null throughout.
    :param work_dir: a folder for intermediate files, which are gone afterwards.
    :param whole: this is the only piece, so its table is the result's.
    """
    with _written(chunk, table, source_columns=source_columns, work_dir=work_dir, whole=whole) as (
        database,
        unresolved,
    ):
        counts = _count(database, table, source_columns=source_columns)
        counts.unresolved = unresolved
    return ChunkTable(path=table, counts=counts, whole=whole)


def write_table(result: Path, table: Path, *, source_columns: Sequence[str], work_dir: Path) -> None:
    """Write the table of a whole result again, and count nothing, which takes several times the memory."""
    with _written(result, table, source_columns=source_columns, work_dir=work_dir, whole=True):
        pass


def merge(
    parts: Sequence[ChunkTable],
    *,
    run: Run,
    table: Path,
    log: Path,
    summary: Path,
    work_dir: Path,
    digest: Path | None = None,
) -> dict[str, Any]:
    """Join the tables of all pieces, in their order, and write the log and the summary.

    :param digest: where the table's digest goes (see :mod:`gas.comparison`); none is made unless given.

    :return: the summary, as it is written.
    """
    counts = Counts()
    for part in parts:
        counts.add(part.counts)
    if len(parts) == 1 and parts[0].whole:
        parts[0].path.replace(table)
    elif parts:
        with _database(work_dir) as database:
            database.execute(_MERGE, [[str(part.path) for part in parts], str(table)])
    else:
        _empty_table(table, run.reference, work_dir=work_dir)
    if digest is not None:
        with _database(work_dir) as database:
            write_digest(table, digest, database=database)
    said = _summary(run, counts)
    summary.write_text(json.dumps(said, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    log.write_text(count_log.render(said), encoding="utf-8")
    return said


def _empty_table(table: Path, reference: Reference, *, work_dir: Path) -> None:
    """A table with all columns and no row."""
    text = work_dir / f"{table.name}.tsv"
    text.touch()
    columns = _columns(dict.fromkeys(reference.source_columns, "VARCHAR"), samples=False)
    with _database(work_dir) as database:
        database.execute(_table_query(text, columns, compression="zstd"), [str(table)])
    text.unlink()


# --- from BCF to Parquet ----------------------------------------------------------------------------------------------


@contextmanager
def _written(
    chunk: Path, table: Path, *, source_columns: Sequence[str], work_dir: Path, whole: bool
) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
    """Write the table; a database to look at it with, and how many references to other records led nowhere."""
    text = work_dir / f"{table.name}.tsv"
    try:
        columns = _query(chunk, text, source_columns=source_columns)
        unresolved = haplotypes.resolve(text, columns=list(columns)) if _make_utf8(text) else 0
        with _database(work_dir) as database:
            database.execute(_table_query(text, columns, compression="zstd" if whole else "lz4"), [str(table)])
            text.unlink()
            yield database, unresolved
    finally:
        text.unlink(missing_ok=True)


_FIXED = {
    "chrom": "VARCHAR",
    "pos": "INTEGER",
    "id": "VARCHAR",
    "ref": "VARCHAR",
    "alt": "VARCHAR",
    "qual": "VARCHAR",
    "filter": "VARCHAR",
    "bcsq": "VARCHAR",
    "rec": "BIGINT",
    "carriers": "INTEGER",
}
_FORMAT = "%CHROM\\t%POS\\t%ID\\t%REF\\t%ALT\\t%QUAL\\t%FILTER\\t%INFO/BCSQ\\t%INFO/GAS_REC\\t"


def _sql_map(values: Mapping[str, object]) -> str:
    return f"MAP {{{', '.join(f'{key!r}: {value!r}' for key, value in values.items())}}}"


_WORST = len(SEVERITY)
_TERMS = _sql_map({word: consequence.term for word, consequence in CONSEQUENCES.items()})
_RANKS = _sql_map({word: SEVERITY[consequence.term] for word, consequence in CONSEQUENCES.items()})
_MERGE = f"COPY (FROM read_parquet(?)) TO ? (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
#: The impact of each rank; a word that csq did not have yet has the rank after the last.
_IMPACTS = [consequence.impact.value for consequence in CONSEQUENCES.values()] + [Impact.MODIFIER.value]


_PROTEIN_CHANGE = r"""
    CASE WHEN contains(e[1], 'frameshift')
          AND regexp_extract(e[6], '^\d+([A-Z*])', 1) <> regexp_extract(e[6], '>\d+([A-Z*])', 1)
         THEN regexp_replace(e[6], '^(\d+)([A-Z*]).*$', '\2\1fs') ELSE
    regexp_replace(
      regexp_replace(nullif(e[6], ''), '^(\d+)([A-Z*])>\d+([A-Z*])$', '\2\1\3'), '^(\d+)([A-Z*])$', '\2\1='
    ) END"""


# Everything happens within one row until the last step, so that nothing but the row at hand is held: BCSQ is split
# into entries, each entry ranked, the first entry of the best rank marked, and one row made of each entry.
def _table_query(text: Path, columns: Mapping[str, str], *, compression: str) -> str:
    # S608: the names of columns are checked by _query, everything else is written here.
    return f"""
COPY (
  WITH entries AS (
    SELECT *, coalesce(string_split(bcsq, ','), [NULL]) AS entry FROM {_read_text(text, columns)}
  ), ranked AS (
    SELECT *, list_transform(entry, lambda e: list_min(list_transform(
      string_split(ltrim(split_part(e, '|', 1), '*'), '&'),
      lambda word: coalesce(({_RANKS})[word], {_WORST})
    ))) AS rank FROM entries
  ), single AS (
    SELECT * EXCLUDE (entry, rank), string_split(unnest(entry), '|') AS e, unnest(rank) AS rank,
      unnest(list_transform(rank, lambda r, i: i = coalesce(list_position(rank, list_min(rank)), 1))) AS most_severe
    FROM ranked
  )
  SELECT rec, chrom, pos, id, ref, alt,
    CASE WHEN isfinite(TRY_CAST(qual AS DOUBLE)) THEN TRY_CAST(qual AS DOUBLE) END AS qual, filter,
    array_to_string(
      list_transform(string_split(ltrim(e[1], '*'), '&'), lambda word: coalesce(({_TERMS})[word], word)), '&'
    ) AS consequence,
    ({_IMPACTS})[rank + 1] AS impact,
    nullif(e[2], '') AS gene, nullif(e[3], '') AS transcript, nullif(e[4], '') AS biotype, nullif(e[5], '') AS strand,
    {_PROTEIN_CHANGE} AS protein_change, nullif(e[6], '') AS amino_acid_change, nullif(e[7], '') AS dna_change,
    starts_with(e[1], '*') AS after_stop, most_severe, carriers{_source_list(columns)}
  FROM single
) TO ? (FORMAT parquet, COMPRESSION {compression}, ROW_GROUP_SIZE {_ROW_GROUP})
"""  # noqa: S608 - see above


def _database(work_dir: Path) -> duckdb.DuckDBPyConnection:
    """A connection to a database in memory, which puts aside what exceeds its memory in ``work_dir``."""
    import duckdb

    connection = _prepared.cursor() if _prepared is not None else _open_database()
    try:
        connection.execute("SET temp_directory = ?", [str(work_dir)])
    except duckdb.Error:  # it has put something aside elsewhere, and cannot move any more
        connection = _open_database()
        connection.execute("SET temp_directory = ?", [str(work_dir)])
    return connection


def _open_database() -> duckdb.DuckDBPyConnection:
    """One that keeps to its caller's thread."""
    return memory_database.opened(memory_limit=_MEMORY_LIMIT, async_threads=0)


def _columns(source_types: Mapping[str, str], *, samples: bool) -> dict[str, str]:
    """The columns of the text form, with their types; those of the sources are text until the last step."""
    fixed = {name: kind for name, kind in _FIXED.items() if samples or name != "carriers"}
    return fixed | dict(source_types)


def _query(chunk: Path, text: Path, *, source_columns: Sequence[str]) -> dict[str, str]:
    """Write the piece as tab-separated text; its columns and the types they get in the table."""
    import pysam
    import pysam.bcftools

    for column in source_columns:
        if not _COLUMN.match(column):
            raise ValueError(f"{column!r} is no INFO field's name")
    verbosity = pysam.set_verbosity(0)  # htslib would complain that there is no index, which nobody needs here
    with pysam.VariantFile(str(chunk)) as vcf:
        info = vcf.header.info
        samples = len(vcf.header.samples) > 0
        types = {
            column: _TYPES.get(str(info[column].type), "VARCHAR")
            if column in info and info[column].number in (0, 1, "A")
            else "VARCHAR"
            for column in source_columns
        }
    pysam.set_verbosity(verbosity)
    wanted = [f"%INFO/{column}" for column in source_columns]
    if samples:
        wanted.insert(0, '%N_PASS(GT="alt")')
    line = (_FORMAT + "\\t".join(wanted)).removesuffix("\\t") + "\\n"
    pysam.bcftools.query("-u", "-f", line, "-o", str(text), str(chunk), catch_stdout=False)
    return _columns(types, samples=samples)


def _make_utf8(text: Path) -> bool:
    """See that the text is UTF-8, replacing what is not (old files hold Latin-1 names); whether it holds any ``@``."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = False
    try:
        with text.open("rb") as raw:
            while block := raw.read(_BLOCK):
                at = at or b"@" in block
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        mended = text.with_suffix(".utf8")
        with text.open(encoding="utf-8", errors="replace", newline="") as lines, mended.open("w", newline="") as out:
            while piece := lines.read(_BLOCK):
                at = at or "@" in piece
                out.write(piece)
        mended.replace(text)
    return at


def _read_text(text: Path, columns: Mapping[str, str]) -> str:
    """The SQL that reads the text form."""
    types = {name: _FIXED.get(name, "VARCHAR") for name in columns}
    carriers = "*" if "carriers" in columns else "*, CAST(NULL AS INTEGER) AS carriers"
    path = str(text).replace("'", "''")
    form = "delim='\t', header=false, auto_detect=false, quote='', escape='', nullstr='.'"
    # One line at a time fits; by itself DuckDB would take 16 times that for each file that is so long.
    sizes = f"max_line_size={_LONGEST_LINE}, buffer_size={_LONGEST_LINE}"
    read = f"read_csv('{path}', {form}, {sizes}, columns={types!r})"
    return f"(SELECT {carriers} FROM {read})"  # noqa: S608 - the path is ours and its quotes are doubled


def _source_list(columns: Mapping[str, str]) -> str:
    """The SQL that gives the sources' columns their types; a value that does not fit its type becomes null."""
    chosen = [f'TRY_CAST("{name}" AS {kind}) AS "{name}"' for name, kind in columns.items() if name not in _FIXED]
    return "".join(f", {column}" for column in chosen)


# --- counting ---------------------------------------------------------------------------------------------------------

#: What kind of change an allele is, in SQL over the table's ``ref`` and ``alt``.
KIND_SQL = """
CASE WHEN alt IS NULL THEN 'no alternate allele'
     WHEN alt = '*' THEN 'overlapping deletion'
     WHEN starts_with(alt, '<') THEN 'symbolic'
     WHEN contains(alt, '[') OR contains(alt, ']') OR starts_with(alt, '.') OR ends_with(alt, '.') THEN 'breakend'
     WHEN length(ref) = 1 AND length(alt) = 1 THEN 'SNV'
     WHEN length(ref) = length(alt) THEN 'MNV'
     WHEN length(ref) < length(alt) THEN 'insertion'
     ELSE 'deletion' END
"""
_TRANSITIONS = frozenset({"AG", "GA", "CT", "TC"})
_BASES = frozenset("ACGT")


def _count(database: duckdb.DuckDBPyConnection, table: Path, *, source_columns: Sequence[str]) -> Counts:
    """Count the rows and variants of one table."""
    counts = Counts()
    found = "read_parquet('" + str(table).replace("'", "''") + "')"
    database.execute(f"CREATE TEMP VIEW found AS FROM {found}")
    for terms, impact, rows, worst in database.execute(
        "SELECT consequence, impact, count(*), count(*) FILTER (most_severe) FROM found GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        counts.rows += rows
        counts.variants += worst
        if terms is None:
            continue
        counts.consequences.update(dict.fromkeys(terms.split("&"), rows))
        if worst:
            counts.annotated += worst
            counts.impacts[impact] += worst
            counts.most_severe[most_severe(terms)] += worst
    sources = [f'"{column}"' for column in source_columns]
    hit = " OR ".join(f"{column} IS NOT NULL" for column in sources) or "false"
    # S608 in what follows: the sources' columns are checked by _query, everything else is written here.
    for chrom, kind, size, change, known, any_source, variants in database.execute(
        f"""
        SELECT chrom, {KIND_SQL} AS kind,
          CASE WHEN kind IN ('insertion', 'deletion')
               THEN greatest(least(length(alt) - length(ref), {_LONGEST_INDEL + 1}), -{_LONGEST_INDEL + 1}) END AS size,
          CASE WHEN kind = 'SNV' THEN upper(ref || alt) END AS change, id IS NOT NULL AS known, {hit} AS hit, count(*)
        FROM found WHERE most_severe GROUP BY ALL ORDER BY ALL
    """  # noqa: S608
    ).fetchall():
        counts.contigs[chrom] += variants
        counts.kinds[kind] += variants
        if size is not None:
            counts.indel_sizes[size] += variants
        if change in _TRANSITIONS:
            counts.transitions += variants
        elif change is not None and _BASES.issuperset(change):
            counts.transversions += variants
        counts.known += variants if known or any_source else 0
    if sources:
        filled = ", ".join(f"count({column}) FILTER (most_severe)" for column in sources)
        row = database.execute(f"SELECT {filled} FROM found").fetchall()[0]  # noqa: S608
        counts.sources.update(dict(zip(source_columns, row, strict=True)))
    for gene, impact, variants in database.execute(
        f"""
        SELECT gene, ({_IMPACTS_BY_SEVERITY})[worst], count(*) FROM (
          SELECT gene, min(list_position({_IMPACTS_BY_SEVERITY}, impact)) AS worst
          FROM found WHERE gene IS NOT NULL GROUP BY gene, hash(chrom, pos, ref, alt, rec)
        ) GROUP BY ALL ORDER BY ALL
    """  # noqa: S608
    ).fetchall():
        counts.genes[gene] += variants
        counts.genes_by_impact.setdefault(gene, Counter())[impact] += variants
    rows = database.execute(f"FROM found WHERE consequence IS NOT NULL LIMIT {_FIRST_ROWS}")
    names = [column[0] for column in rows.description or ()]
    counts.first_rows = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return counts


_IMPACTS_BY_SEVERITY = [impact.value for impact in Impact]


# --- the summary ------------------------------------------------------------------------------------------------------


def _summary(run: Run, counts: Counts) -> dict[str, Any]:
    reference = run.reference
    notes = list(run.notes)
    if counts.unresolved:
        notes.append(f"{counts.unresolved:,} references to another record (@POS) led nowhere.")
    genes = sorted(
        counts.genes.items(),
        key=lambda item: (*(-counts.genes_by_impact[item[0]][impact] for impact in Impact), item[0]),
    )
    return {
        "file_name": run.file_name,
        "provenance": {
            "engine": "GAS",
            "engine_version": run.engine_version,
            "bcftools_version": run.bcftools_version,
            "reference": {
                "name": reference.name,
                "description": reference.description,
                "fasta_sha256": reference.fasta_sha256,
                "gff_sha256": reference.gff_sha256,
            },
            "sources": [
                {
                    "name": s.name,
                    "version": s.version,
                    "date": s.date,
                    "sha256": s.sha256,
                    "info_fields": list(s.info_fields),
                }
                for s in reference.sources
            ],
            "options": dict(run.options),
            "mode": run.mode,
            "phase": run.phase,
        },
        "counts": {
            "records": run.records,
            "variants": counts.variants,
            "annotated": counts.annotated,
            "unannotated": counts.variants - counts.annotated,
            "consequences": counts.rows - (counts.variants - counts.annotated),
            "known": counts.known,
            "novel": counts.variants - counts.known,
            "samples": run.samples,
            "genes": len(counts.genes),
            "by_impact": {impact.value: counts.impacts[impact] for impact in Impact},
            "skipped": dict(run.skipped),
        },
        "by_consequence": _by_severity(counts.most_severe),
        "by_consequence_all": _by_severity(counts.consequences),
        "by_impact": {impact.value: counts.impacts[impact] for impact in Impact},
        "by_gene": dict(genes[:_TOP_GENES]),
        "gene_impacts": {
            gene: {impact.value: counts.genes_by_impact[gene][impact] for impact in Impact}
            for gene, _ in genes[:_TOP_GENES]
        },
        "by_contig": dict(counts.contigs),
        "by_source": {
            source.name: {column: counts.sources[column] for column in source.columns.values()}
            for source in reference.sources
        },
        "by_kind": dict(counts.kinds.most_common()),
        "indel_sizes": {str(size): counts.indel_sizes[size] for size in sorted(counts.indel_sizes)},
        "transitions": counts.transitions,
        "transversions": counts.transversions,
        "ts_tv": round(counts.transitions / counts.transversions, 3) if counts.transversions else None,
        "notes": notes,
        "timings_s": {step: round(seconds, 3) for step, seconds in run.timings.items()},
        "first_rows": counts.first_rows,
    }


def _by_severity(counted: Mapping[str, int]) -> dict[str, int]:
    ordered: Iterable[str] = sorted(counted, key=lambda term: (SEVERITY.get(term, _WORST), term))
    return {term: counted[term] for term in ordered}
