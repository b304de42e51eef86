"""How figures, sizes, times and summaries read on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup

from gas.errors import Conflict, EngineError, GasError, Unavailable

#: Most frequent first; what a chart leaves out is in the files.
TOP_CONSEQUENCES = 12
TOP_GENES = 10
IMPACTS = ("HIGH", "MODERATE", "LOW", "MODIFIER")

#: A job's status in a person's words.
STATUS_WORDS = {
    "PENDING": "Waiting",
    "RUNNING": "Annotating",
    "COMPLETED": "Done",
    "FAILED": "Failed",
    "CANCELLED": "Cancelled",
}
#: What each file is for.
OUTPUT_WORDS = {
    "vcf": ("Annotated VCF", "bgzip, for any tool that reads VCF"),
    "index": ("Index", "tabix, goes beside the VCF"),
    "table": ("Table", "Parquet, one row per variant and consequence"),
    "summary": ("Summary", "JSON, every count of this page"),
    "log": ("Log", "counts, and what was skipped and why"),
}

#: Kinds of error that another attempt may get past; all others are about the input.
NOT_THE_FILE = frozenset({EngineError.kind, Unavailable.kind, Conflict.kind, GasError.kind})


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of a chart: ``share`` is its length, in percent of the longest line."""

    label: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the page of a finished job shows of ``summary.json``."""

    headline: list[tuple[str, str]]
    impacts: list[Bar]
    consequences: list[Bar]
    genes: list[Bar]
    skipped: list[tuple[str, int]]
    rows: list[dict[str, Any]]
    provenance: list[tuple[str, str]]
    phase_unknown: bool


def install(app: Flask) -> None:
    """Give the templates their filters and words."""
    app.jinja_env.filters.update(size=size, count=count, when=when)
    app.jinja_env.globals.update(STATUS_WORDS=STATUS_WORDS, OUTPUT_WORDS=OUTPUT_WORDS)


def advice(error_kind: str | None) -> str:
    """What a person can do about a failed job, by ``GasError.kind`` of what ended it."""
    if error_kind in NOT_THE_FILE:
        return "The file is not at fault. Submit it again; if that fails too, tell this server's operator the job's id."
    return "Mend the file, or choose the reference it was called against, and submit it as a new job."


def size(size_bytes: int) -> str:
    """``10485760`` as ``10 MiB``."""
    amount = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.3g} {unit}"


def count(number: int) -> str:
    """``115435`` as ``115,435``."""
    return f"{number:,}"


def when(iso: str | None) -> Markup:
    """A time of the API as an element that the browser turns into the reader's own zone."""
    if iso is None:
        return Markup("")
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(iso, f"{moment:%Y-%m-%d %H:%M} UTC")


def summary_of(text: str) -> Summary:
    """The summary of a job from its file.

    :raises GasError: when the file is not what the engine writes.
    """
    try:
        read = json.loads(text)
        return _summary(read)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GasError("The summary of this job cannot be shown here; its files are complete.") from error


def _summary(read: Mapping[str, Any]) -> Summary:
    counts, provenance = read["counts"], read["provenance"]
    headline = [("Variants", count(counts["variants"])), ("Annotated", count(counts["annotated"]))]
    headline.append(("Not annotated", count(counts["unannotated"])))
    if read.get("ts_tv"):
        headline.append(("Ts/Tv", f"{read['ts_tv']:.2f}"))
    impacts = read["by_impact"]
    return Summary(
        headline=headline,
        impacts=_bars([(name, impacts[name]) for name in IMPACTS if impacts.get(name)]),
        consequences=_bars(_most(read["by_consequence"], TOP_CONSEQUENCES)),
        genes=_bars(_most(read["by_gene"], TOP_GENES)),
        skipped=_most(counts.get("skipped") or {}, None),
        rows=list(read.get("first_rows") or []),
        provenance=_provenance(provenance),
        phase_unknown=provenance.get("phase") == "unknown",
    )


def _most(counts: Mapping[str, int], limit: int | None) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]


def _bars(counts: list[tuple[str, int]]) -> list[Bar]:
    longest = max((number for _, number in counts), default=0) or 1
    return [Bar(label=label, count=number, share=round(100 * number / longest, 1)) for label, number in counts]


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    reference = provenance["reference"]
    lines = [
        ("Engine", f"{provenance['engine']} {provenance['engine_version']}, bcftools {provenance['bcftools_version']}"),
        ("Calling", f"{provenance['mode']}, phase {provenance['phase']}"),
        ("Reference", reference["name"]),
        ("Genome SHA-256", reference["fasta_sha256"]),
        ("Genes SHA-256", reference["gff_sha256"]),
    ]
    lines += [
        (f"Source {source['name']}", " ".join(filter(None, (source.get("version"), source.get("date")))))
        for source in provenance.get("sources") or []
    ]
    return lines
