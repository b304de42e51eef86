"""A whole filtered view as a file, written while it is read: memory does not grow with it.

Where a spreadsheet opens the file, no text of a VCF becomes a formula: in TSV such a text gets an apostrophe before it
(as OWASP recommends), in XLSX its cell is text and marked as quoted.
"""

from __future__ import annotations

import fcntl
import json
import math
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gas.errors import InputError
from gas.explore import xlsx
from gas.explore.cache import PART
from gas.explore.table import Row, Table
from gas.explore.view import View

_CHUNK = 1 << 20
#: What a spreadsheet may take for a formula when it comes first.
_FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"^[+-]?[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?$")
#: Texts that begin otherwise need no closer look.
_SUSPECT = frozenset("=+-@\uff1d\uff0b\uff0d\uff20 ")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Format(StrEnum):
    """The kinds of files a view can be had as."""

    VCF = "vcf"
    TSV = "tsv"
    PARQUET = "parquet"
    JSONL = "jsonl"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a format is named and served."""

    title: str
    ending: str
    content_type: str


FORMS: dict[Format, Form] = {
    Format.VCF: Form(title="VCF", ending=".vcf.gz", content_type="application/gzip"),
    Format.TSV: Form(title="TSV", ending=".tsv", content_type="text/tab-separated-values; charset=utf-8"),
    Format.PARQUET: Form(title="Parquet", ending=".parquet", content_type="application/vnd.apache.parquet"),
    Format.JSONL: Form(title="JSON lines", ending=".jsonl", content_type="application/jsonl; charset=utf-8"),
    Format.XLSX: Form(
        title="Excel",
        ending=".xlsx",
        content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}


def chunks(table: Table, view: View, form: Format, *, scratch: Path) -> Iterator[bytes]:
    """The rows of a view, whatever its page, in any format but VCF (:func:`gas.explore.vcf.chunks`).

    :param scratch: a folder for a Parquet file until it has been read.
    :raises InputError: when the format cannot hold so many rows.
    """
    match form:
        case Format.TSV:
            return _tsv(table, view)
        case Format.JSONL:
            return _json_lines(table, view)
        case Format.PARQUET:
            return _parquet(table, view, scratch)
        case Format.XLSX:
            rows = table.total(view).rows
            if rows > xlsx.MAX_ROWS:
                raise InputError(
                    f"a spreadsheet holds at most {xlsx.MAX_ROWS:,} rows and this view has {rows:,}: "
                    "filter it more, or take another format"
                )
            return xlsx.sheet(view.columns, table.stream(view, view.columns), expected_rows=rows, risky=is_risky)
    raise AssertionError(f"{form} is written elsewhere")


def is_risky(text: str) -> bool:
    """Whether a spreadsheet could take this text for a formula."""
    return len(text) > 1 and _FORMULA.match(text) is not None and not _NUMBER.match(text)


def inert(text: str) -> str:
    """The text as a spreadsheet shows it and does not act upon it, on one line and without tabs."""
    if text.isprintable() and text[:1] not in _SUSPECT:
        return text
    return _CONTROL.sub(" ", f"'{text}" if is_risky(text) else text)


def plain(value: Any) -> Any:
    """The value as JSON has it: what is no number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tsv(table: Table, view: View) -> Iterator[bytes]:
    yield ("\t".join(view.columns) + "\n").encode()
    for batch in table.stream(view, view.columns):
        yield "".join("\t".join(map(_cell, row)) + "\n" for row in batch).encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return inert(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_lines(table: Table, view: View) -> Iterator[bytes]:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

    def line(row: Row) -> str:
        return encode(dict(zip(view.columns, map(plain, row), strict=True))) + "\n"

    for batch in table.stream(view, view.columns):
        yield "".join(map(line, batch)).encode()


def _parquet(table: Table, view: View, scratch: Path) -> Iterator[bytes]:
    """Parquet ends with its index, so it is made on disk first, and has no name any more while it is read.

    Its lock tells the cache that it is no leftover of a process that was killed.
    """
    target = scratch / f"export-{secrets.token_hex(8)}{PART}"
    with target.open("x+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            table.write_parquet(view, target)
        finally:
            target.unlink(missing_ok=True)
        while chunk := file.read(_CHUNK):
            yield chunk
