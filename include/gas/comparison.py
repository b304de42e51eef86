"""What two annotations of the same variants differ in: found from their digests alone.

A digest is a small Parquet file that stays where people can read it while the result itself lies in the archive. It has
one row for each variant that says something: one that a source gives a clinical significance, or whose worst
consequence has more than MODIFIER impact. Of an intron's variant that no source knows, there is none.

====================== ======= ===================================================================================
``chrom``, ``pos``,    VARCHAR as in the result: the input's spelling of the contig, the 1-based position after
``ref``, ``alt``               left-alignment (INTEGER)
``consequence``        VARCHAR of the most severe consequence: Sequence Ontology terms joined by ``&``; so for
                               ``impact``, ``gene`` and ``protein_change``
``significance``       VARCHAR the clinical significance as the source has it (ClinVar's ``CLNSIG``), null without one
====================== ======= ===================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gas import memory_database
from gas.annotation.consequences import CONSEQUENCES

if TYPE_CHECKING:
    import duckdb

#: The INFO field of a source that holds a clinical significance, as ClinVar calls it.
SIGNIFICANCE_FIELD = "CLNSIG"
#: Variants that a comparison names; of more it says how many.
NAMED = 1000

_MEMORY_LIMIT = "256MB"
_KEY = "chrom, pos, ref, alt"


class Change(StrEnum):
    """What became of one property of a variant."""

    NEW = "new"
    LOST = "lost"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one of the two annotations says of a variant; ``None`` throughout where its digest has no such row."""

    significance: str | None
    consequence: str | None
    gene: str | None
    protein_change: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One variant of which the two annotations say different things."""

    chrom: str
    pos: int
    """1-based."""
    ref: str
    alt: str
    significance: Change | None
    """What became of its clinical significance."""
    consequence: Change | None
    """What became of its most severe consequence, where that has more than MODIFIER impact on one side at least."""
    before: Side
    after: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Variants by what became of them."""

    significance: Mapping[Change, int]
    consequence: Mapping[Change, int]

    @property
    def any(self) -> bool:
        """Whether there is any difference."""
        return any((*self.significance.values(), *self.consequence.values()))

    def form(self) -> dict[str, dict[str, int]]:
        """As JSON and a job's record have it."""
        return {
            name: {change.value: counted[change] for change in Change}
            for name, counted in (("significance", self.significance), ("consequence", self.consequence))
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that differs: counted, and the first of it named."""

    counts: Counts
    differences: Sequence[Difference]
    """What changed in significance first, and of that what is or was pathogenic; then by the severity of the
    consequence. At most as many as were asked for."""
    more: int
    """How many further variants differ."""

    def form(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "counts": self.counts.form(),
            "differences": [asdict(difference) for difference in self.differences],
            "more": self.more,
        }


def write_digest(table: Path, digest: Path, *, database: duckdb.DuckDBPyConnection | None = None) -> None:
    """Write the digest of a result's table (see :mod:`gas.annotation.report`).

    :param database: to do it with; one is opened unless given.
    """
    if database is None:
        with memory_database.opened(memory_limit=_MEMORY_LIMIT) as own:
            write_digest(table, digest, database=own)
        return
    described = database.execute("DESCRIBE FROM read_parquet(?)", [str(table)]).fetchall()
    known = [name for name, *_ in described if name == SIGNIFICANCE_FIELD or name.endswith(f"_{SIGNIFICANCE_FIELD}")]
    # Columns of several sources: the first that knows the variant is believed.
    significance = ", ".join(f'CAST("{name}" AS VARCHAR)' for name in known) or "CAST(NULL AS VARCHAR)"
    database.execute(
        f"""
        COPY (
          SELECT {_KEY}, consequence, impact, gene, protein_change, coalesce({significance}, NULL) AS significance
          FROM read_parquet(?)
          WHERE most_severe AND (impact <> 'MODIFIER' OR significance IS NOT NULL)
        ) TO ? (FORMAT parquet, COMPRESSION zstd)
        """,  # noqa: S608 - the columns are those of a file that GAS wrote, whose names it has checked
        [str(table), str(digest)],
    )


def compare(before: Path, after: Path, *, named: int = NAMED) -> Comparison:
    """Compare two digests of the same input.

    :param named: how many differences are named at most.
    """
    with memory_database.opened(memory_limit=_MEMORY_LIMIT) as database:
        database.execute(_DIFFER, [str(before), str(after)])
        counts = Counts(significance=_count(database, "significance"), consequence=_count(database, "consequence"))
        found = database.execute(f"SELECT * EXCLUDE (rank) FROM differ ORDER BY {_ORDER} LIMIT ?", [named]).fetchall()  # noqa: S608
        (total,) = database.execute("SELECT count(*) FROM differ").fetchall()[0]
    return Comparison(counts=counts, differences=[_difference(row) for row in found], more=total - len(found))


_RANKS = ", ".join(f"'{consequence.term}': {rank}" for rank, consequence in enumerate(CONSEQUENCES.values()))
#: How severe the worst of some joined terms is, 0 being the worst; behind all others where there is none.
_RANK = f"""
  coalesce(list_min(list_transform(string_split(consequence, '&'),
    lambda term: coalesce((MAP {{{_RANKS}}})[term], {len(CONSEQUENCES)}))), {len(CONSEQUENCES)})
"""
# Where one side has no row the other's MODIFIER consequence is no news: nobody knows whether it was there before.
_SIDE = f"""
  SELECT {_KEY}, any_value(significance) AS significance, any_value(consequence) AS consequence,
    any_value(gene) AS gene, any_value(protein_change) AS protein_change,
    any_value(CASE WHEN impact <> 'MODIFIER' THEN consequence || ' ' || coalesce(gene, '') END) AS told,
    min({_RANK}) AS rank
  FROM read_parquet(?) GROUP BY ALL
"""  # noqa: S608 - everything is written here


def _change(before: str, after: str) -> str:
    return (
        f"CASE WHEN {before} IS NOT DISTINCT FROM {after} THEN NULL WHEN {before} IS NULL THEN 'new' "
        f"WHEN {after} IS NULL THEN 'lost' ELSE 'changed' END"
    )


_DIFFER = f"""
CREATE TEMP TABLE differ AS
WITH b AS ({_SIDE}), a AS ({_SIDE})
SELECT {_KEY}, {_change("b.significance", "a.significance")} AS significance,
  {_change("b.told", "a.told")} AS consequence,
  b.significance AS before_significance, b.consequence AS before_consequence, b.gene AS before_gene,
  b.protein_change AS before_protein_change,
  a.significance AS after_significance, a.consequence AS after_consequence, a.gene AS after_gene,
  a.protein_change AS after_protein_change,
  least(b.rank, a.rank) AS rank  -- of null and a number least takes the number
FROM b FULL JOIN a USING ({_KEY})
WHERE b.significance IS DISTINCT FROM a.significance OR b.told IS DISTINCT FROM a.told
"""  # noqa: S608 - everything is written here
#: "Conflicting_classifications_of_pathogenicity" is not what people mean by pathogenic.
_PATHOGENIC = "regexp_matches(coalesce({column}, ''), '(?i)pathogenic($|[^a-z])')"
_ORDER = f"""
significance IS NULL,
NOT ({_PATHOGENIC.format(column="after_significance")} OR {_PATHOGENIC.format(column="before_significance")}),
list_position(['new', 'lost', 'changed'], significance), rank, chrom, pos, ref, alt
"""


def _count(database: duckdb.DuckDBPyConnection, column: str) -> dict[Change, int]:
    found = dict(database.execute(f"SELECT {column}, count(*) FROM differ GROUP BY 1").fetchall())  # noqa: S608
    return {change: found.get(change.value, 0) for change in Change}


def _difference(row: tuple[Any, ...]) -> Difference:
    chrom, pos, ref, alt, significance, consequence, *sides = row
    return Difference(
        chrom=chrom,
        pos=pos,
        ref=ref,
        alt=alt,
        significance=Change(significance) if significance else None,
        consequence=Change(consequence) if consequence else None,
        before=_side(sides[:4]),
        after=_side(sides[4:]),
    )


def _side(values: Sequence[str | None]) -> Side:
    significance, consequence, gene, protein_change = values
    return Side(significance=significance, consequence=consequence, gene=gene, protein_change=protein_change)
