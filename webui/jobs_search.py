"""Which of their jobs a person looks for: the same words in the address of the page and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode

from gas.errors import InputError
from gas.job import JobStatus, StorageState
from gas.jobs_table import Wanted
from gas.submission import FILE_NAME_CHARACTERS

#: Where a result can lie, as far as a person sees it.
PLACES = tuple(state for state in StorageState if state is not StorageState.DELETING)
FIELDS = ("name", "status", "storage", "reference", "from", "to")

Word = TypeVar("Word", JobStatus, StorageState)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was asked for, word for word, and what that means."""

    fields: Mapping[str, str]
    wanted: Wanted

    def query(self, **more: str | None) -> str:
        """The query string of a stable link to it."""
        return urlencode({**self.fields, **{name: value for name, value in more.items() if value}})


def search_of(arguments: Mapping[str, str]) -> Search:
    """The search in a query string; days are days in UTC, both included.

    :raises InputError: naming the parameter that cannot be used, and what can.
    """
    given = {name: arguments.get(name, "").strip() for name in FIELDS}
    if len(given["name"]) > FILE_NAME_CHARACTERS:
        raise InputError(f"name must be at most {FILE_NAME_CHARACTERS} characters.")
    if len(given["reference"]) > FILE_NAME_CHARACTERS:
        raise InputError("there is no reference of that name.")
    after, before = _day("from", given["from"]), _day("to", given["to"])
    if after is not None and before is not None and after > before:
        raise InputError("from must not be a later day than to.")
    return Search(
        fields={name: value for name, value in given.items() if value},
        wanted=Wanted(
            name=given["name"],
            status=_word("status", given["status"], tuple(JobStatus)),
            storage=_word("storage", given["storage"], PLACES),
            reference=given["reference"],
            after=_midnight(after) if after else None,
            before=_midnight(before + timedelta(days=1)) if before else None,
        ),
    )


def _word(parameter: str, given: str, words: tuple[Word, ...]) -> Word | None:
    if not given:
        return None
    for word in words:
        if given == word:
            return word
    raise InputError(f"{parameter} must be one of {', '.join(words)}.")


def _day(parameter: str, given: str) -> date | None:
    if not given:
        return None
    try:
        day = datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        day = date.min
    if not 1970 <= day.year <= 9998:
        raise InputError(f"{parameter} must be a day such as 2026-11-24.")
    return day


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
