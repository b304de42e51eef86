"""What somebody wants to see of a table: filters, order, columns and page. Read from a link, and written as one.

    ?where=gene:is:S&where=impact:in:HIGH,MODERATE&match=all&sort=-pos,gene&columns=chrom,pos,gene&limit=100

``where`` is ``column:operator:value``. All conditions must hold, or with ``match=any`` one of them. Conditions of a
group (``where.1``, ``where.2``, ...) are combined the other way about, and the group counts as one condition, so
``where=impact:is:HIGH&where.1=gene:is:S&where.1=gene:is:N`` is HIGH in S or N. Columns are those of the file, and no
name goes into a query that the file does not have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote

from gas.errors import InputError

LIMIT = 50
MAX_LIMIT = 500
MAX_CONDITIONS = 50
MAX_GROUPS = 9
MAX_VALUES = 1000
MAX_VALUE = 1000  # characters
MAX_SORT = 5
#: Every key of a link that :meth:`View.parse` reads, besides ``where.1`` and so on.
KEYS = frozenset({"where", "match", "sort", "columns", "limit", "genotypes", "cursor"})

#: Shown unless somebody chooses otherwise; those of the sources follow.
FIRST_COLUMNS = (
    *("chrom", "pos", "id", "ref", "alt", "gene", "consequence", "impact", "protein_change", "dna_change"),
    *("transcript", "carriers"),
)
#: Besides the columns of the file, ``type`` says what kind of change an allele is, ``size`` how many bases an insertion
#: or deletion gains or loses, ``why_not`` why an allele has no consequence, ``known`` whether it has an ID or is found
#: in any source. What is none of these is a source's.
ENGINE_COLUMNS = frozenset(
    {
        *("rec", "chrom", "pos", "id", "ref", "alt", "qual", "filter", "consequence", "impact", "gene", "transcript"),
        *("biotype", "strand", "protein_change", "amino_acid_change", "dna_change", "after_stop", "most_severe"),
        *("carriers", "type", "size", "why_not", "known"),
    }
)

_GROUP = re.compile(r"^where\.([1-9])$")
_WHOLE = re.compile(r"^[+-]?[0-9]{1,18}$")

Value = str | int | float | bool


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    WHOLE = "whole number"
    REAL = "number"
    FLAG = "true or false"


class Operator(StrEnum):
    """How a column is compared, in the word used in links."""

    IS = "is"
    IS_NOT = "is-not"
    IN = "in"
    NOT_IN = "not-in"
    HAS = "has"
    CONTAINS = "contains"
    STARTS = "starts"
    LESS = "lt"
    AT_MOST = "le"
    MORE = "gt"
    AT_LEAST = "ge"
    BETWEEN = "between"
    EMPTY = "empty"
    FILLED = "filled"

    @property
    def takes_value(self) -> bool:
        """Whether anything is compared with."""
        return self not in (Operator.EMPTY, Operator.FILLED)


_EQUAL = (Operator.IS, Operator.IS_NOT)
_LISTS = (Operator.IN, Operator.NOT_IN)
_ORDERED = (Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST, Operator.BETWEEN)
_NULL = (Operator.EMPTY, Operator.FILLED)
#: Which operators fit which columns.
OPERATORS: Mapping[Kind, tuple[Operator, ...]] = {
    Kind.TEXT: (*_EQUAL, *_LISTS, Operator.HAS, Operator.CONTAINS, Operator.STARTS, *_NULL),
    Kind.WHOLE: (*_EQUAL, *_ORDERED, *_LISTS, *_NULL),
    Kind.REAL: (*_EQUAL, *_ORDERED, *_LISTS, *_NULL),
    Kind.FLAG: (Operator.IS, *_NULL),
}


class Match(StrEnum):
    """How conditions are combined."""

    ALL = "all"
    ANY = "any"

    @property
    def other(self) -> Match:
        """How those of a group are combined."""
        return Match.ANY if self is Match.ALL else Match.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind


Schema = Mapping[str, Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison; ``values`` holds none, one, two (between) or many, of the column's kind."""

    column: str
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        """As in a link, before it is escaped."""
        if not self.operator.takes_value:
            return f"{self.column}:{self.operator}"
        between = ".." if self.operator is Operator.BETWEEN else ","
        return f"{self.column}:{self.operator}:{between.join(_text(value) for value in self.values)}"

    @classmethod
    def parse(cls, text: str, schema: Schema) -> Self:
        """``column:operator:value``; the value may hold colons.

        :raises InputError: naming what cannot be used.
        """
        column_name, _, rest = text.partition(":")
        word, _, value = rest.partition(":")
        column = known(column_name, schema)
        fitting = OPERATORS[column.kind]
        if word not in fitting:
            raise InputError(
                f"{column.name} ({column.kind}) can be compared by {', '.join(fitting)}, not by {word[:40]!r}"
            )
        operator = Operator(word)
        if not operator.takes_value:
            if value:
                raise InputError(f"{column.name}:{operator} takes no value")
            return cls(column=column.name, operator=operator, values=())
        if operator is Operator.BETWEEN:
            pieces = value.split("..")
            if len(pieces) != 2:
                raise InputError(f"{column.name}:between takes two numbers, as 100..200")
        else:
            pieces = value.split(",") if operator in _LISTS else [value]
        if len(pieces) > MAX_VALUES:
            raise InputError(f"at most {MAX_VALUES:,} values can be listed for {column.name}")
        return cls(
            column=column.name, operator=operator, values=tuple(_value(piece.strip(), column) for piece in pieces)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A column to sort by; what is empty comes last either way."""

    column: str
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where the page before ended."""

    seen: int
    """Rows on all pages before."""
    values: tuple[Value | None, ...]
    """Of its last row, in the columns that the view is sorted by."""
    row: int
    """Number of that row in the file, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Filters, order, columns and page of one table."""

    columns: tuple[str, ...]
    match: Match = Match.ALL
    conditions: tuple[Condition, ...] = ()
    groups: tuple[tuple[Condition, ...], ...] = ()
    sort: tuple[Order, ...] = ()
    limit: int = LIMIT
    genotypes: bool = False
    """Whether it is said who carries each variant."""
    cursor: Cursor | None = None

    @classmethod
    def parse(cls, pairs: Iterable[tuple[str, str]], schema: Schema, *, also: Collection[str] = ()) -> Self:
        """The view of a link's query.

        :param also: keys that mean something to the caller.
        :raises InputError: naming what cannot be used, and why.
        """
        said: dict[str, list[str]] = {}
        for key, value in pairs:
            if key in KEYS or _GROUP.match(key):
                said.setdefault(key, []).append(value)
            elif key not in also:
                raise InputError(f"{key[:40]!r} is not a part of a view: those are where, match, sort, columns, limit")
        for key in ("match", "limit", "genotypes", "cursor"):
            if len(said.get(key, ())) > 1:
                raise InputError(f"{key} can be given once")
        groups = {key: texts for key, texts in sorted(said.items()) if _GROUP.match(key)}
        if len(said.get("where", ())) + sum(map(len, groups.values())) > MAX_CONDITIONS:
            raise InputError(f"a view can have at most {MAX_CONDITIONS} conditions")
        view = cls(
            columns=_columns(said.get("columns", ()), schema),
            match=_match(said.get("match", [Match.ALL])[0]),
            conditions=tuple(Condition.parse(text, schema) for text in said.get("where", ())),
            groups=tuple(tuple(Condition.parse(text, schema) for text in texts) for texts in groups.values()),
            sort=_sort(said.get("sort", ()), schema),
            limit=_limit(said.get("limit", [str(LIMIT)])[0]),
            genotypes=_flag("genotypes", said.get("genotypes", ["0"])[0]),
        )
        cursor = said.get("cursor", [""])[0]
        return view.at(cursor, schema) if cursor else view

    def pairs(self, schema: Schema) -> list[tuple[str, str]]:
        """The view as keys and values of a link, without the page; what is as by default is left out."""
        pairs = [("where", str(condition)) for condition in self.conditions]
        pairs += [
            (f"where.{number}", str(condition)) for number, group in enumerate(self.groups, 1) for condition in group
        ]
        if self.match is not Match.ALL:
            pairs.append(("match", self.match))
        if self.sort:
            pairs.append(("sort", ",".join(map(str, self.sort))))
        if self.columns != default_columns(schema):
            pairs.append(("columns", ",".join(self.columns)))
        if self.limit != LIMIT:
            pairs.append(("limit", str(self.limit)))
        if self.genotypes:
            pairs.append(("genotypes", "1"))
        return pairs

    def query(self, schema: Schema) -> str:
        """The view as the query of a link, empty where all is as by default: short enough to be read."""
        return "&".join(f"{key}={quote(value, safe=':,.*-/')}" for key, value in self.pairs(schema))

    @property
    def filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.conditions or self.groups)

    def shown(self, columns: Iterable[str]) -> Self:
        """The same with other columns."""
        return replace(self, columns=tuple(columns), cursor=None)

    @property
    def parts(self) -> tuple[tuple[Condition, ...], ...]:
        """What the view combines: its conditions, each alone, then its groups."""
        return (*((condition,) for condition in self.conditions), *self.groups)

    def added(self, condition: Condition, *, to: int | None = None) -> Self:
        """The same with one more condition.

        :param to: the number of one of :attr:`parts`, from 0, with which it then is a group.
        :raises InputError: when there is no such part, or there are too many groups.
        """
        if to is None:
            conditions = self.conditions if condition in self.conditions else (*self.conditions, condition)
            return replace(self, conditions=conditions, cursor=None)
        if not 0 <= to < len(self.parts):
            raise InputError("the filter that this one was to be combined with is not there any more")
        if condition in self.parts[to]:
            return replace(self, cursor=None)
        group = (*self.parts[to], condition)
        alone = len(self.conditions)
        if to >= alone:
            groups = (*self.groups[: to - alone], group, *self.groups[to - alone + 1 :])
            return replace(self, groups=groups, cursor=None)
        if len(self.groups) == MAX_GROUPS:
            raise InputError(f"a view can have at most {MAX_GROUPS} groups of filters")
        conditions = (*self.conditions[:to], *self.conditions[to + 1 :])
        return replace(self, conditions=conditions, groups=(*self.groups, group), cursor=None)

    def without(self, condition: Condition) -> Self:
        """The same without a condition, wherever it stands; a group of one that is left is no group any more."""
        groups = [tuple(other for other in group if other != condition) for group in self.groups]
        alone = [other for other in self.conditions if other != condition]
        alone += [group[0] for group in groups if len(group) == 1]
        return replace(
            self,
            conditions=tuple(dict.fromkeys(alone)),
            groups=tuple(group for group in groups if len(group) > 1),
            cursor=None,
        )

    def sorted_by(self, column: str) -> Self:
        """The same with ``column`` as the first to sort by; one that is already is turned round, then let go."""
        first = self.sort[0] if self.sort and self.sort[0].column == column else None
        rest = tuple(order for order in self.sort if order.column != column)
        if first is None:
            sort = (Order(column=column), *rest)
        elif not first.descending:
            sort = (Order(column=column, descending=True), *rest)
        else:
            sort = rest
        return replace(self, sort=sort[:MAX_SORT], cursor=None)

    def at(self, cursor: str, schema: Schema) -> Self:
        """The same at the page that a cursor of :meth:`cursor_after` names.

        :raises InputError: when it is none, or one of another view.
        """
        refusal = InputError("the cursor is not one of this view: begin at its first page")
        try:
            mark, seen, row, values = json.loads(base64.urlsafe_b64decode(f"{cursor}=="))
            fits = (
                mark == self._mark()
                and all(type(number) is int and 0 <= number < 1 << 62 for number in (seen, row))
                and len(values) == len(self.sort)
            )
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise refusal from None
        if not fits:
            raise refusal
        for order, value in zip(self.sort, values, strict=True):
            if value is not None and not _could_be_of(schema[order.column], value):
                raise refusal
        return replace(self, cursor=Cursor(seen=seen, values=tuple(values), row=row))

    def cursor_after(self, *, seen: int, values: Sequence[Value | None], row: int) -> str:
        """A cursor for what follows a row."""
        text = json.dumps([self._mark(), seen, row, list(values)], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _mark(self) -> str:
        """What tells this view's cursors from another's: filters and order."""
        said = json.dumps(
            [
                self.match,
                [str(condition) for condition in self.conditions],
                [[str(condition) for condition in group] for group in self.groups],
                [str(order) for order in self.sort],
            ]
        )
        return hashlib.sha256(said.encode()).hexdigest()[:8]


_PYTHON: Mapping[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.WHOLE: (int,),
    Kind.REAL: (int, float),
    Kind.FLAG: (bool,),
}


def document(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The keys and values of a link as the body of a call, in which they may be longer than an address.

    Groups are lists, in the order of their numbers; whatever means something to the caller alone stays a text.
    """
    said: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        match key:
            case "where":
                said.setdefault(key, []).append(value)
            case "sort" | "columns":
                said.setdefault(key, []).extend(_names([value]))
            case "limit" if _WHOLE.match(value):
                said[key] = int(value)
            case "genotypes":
                said[key] = value == "1"
            case _ if _GROUP.match(key):
                groups.setdefault(key, []).append(value)
            case _:
                said[key] = value
    return {**said, "groups": [groups[key] for key in sorted(groups)]} if groups else said


def default_columns(schema: Schema) -> tuple[str, ...]:
    """What is shown unless somebody chooses: where, what and how bad, then everything of the sources."""
    first = [name for name in FIRST_COLUMNS if name in schema]
    return tuple(first + [name for name in schema if name not in ENGINE_COLUMNS])


def known(name: str, schema: Schema) -> Column:
    """The column of this name.

    :raises InputError: naming those there are.
    """
    try:
        return schema[name]
    except KeyError:
        raise InputError(f"there is no column {name[:60]!r}; there are {', '.join(schema)}") from None


def _value(text: str, column: Column) -> Value:
    if len(text) > MAX_VALUE or not text.isprintable():
        raise InputError(f"a value for {column.name} has at most {MAX_VALUE:,} printable characters")
    match column.kind:
        case Kind.TEXT:
            if not text:
                raise InputError(f"{column.name} needs a value to be compared with (empty and filled take none)")
            return text
        case Kind.WHOLE if _WHOLE.match(text):
            return int(text)
        case Kind.REAL:
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            if math.isfinite(number):
                return number
        case Kind.FLAG if text.lower() in ("true", "false"):
            return text.lower() == "true"
    raise InputError(f"{column.name} is compared with a {column.kind}, and {text[:40]!r} is none")


def _could_be_of(column: Column, value: object) -> bool:
    """Whether a column could hold this value, which somebody sent."""
    if isinstance(value, str):
        return column.kind is Kind.TEXT and value.encode("utf-8", errors="replace").decode() == value
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return False
    return type(value) in _PYTHON[column.kind]


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _columns(texts: Sequence[str], schema: Schema) -> tuple[str, ...]:
    names = _names(texts)
    if not names:
        return default_columns(schema)
    for name in names:
        known(name, schema)
    return tuple(dict.fromkeys(names))


def _sort(texts: Sequence[str], schema: Schema) -> tuple[Order, ...]:
    orders: dict[str, Order] = {}
    for name in _names(texts):
        column = known(name.removeprefix("-"), schema).name
        orders.setdefault(column, Order(column=column, descending=name.startswith("-")))
    if len(orders) > MAX_SORT:
        raise InputError(f"a view can be sorted by at most {MAX_SORT} columns")
    return tuple(orders.values())


def _names(texts: Sequence[str]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _match(word: str) -> Match:
    if word not in set(Match):
        raise InputError("match is all or any")
    return Match(word)


def _flag(key: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise InputError(f"{key} is 0 or 1")
    return text == "1"


def _limit(text: str) -> int:
    if not _WHOLE.match(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise InputError(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)
