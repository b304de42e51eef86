"""What one annotation may take."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on the work and on the input."""

    memory_bytes: int = 8 * _GIB
    """Address space of each process of the engine."""
    timeout_s: float = 6 * 3600
    """Wall time of the whole annotation, in seconds."""
    max_inflated_bytes: int = 200 * _GIB
    """Size of the input once decompressed."""
    max_inflation_ratio: int = 200
    """Inflated size over compressed size; deflate itself ends at 1032."""
    ratio_from_bytes: int = 256 * _MIB
    """Inflated size from which the ratio is looked at: many samples without a variant compress very well."""
    max_line_bytes: int = 8 * _MIB
    """Length of one line, also in the header."""
    max_header_bytes: int = 64 * _MIB
    """Length of the whole header."""
