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
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gas.annotation import count_log, haplotypes, parquet
from gas.annotation.consequences import CONSEQUENCES, SEVERITY, Consequence, Impact, most_severe
from gas.references import Reference

if TYPE_CHECKING:
    import duckdb

_MEMORY_LIMIT = "256MB"
_SLAB = 16 << 20  # bytes of the text form that become a table at once; a chunk of a genome is smaller
#: Joins stay as they are written: the rows of the left side keep their order. And no column is declared free of nulls
#: because this piece of the genome has none in it: all pieces have the same columns.
_NO_OPTIMIZERS = "join_order,build_side_probe_side,statistics_propagation"
_ROW_GROUP = 50_000  # rows; bounds what the Parquet writer holds
_LONGEST_LINE = 24_000_000  # bytes of one record's line in the table's text form
_DICTIONARY = 2_000  # values of a column, in a row group: more are written as they are, most occur once
_BLOCK = 1 << 18
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
    :param whole: whether this is the only piece; its table is the same either way.
    """
    text = work_dir / f"{table.name}.tsv"
    slabs: list[Path] = []
    try:
        columns = _query(chunk, text, source_columns=source_columns)
        unresolved = haplotypes.resolve(text, columns=list(columns)) if _make_utf8(text) else 0
        counts = Counts(unresolved=unresolved)
        for number, lines in enumerate(_slabs(text)):
            slabs.append(work_dir / f"{table.name}.{number}")
            with _database(work_dir) as database:
                counts.add(_tabulate(database, lines, columns, slabs[-1]))
        _join(slabs, table)
    finally:
        for path in (text, *slabs):
            path.unlink(missing_ok=True)
    return ChunkTable(path=table, counts=counts)


def merge(
    parts: Sequence[ChunkTable], *, run: Run, table: Path, log: Path, summary: Path, work_dir: Path
) -> dict[str, Any]:
    """Join the tables of all pieces, in their order, and write the log and the summary.

    :return: the summary, as it is written.
    """
    counts = Counts()
    for part in parts:
        counts.add(part.counts)
    if parts:
        _join([part.path for part in parts], table)
    else:
        _empty_table(table, run.reference, work_dir=work_dir)
    said = _summary(run, counts)
    summary.write_text(json.dumps(said, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    log.write_text(count_log.render(said), encoding="utf-8")
    return said


def _join(parts: Sequence[Path], table: Path) -> None:
    """Make one table of several, in their order."""
    if len(parts) == 1:
        parts[0].replace(table)
    else:
        parquet.join(parts, table)


def _empty_table(table: Path, reference: Reference, *, work_dir: Path) -> None:
    """A table with all columns and no row."""
    text = work_dir / f"{table.name}.tsv"
    text.touch()
    columns = _columns(dict.fromkeys(reference.source_columns, "VARCHAR"), samples=False)
    with _database(work_dir) as database:
        _tabulate(database, text, columns, table)
    text.unlink()


# --- from BCF to Parquet ----------------------------------------------------------------------------------------------

_FIXED = {
    "chrom": "VARCHAR",
    "pos": "INTEGER",
    "id": "VARCHAR",
    "ref": "VARCHAR",
    "alt": "VARCHAR",
    "qual": "DOUBLE",
    "filter": "VARCHAR",
    "bcsq": "VARCHAR",
    "rec": "BIGINT",
    "carriers": "INTEGER",
}
_FORMAT = "%CHROM\\t%POS\\t%ID\\t%REF\\t%ALT\\t%QUAL\\t%FILTER\\t%INFO/BCSQ\\t%INFO/GAS_REC\\t"
_WORST = len(SEVERITY)  # the rank of a word that csq did not have yet

# A changed residue is one letter on either side of the ">", an unchanged one has no ">".
_PROTEIN_CHANGE = r"""
    CASE WHEN change IS NULL THEN NULL
         WHEN contains(word, 'frameshift')
          AND regexp_extract(change, '^\d+([A-Z*])', 1) <> regexp_extract(change, '>\d+([A-Z*])', 1)
         THEN regexp_replace(change, '^(\d+)([A-Z*]).*$', '\2\1fs')
         WHEN contains(change, '>') THEN regexp_replace(change, '^(\d+)([A-Z*])>\d+([A-Z*])$', '\2\1\3')
         ELSE regexp_replace(change, '^(\d+)([A-Z*])$', '\2\1=') END"""
_FIELDS = ("gene", "transcript", "biotype", "strand", "change", "dna_change")  # of an entry of BCSQ, after its word
_ENUMS = ("gene", "biotype")  # few different values: an ENUM is written much faster than a text, and reads the same

# Each distinct BCSQ of a slab is taken apart once, for most variants say what others say too: half of a genome's lie in
# introns. Its entries are numbered on through the slab, so a variant needs only the numbers of its own.
# S608 in what follows: the names of columns are checked by _query, everything else is written here.
_SAID = """
CREATE TEMP TABLE said AS
  SELECT row_number() OVER () AS said, bcsq, count(*) AS variants FROM variant GROUP BY bcsq
