"""How figures, sizes and times read on a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from flask import Flask
from markupsafe import Markup, escape

from gas.errors import Conflict, EngineError, GasError, Unavailable

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
    "digest": ("Digest", "Parquet, the variants that matter; stays readable"),
    "log": ("Log", "counts, and what was skipped and why"),
}

#: Kinds of error that another attempt may get past; all others are about the input.
NOT_THE_FILE = frozenset({EngineError.kind, Unavailable.kind, Conflict.kind, GasError.kind})


def install(app: Flask) -> None:
    """Give the templates their filters and words."""
    app.jinja_env.filters.update(size=size, count=count, when=when, sentence=sentence)
    app.jinja_env.globals.update(
        STATUS_WORDS=STATUS_WORDS, STORAGE_WORDS=STORAGE_WORDS, PLACE_WORDS=PLACE_WORDS, OUTPUT_WORDS=OUTPUT_WORDS
    )


def advice(error_kind: str | None) -> str:
    """What a person can do about a failed job, by ``GasError.kind`` of what ended it."""
    if error_kind in NOT_THE_FILE:
        return "The file is not at fault. Submit it again; if that fails too, tell this server's operator the job's id."
    return "Mend the file, or choose the reference it was called against, and submit it as a new job."


def sentence(said: str | None) -> Markup:
    """An error's words, as a page has them: begun as a sentence, ended as one, and its `` `commands` `` set as such.

    A first word that is a name, such as ``chr21`` or ``a.vcf``, stays as it is.
    """
    text = re.sub(r"^[a-z]+(?=[ ,])", lambda first: first[0].capitalize(), said or "")
    if text and text[-1] not in ".?!:":
        text += "."
    return Markup(re.sub(r"`([^`<>]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just here


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


def iso(moment: datetime) -> str:
    """A moment in ISO 8601, in UTC and to the second, as the API tells it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


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
