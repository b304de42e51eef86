"""Where a result comes from, as lines of its header."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from gas.references import Reference


@cache
def engine_version() -> str:
    """The version of GAS."""
    return version("genomics-annotation-service")


def bcftools_version() -> str:
    """The version of bcftools that pysam carries."""
    from pysam.version import __bcftools_version__

    return str(__bcftools_version__)


def options(*, mode: str, phase: str) -> dict[str, str]:
    """How each step was asked to work, in the words of bcftools."""
    return {
        "norm": "-m -any -c w",
        "csq": "-p a" if mode == "haplotype-aware" else "-l",
        "annotate": "CHROM,POS,REF,ALT",
        "mode": mode,
        "phase": phase,
    }


def header_lines(reference: Reference, chosen: Mapping[str, str]) -> list[bytes]:
    """``##gas...`` lines: engine, reference with checksums, each source with version and date, options."""
    lines = [
        _line("gasEngine", {"ID": "gas", "version": engine_version(), "bcftools": bcftools_version()}),
        _line(
            "gasReference",
            {"ID": reference.name, "fasta_sha256": reference.fasta_sha256, "gff_sha256": reference.gff_sha256},
        ),
    ]
    lines += [
        _line("gasSource", {"ID": s.name, "version": s.version, "date": s.date, "sha256": s.sha256})
        for s in reference.sources
    ]
    lines.append(_line("gasOptions", {"ID": "options", **chosen}))
    return lines


def _line(key: str, values: Mapping[str, str]) -> bytes:
    said = ",".join(
        f"{name}={value}" if name == "ID" else f'{name}="{_escape(value)}"' for name, value in values.items()
    )
    return f"##{key}=<{said}>".encode()


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