"""
_PART = f"""
CREATE TEMP TABLE part AS
  SELECT row_number() OVER () AS number, said, e[1] AS word,
    {", ".join(f"nullif(e[{place}], '') AS {name}" for place, name in enumerate(_FIELDS, start=2))}
  FROM (SELECT said, string_split(unnest(coalesce(string_split(bcsq, ','), [NULL])), '|') AS e FROM said)
"""  # noqa: S608
_MEANING = """
CREATE TEMP TABLE meaning AS
  SELECT unnest($words::VARCHAR[]) AS word, unnest($terms::VARCHAR[])::consequence AS consequence,
    unnest($impacts::VARCHAR[])::impact AS impact, unnest($ranks::BIGINT[]) AS rank
"""
_ENTRY = f"""
CREATE TEMP TABLE entry AS
  SELECT number, said, coalesce(rank, 0) AS rank, consequence, impact, gene::gene AS gene, transcript,
    biotype::biotype AS biotype, strand, {_PROTEIN_CHANGE} AS protein_change, change AS amino_acid_change, dna_change,
    starts_with(word, '*') AS after_stop
  FROM part LEFT JOIN meaning USING (word)
"""  # noqa: S608
#: Where the entries of each BCSQ are, and which is the worst: the first of the best rank.
_PLACE = """
CREATE TEMP TABLE place AS
  SELECT said, min(number) AS first, max(number) AS last, min(rank << 32 | number) & 4294967295 AS worst
  FROM entry GROUP BY said
"""
_PARQUET = (
    f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT {_DICTIONARY}, "
    f"ROW_GROUP_SIZE {_ROW_GROUP}"
)


def _tabulate(database: duckdb.DuckDBPyConnection, text: Path, columns: Mapping[str, str], table: Path) -> Counts:
    """Write the Parquet table of one slab's text form, and count it."""
    sources = [name for name in columns if name not in _FIXED]
    database.execute(f"CREATE TEMP TABLE variant AS {_read_text(text, columns)}")
    database.execute(_SAID)
    database.execute(_PART)
    _explain_words(database)
    for name in _ENUMS:
        values = f"SELECT DISTINCT {name} FROM part WHERE {name} IS NOT NULL"  # noqa: S608
        database.execute(f"CREATE TEMP TYPE {name} AS ENUM ({values})")
    database.execute(_ENTRY)
    database.execute(_PLACE)
    database.execute(
        f"""
        COPY (
          SELECT rec, chrom, pos, id, ref, alt, qual, filter, consequence, impact, gene, transcript, biotype, strand,
            protein_change, amino_acid_change, dna_change, after_stop, v.number = worst AS most_severe, carriers
            {"".join(f', "{name}"' for name in sources)}
          FROM (
            SELECT variant.*, worst, unnest(range(first, last + 1)) AS number
            FROM variant JOIN (FROM said JOIN place USING (said)) AS own ON variant.bcsq IS NOT DISTINCT FROM own.bcsq
          ) AS v JOIN entry ON v.number = entry.number
        ) TO $table ({_PARQUET})
        """,  # noqa: S608
        {"table": str(table)},
    )
    return _count(database, table, source_columns=sources)


def _explain_words(database: duckdb.DuckDBPyConnection) -> None:
    """Make the table of what the first words of all entries mean: Sequence Ontology terms, impact, rank."""
    found = database.execute("SELECT DISTINCT word FROM part WHERE word IS NOT NULL").fetchall()
    words = sorted(word for (word,) in found)
    terms, impacts, ranks = [], [], []
    for word in words:
        known = [CONSEQUENCES.get(name, Consequence(name, Impact.MODIFIER)) for name in word.lstrip("*").split("&")]
        worst = min(known, key=lambda consequence: SEVERITY.get(consequence.term, _WORST))
        terms.append("&".join(consequence.term for consequence in known))
        impacts.append(worst.impact.value)
        ranks.append(SEVERITY.get(worst.term, _WORST))
    for name, values in (("consequence", sorted(set(terms))), ("impact", [impact.value for impact in Impact])):
        database.execute(f"CREATE TEMP TYPE {name} AS ENUM (SELECT unnest($values::VARCHAR[]))", {"values": values})
    database.execute(_MEANING, {"words": words, "terms": terms, "impacts": impacts, "ranks": ranks})


