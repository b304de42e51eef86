"""What the page of a finished job shows of ``summary.json``: figures, charts and how it was made.

Each bar leads to the table's rows that it counts, so that what a chart says can be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gas.errors import GasError
from gas.explore.table import NO_GENE
from webui.show import count

#: Most frequent first; what a chart leaves out is in the files.
TOP_CONSEQUENCES = 12
#: Worst impact first, as the engine orders them.
TOP_GENES = 10
#: In the file's order; assemblies can have thousands.
CONTIGS = 25
IMPACTS = ("HIGH", "MODERATE", "LOW", "MODIFIER")

#: Bases gained (lost where negative), from and to, and what a bar says of them; what is beyond 50 is counted together.
SIZES = (
    *((-51, -21, "more than 20 lost"), (-20, -11, "11 to 20 lost"), (-10, -6, "6 to 10 lost")),
    *((-5, -4, "4 or 5 lost"), (-3, -3, "3 lost"), (-2, -2, "2 lost"), (-1, -1, "1 lost"), (1, 1, "1 gained")),
    *((2, 2, "2 gained"), (3, 3, "3 gained"), (4, 5, "4 or 5 gained"), (6, 10, "6 to 10 gained")),
    *((11, 20, "11 to 20 gained"), (21, 51, "more than 20 gained")),
)
TRANSITIONS = ("AG", "GA", "CT", "TC")
TRANSVERSIONS = ("AC", "CA", "AT", "TA", "CG", "GC", "GT", "TG")

#: How consequences were called, in a person's words.
MODES = {
    "haplotype-aware": "variants of one haplotype read together",
    "local": "each variant read on its own",
}

_WORST = ("where", "most_severe:is:true")
Pairs = Sequence[tuple[str, str]]


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
    query: str
    """Of the table with what the bar counts."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of a chart before it is drawn: counts by impact, ``""`` for none in particular."""

    label: str
    counts: Mapping[str, int]
    view: Pairs


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the page of a finished job shows of ``summary.json``."""

    headline: list[tuple[str, str]]
    charts: list[tuple[str, list[Bar]]]
    rows: list[dict[str, Any]]
    provenance: list[tuple[str, str]]
    phase_unknown: bool


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
        ("By impact", [_line(name, n, ("where", f"impact:is:{name}"), _WORST) for name, n in _impacts(read)]),
        ("Known and novel", _known(counts)),
        (
            "By consequence",
            [
                _line(word, {"": n}, ("where", f"consequence:has:{word}"), _WORST)
                for word, n in _most(read["by_consequence"], TOP_CONSEQUENCES)
            ],
        ),
        (
            "Most affected genes",
            [
                _line(gene, read["gene_impacts"][gene], ("where", f"gene:is:{gene}"))
                for gene in list(read["by_gene"])[:TOP_GENES]
            ],
        ),
        ("By type", [_line(word, {"": n}, ("where", f"type:is:{word}")) for word, n in _most(read["by_kind"], None)]),
        ("Insertions and deletions, in bases", _sizes(read.get("indel_sizes") or {})),
        ("Single-base changes", _changes(read)),
    ]
    charts.append(("Why not annotated", _why_not(counts)))
    if len(read["by_contig"]) > 1:
        contigs = list(read["by_contig"].items())[:CONTIGS]
        charts.append(("By contig", [_line(name, {"": n}, ("where", f"chrom:is:{name}")) for name, n in contigs]))
    drawn = [(title, _bars(lines)) for title, lines in charts]
    return Summary(
        headline=headline,
        charts=[(title, bars) for title, bars in drawn if bars],
        rows=list(read["first_rows"]),
        provenance=_provenance(provenance),
        phase_unknown=provenance["phase"] == "unknown",
    )


def _line(label: str, counts: Mapping[str, int], *view: tuple[str, str]) -> _Line:
    return _Line(label=label, counts=counts, view=view)


def _impacts(read: Mapping[str, Any]) -> list[tuple[str, dict[str, int]]]:
    return [(name, {name: read["by_impact"][name]}) for name in IMPACTS]


def _known(counts: Mapping[str, Any]) -> list[_Line]:
    """Known is what has an ID or is found in any source."""
    return [
        _line(word, {"": counts.get(word, 0)}, ("where", f"known:is:{known}"), _WORST)
        for word, known in (("known", "true"), ("novel", "false"))
    ]


def _sizes(sizes: Mapping[str, int]) -> list[_Line]:
    lines = []
    for first, last, label in SIZES:
        number = sum(variants for size, variants in sizes.items() if first <= int(size) <= last)
        if (first, last) == SIZES[0][:2]:
            view = f"size:le:{last}"
        elif (first, last) == SIZES[-1][:2]:
            view = f"size:ge:{first}"
        else:
            view = f"size:between:{first}..{last}"
        lines.append(_line(label, {"": number}, ("where", view)))
    return lines


def _changes(read: Mapping[str, Any]) -> list[_Line]:
    """Each change is a group of its own, of which any is enough."""
    lines = []
    for label, changes in (("transitions", TRANSITIONS), ("transversions", TRANSVERSIONS)):
        groups = [
            (f"where.{number}", f"{column}:is:{base}")
            for number, change in enumerate(changes, 1)
            for column, base in zip(("ref", "alt"), change, strict=True)
        ]
        lines.append(_line(label, {"": read.get(label, 0)}, *groups, ("match", "any")))
    return lines


def _why_not(counts: Mapping[str, Any]) -> list[_Line]:
    """The reasons, with the rest: what could have a consequence, and lies outside of every gene."""
    reasons = dict(_most(counts["skipped"], None))
    rest = counts["unannotated"] - sum(reasons.values())
    if rest > 0:
        reasons[NO_GENE] = rest
    columns = ("columns", "chrom,pos,id,ref,alt,type,why_not")
    return [
        _line(reason, {"": number}, ("where", f"why_not:is:{reason}"), columns) for reason, number in reasons.items()
    ]


def _most(counts: Mapping[str, int], limit: int | None) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]


def _bars(lines: Iterable[_Line]) -> list[Bar]:
    """Bars as wide as their counts, the longest as the chart; lines without any count are left out."""
    kept = [line for line in lines if sum(line.counts.values())]
    longest = max((sum(line.counts.values()) for line in kept), default=1)
    bars = []
    for line in kept:
        parts, start = [], 0.0
        for impact, number in line.counts.items():
            width = 100 * number / longest
            parts.append(Part(start=round(start, 2), width=round(width, 2), impact=impact))
            start += width
        query = "&".join(f"{key}={quote(value, safe=':,.*-/')}" for key, value in line.view)
        bars.append(Bar(label=line.label, count=sum(line.counts.values()), parts=parts, query=query))
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
