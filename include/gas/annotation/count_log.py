"""The count log: what a run found, as text for a person. It is written from the summary, and says nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gas.annotation.consequences import CONSEQUENCES

_IMPACT = {consequence.term: consequence.impact.value for consequence in CONSEQUENCES.values()}
_WIDTH = 44


def render(summary: Mapping[str, Any]) -> str:
    """The log of a summary, as :func:`gas.annotation.report.merge` makes it."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: Mapping[str, Any]) -> Iterator[str]:
    provenance, counts = summary["provenance"], summary["counts"]
    reference = provenance["reference"]
    yield f"Annotation of {summary['file_name']}"
    yield ""
    versions = f"{provenance['engine_version']}, bcftools {provenance['bcftools_version']}"
    yield f"Engine       {provenance['engine']} {versions}"
    yield f"Reference    {' - '.join(filter(None, (reference['name'], reference['description'])))}"
    yield f"             FASTA SHA-256 {reference['fasta_sha256']}"
    yield f"             GFF3  SHA-256 {reference['gff_sha256']}"
    for source in provenance["sources"]:
        yield f"Source       {source['name']}: {source['version'] or 'release not named in the file'}"
        yield f"             SHA-256 {source['sha256']}"
    phase = {"known": "phase known", "unknown": "phase unknown", "none": "no genotypes"}[provenance["phase"]]
    yield f"Consequences {provenance['mode']} ({phase})"
    for option, value in provenance["options"].items():
        yield f"Option       {option}: {value}"

    yield from _section("Variants")
    yield _count("Records in the file", counts["records"])
    yield _count("Variants (alternate alleles)", counts["variants"])
    yield _count("  with a consequence", counts["annotated"])
    yield _count("  without", counts["unannotated"])
    yield _count("  known (an ID, or found in a source)", counts["known"])
    yield _count("  novel", counts["novel"])
    yield _count("Samples", counts["samples"])
    for kind, variants in summary["by_kind"].items():
        yield _count(f"{kind[0].upper()}{kind[1:]}", variants)
    if summary["ts_tv"] is not None:
        yield f"{'Transitions / transversions':<{_WIDTH}}{summary['ts_tv']:>12.3f}"

    yield from _section("Variants by their most severe consequence")
    for term, variants in summary["by_consequence"].items():
        yield _count(f"{term:<34}{_IMPACT.get(term, 'MODIFIER')}", variants)
    yield from _section("Variants by their highest impact")
    for impact, variants in summary["by_impact"].items():
        yield _count(impact, variants)
    yield from _section("Consequences, counting each transcript")
    for term, rows in summary["by_consequence_all"].items():
        yield _count(term, rows)

    genes = summary["by_gene"]
    more = counts["genes"] - len(genes)
    yield from _section("Variants by gene" + (f" (the {len(genes)} most affected, {more:,} more)" if more else ""))
    for gene, variants in genes.items():
        impacts = ", ".join(
            f"{number:,} {impact}" for impact, number in summary["gene_impacts"][gene].items() if number
        )
        yield f"{_count(gene, variants)}   {impacts}"
    yield from _section("Variants by contig")
    for contig, variants in summary["by_contig"].items():
        yield _count(contig, variants)
    if summary["by_source"]:
        yield from _section("Variants found in each source, by field")
        for fields in summary["by_source"].values():
            for column, variants in fields.items():
                yield _count(column, variants)

    yield from _section("Kept without annotation, and why")
    for reason, records in counts["skipped"].items():
        yield _count(reason, records)
    if not counts["skipped"]:
        yield "Nothing."
    yield from _section("Notes")
    yield from summary["notes"] or ["None."]
    yield from _section("Seconds")
    for step, seconds in summary["timings_s"].items():
        yield f"{step:<{_WIDTH}}{seconds:>12.3f}"


def _section(title: str) -> tuple[str, str, str]:
    return ("", title, "-" * len(title))


def _count(what: str, number: int) -> str:
    return f"{what:<{_WIDTH}}{number:>12,}"