def _slabs(text: Path) -> Iterator[Path]:
    """The text in files of bounded size, each gone when the next one is asked for; itself when it is short."""
    if text.stat().st_size <= _SLAB:
        yield text
        return
    slab = text.with_suffix(".slab")
    try:
        with text.open("rb") as whole:
            while lines := whole.readlines(_SLAB):
                slab.write_bytes(b"".join(lines))
                yield slab
    finally:
        slab.unlink(missing_ok=True)


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
    """A database that keeps to its caller's thread and little memory, and never looks for extensions."""
    import duckdb

    return duckdb.connect(
        config={
            "threads": 1,
            "async_threads": 0,
            "memory_limit": _MEMORY_LIMIT,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "disabled_optimizers": _NO_OPTIMIZERS,
            "enable_caching_operators": False,  # joins would hold a few rows back until more come, out of order
        }
    )


def _columns(source_types: Mapping[str, str], *, samples: bool) -> dict[str, str]:
    """The columns of the text form, with their types; those of the sources are the ones they get in the table."""
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
        with text.open("rb", buffering=0) as raw:
            while block := raw.read(_BLOCK):
                at = at or b"@" in block
                if not block.isascii() or decoder.getstate()[0]:
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
    """The SQL that reads the text form; a source's value that does not fit its type becomes null."""
    types = {name: _FIXED.get(name, "VARCHAR") for name in columns}
    path = str(text).replace("'", "''")
    form = "delim='\t', header=false, auto_detect=false, quote='', escape='', nullstr='.'"
    qual = "CASE WHEN isfinite(qual) THEN qual END AS qual"
    carriers = "" if "carriers" in columns else ", CAST(NULL AS INTEGER) AS carriers"
    cast = [
        f'TRY_CAST("{name}" AS {kind}) AS "{name}"'
        for name, kind in columns.items()
        if name not in _FIXED and kind != "VARCHAR"
    ]
    return (
        f"SELECT * REPLACE ({', '.join([qual, *cast])}){carriers} "  # noqa: S608 - the path is ours, its quotes doubled
        f"FROM read_csv('{path}', {form}, max_line_size={_LONGEST_LINE}, columns={types!r})"
    )


# --- counting ---------------------------------------------------------------------------------------------------------

_KIND = """
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
    """Count the rows and variants of one slab; ``table`` is what was written of it."""
    counts = Counts()
    for terms, impact, rows, worst in database.execute(
        """
        SELECT consequence, impact, sum(variants), sum(variants) FILTER (number = worst)
        FROM entry JOIN place USING (said) JOIN said USING (said) GROUP BY ALL
    """
    ).fetchall():
        counts.rows += rows
        counts.variants += worst or 0
        if terms is None:
            continue
        counts.consequences.update(dict.fromkeys(terms.split("&"), rows))
        if worst:
            counts.annotated += worst
            counts.impacts[impact] += worst
            counts.most_severe[most_severe(terms)] += worst
    sources = [f'"{column}"' for column in source_columns]
    hit = " OR ".join(f"{column} IS NOT NULL" for column in sources) or "false"
    filled = "".join(f", count({column}) AS {column}" for column in sources)
    # S608 in what follows: the sources' columns are checked by _query, everything else is written here.
    kinds = database.execute(
        f"""
        SELECT chrom, {_KIND} AS kind,
          CASE WHEN kind IN ('insertion', 'deletion')
               THEN greatest(least(length(alt) - length(ref), {_LONGEST_INDEL + 1}), -{_LONGEST_INDEL + 1}) END AS size,
          CASE WHEN kind = 'SNV' THEN upper(ref || alt) END AS change, known,
          {", ".join(f"sum({count})" for count in ("variants", *sources))}
        FROM (
          SELECT chrom, ref, alt, id IS NOT NULL OR {hit} AS known, count(*) AS variants{filled}
          FROM variant GROUP BY ALL
        ) GROUP BY ALL
    """  # noqa: S608
    ).fetchall()
    for chrom, kind, size, change, known, variants, *found in sorted(kinds, key=itemgetter(0, 1)):
        counts.contigs[chrom] += variants
        counts.kinds[kind] += variants
        if size is not None:
            counts.indel_sizes[size] += variants
        if change in _TRANSITIONS:
            counts.transitions += variants
        elif change is not None and _BASES.issuperset(change):
            counts.transversions += variants
        counts.known += variants if known else 0
        counts.sources.update(dict(zip(source_columns, found, strict=True)))
    for gene, impact, variants in database.execute(
        """
        SELECT gene, worst, sum(variants) FROM (
          SELECT said, gene, min(impact) AS worst FROM entry WHERE gene IS NOT NULL GROUP BY ALL
        ) JOIN said USING (said) GROUP BY ALL
    """
    ).fetchall():
        counts.genes[gene] += variants
        counts.genes_by_impact.setdefault(gene, Counter())[impact] += variants
    first = database.execute(f"FROM read_parquet(?) WHERE consequence IS NOT NULL LIMIT {_FIRST_ROWS}", [str(table)])
    names = [column[0] for column in first.description or ()]
    counts.first_rows = [dict(zip(names, row, strict=True)) for row in first.fetchall()]
    return counts


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
