"""The header of the result."""

from __future__ import annotations

import re
from collections.abc import Sequence

_IDX = re.compile(rb",IDX=\d+>")
_KEY = re.compile(rb"##(INFO|FORMAT|FILTER|contig)=<ID=([^,>]+)")
#: What csq declares, for results none of whose chunks has a transcript.
_BCSQ = (
    b'##INFO=<ID=BCSQ,Number=.,Type=String,Description="Haplotype-aware consequence annotation from BCFtools/csq, see '
    b"http://samtools.github.io/bcftools/howtos/csq-calling.html for details. Format: "
    b'Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change">'
)


def result_header(headers: Sequence[bytes], provenance: Sequence[bytes]) -> bytes:
    """One header for all chunks: the lines of the first, and what the others declare besides.

    Chunks differ where a tag was mended in one of them; the looser declaration is true of all.

    :param provenance: lines that say where the result comes from.
    """
    order: list[bytes] = []
    lines: dict[bytes, bytes] = {}
    columns = b""
    for header in headers:
        for line in _IDX.sub(b">", header).splitlines():
            if line.startswith(b"#CHROM"):
                columns = line
                continue
            match = _KEY.match(line)
            key = match[0] if match else line
            if key not in lines:
                order.append(key)
                lines[key] = line
            elif _is_looser(line, lines[key]):
                lines[key] = line
    if b"##INFO=<ID=BCSQ" not in lines:
        order.append(b"##INFO=<ID=BCSQ")
        lines[b"##INFO=<ID=BCSQ"] = _BCSQ
    return b"\n".join([*(lines[key] for key in order), *provenance, columns, b""])


def _is_looser(line: bytes, than: bytes) -> bool:
    return b"Number=.," in line and b"Number=.," not in than
