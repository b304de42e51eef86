"""How figures, sizes, times and summaries read on a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup

from gas.errors import Conflict, EngineError, GasError, Unavailable

#: Most frequent first; what a chart leaves out is in the files.
TOP_CONSEQUENCES = 12
#: Worst impact first, as the engine orders them.
TOP_GENES = 10
#: In the file's order; assemblies can have thousands.
CONTIGS = 25
IMPACTS = ("HIGH", "MODERATE", "LOW", "MODIFIER")

#: How consequences were called, in a person's words.
MODES = {
    "haplotype-aware": "variants of one haplotype read together",
    "local": "each variant read on its own",
}

#: A job's status in a person's words.
STATUS_WORDS = {
    "PENDING": "Waiting",
    "RUNNING": "Annotating",
    "COMPLETED": "Done",
    "FAILED": "Failed",
    "CANCELLED": "Cancelled",
}
#: Where a result can be looked for.
STORAGE_WORDS = {
    "HOT": "ready to download",
    "ARCHIVING": "moving to the archive",
    "ARCHIVED": "in the archive",
    "THAWING": "on its way back",
}
#: Where a result is that cannot be downloaded.
PLACE_WORDS = {"ARCHIVED": "in the archive", "THAWING": "on its way back"}
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
class Part:
    """A stretch of a bar, in percent of the chart's width; ``impact`` gives its colour."""

    start: float
    width: float
    impact: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of a chart."""

    label: str
    count: int
    parts: list[Part]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the page of a finished job shows of ``summary.json``."""

    headline: list[tuple[str, str]]
    charts: list[tuple[str, list[Bar]]]
    skipped: list[tuple[str, int]]
    rows: list[dict[str, Any]]
    provenance: list[tuple[str, str]]
    phase_unknown: bool


def install(app: Flask) -> None:
    """Give the templates their filters and words."""
    app.jinja_env.filters.update(size=size, count=count, when=when)
    app.jinja_env.globals.update(
        STATUS_WORDS=STATUS_WORDS, STORAGE_WORDS=STORAGE_WORDS, PLACE_WORDS=PLACE_WORDS, OUTPUT_WORDS=OUTPUT_WORDS
    )


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


def duration(seconds: int) -> str:
    """``300`` as ``5 minutes``: in the largest unit of which it is a whole number."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            return f"{seconds // length:,} {unit}{'s' if seconds != length else ''}"
    return f"{seconds:,} seconds"


def count(number: int) -> str:
    """``115435`` as ``115,435``."""
    return f"{number:,}"


def when(iso: str | None) -> Markup:
    """A time of the API as an element that the browser turns into the reader's own zone."""
    if iso is None:
        return Markup("")
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(iso, f"{moment:%Y-%m-%d %H:%M} UTC")


def day(posix_s: int | None) -> str:
    """A time as its day in UTC; empty for none."""
    return "" if posix_s is None else f"{datetime.fromtimestamp(posix_s, UTC):%Y-%m-%d}"


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
    headline = [
        (label, count(counts[key]))
        for label, key in (
            ("Variants", "variants"),
            ("Annotated", "annotated"),
            ("Not annotated", "unannotated"),
            ("Genes", "genes"),
        )
    ]
    if read["ts_tv"] is not None:
        headline.append(("Ts/Tv", f"{read['ts_tv']:.2f}"))
    charts = [
        ("By impact", _bars((name, {name: read["by_impact"][name]}) for name in IMPACTS)),
        ("By kind", _bars((word, {"": n}) for word, n in _most(read["by_kind"], None))),
        ("By consequence", _bars((word, {"": n}) for word, n in _most(read["by_consequence"], TOP_CONSEQUENCES))),
        (
            "Most affected genes",
            _bars((gene, read["gene_impacts"][gene]) for gene, _ in _first(read["by_gene"], TOP_GENES)),
        ),
    ]
    if len(read["by_contig"]) > 1:
        charts.append(("By contig", _bars((name, {"": n}) for name, n in _first(read["by_contig"], CONTIGS))))
    return Summary(
        headline=headline,
        charts=[(title, bars) for title, bars in charts if bars],
        skipped=_most(counts["skipped"], None),
        rows=list(read["first_rows"]),
        provenance=_provenance(provenance),
        phase_unknown=provenance["phase"] == "unknown",
    )


def _most(counts: Mapping[str, int], limit: int | None) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]


def _first(counts: Mapping[str, int], limit: int) -> list[tuple[str, int]]:
    return list(counts.items())[:limit]


def _bars(lines: Iterable[tuple[str, Mapping[str, int]]]) -> list[Bar]:
    """Bars from label and counts by impact (``""`` for none in particular); lines without any count are left out."""
    kept = [(label, counts) for label, counts in lines if sum(counts.values())]
    longest = max((sum(counts.values()) for _, counts in kept), default=1)
    bars = []
    for label, counts in kept:
        parts, start = [], 0.0
        for impact, number in counts.items():
            width = 100 * number / longest
            parts.append(Part(start=round(start, 2), width=round(width, 2), impact=impact))
            start += width
        bars.append(Bar(label=label, count=sum(counts.values()), parts=parts))
    return bars


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    reference = provenance["reference"]
    lines = [
        ("Engine", f"{provenance['engine']} {provenance['engine_version']}, bcftools {provenance['bcftools_version']}"),
        ("Consequences", MODES.get(provenance["mode"], provenance["mode"])),
        ("Reference", reference["name"]),
        ("Genome SHA-256", reference["fasta_sha256"]),
        ("Genes SHA-256", reference["gff_sha256"]),
    ]
    lines += [
        (
            f"Source {source['name']}",
            " ".join(filter(None, (source["version"], source["date"]))) or "the file names no release",
        )
        for source in provenance.get("sources") or []
    ]
    return lines
