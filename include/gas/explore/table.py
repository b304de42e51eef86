"""A result's table, looked at through DuckDB: pages, counts, suggestions, and all rows of a view one after the other.

Values reach DuckDB as bound parameters alone; names of columns are the file's own. One database in memory serves the
process: it holds nothing but what a query is at, within ``MEMORY_LIMIT``, and puts aside on disk what exceeds that.
"""

# ruff: noqa: S608 - names of columns are those of the file's schema, quoted; everything else is bound or written here

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from gas import memory_database
from gas.annotation import check
from gas.annotation.report import KIND_SQL
from gas.errors import InputError, Unavailable
from gas.explore.cache import TableCache
from gas.explore.view import (
    ENGINE_COLUMNS,
    Column,
    Condition,
    Cursor,
    Kind,
    Match,
    Operator,
    Order,
    Schema,
    View,
    known,
)
from gas.job import StoredObject

MEMORY_LIMIT = "512MB"
THREADS = 2
#: Rows that are fetched from a query at a time.
BATCH = 2000
#: Filters whose counts are remembered.
COUNTS = 1000
MAX_SUGGESTIONS = 20
#: The number of a row in the file, which Parquet itself does not store.
_ROW = "file_row_number"
#: Why an allele that could have a consequence has none; the other reasons are in the words of the check.
NO_GENE = "no gene of the reference there"
#: The file, and what follows from its alleles: nothing is worked out that a query does not name.
_FILE = f"""(
  SELECT *, {KIND_SQL} AS type,
    CASE WHEN type IN ('insertion', 'deletion') THEN length(alt) - length(ref) END AS size,
    CASE WHEN consequence IS NOT NULL THEN NULL
         WHEN alt IS NULL THEN '{check.NO_ALT}'
         WHEN alt = '*' THEN '{check.SPANNING}'
         WHEN type = 'symbolic' THEN '{check.SYMBOLIC}'
         WHEN type = 'breakend' THEN '{check.BREAKEND}'
         WHEN regexp_matches(alt, '[^ACGT]') THEN '{check.AMBIGUOUS}'
         ELSE '{NO_GENE}' END AS why_not
  FROM read_parquet(?, {_ROW}=true)
)"""
#: Whether an allele has an ID or is found in any source, as the summary counts it.
KNOWN = "known"
#: What tells one variant from another: alleles of a record share ``rec``.
_VARIANT = "hash(rec, pos, ref, alt)"
_COMPARISONS = {
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.MORE: ">",
    Operator.AT_LEAST: ">=",
    Operator.IS: "=",
    Operator.IS_NOT: "IS DISTINCT FROM",
}

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What of a table a filter lets through."""

    rows: int
    """A row is one consequence of one variant."""
    variants: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows of a view, in its columns."""

    rows: list[Row]
    first: int
    """Number of its first row in the view, from 1."""
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A value of a column, and in how many rows it stands."""

    value: str
    rows: int


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and what is bound to its parameters, in their order."""

    text: str
    bound: tuple[Any, ...] = ()


class Tables:
    """The tables of results on this machine."""

    def __init__(self, cache: TableCache) -> None:
        self.cache = cache
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._remembered: OrderedDict[tuple[str, Sql], Any] = OrderedDict()

    @contextmanager
    def open(self, stored: StoredObject) -> Iterator[Table]:
        """The table of this version, whoever may see it; its file stays on this machine within the block.

        :raises Unavailable: when it is larger than the cache, or a query needs more memory than there is.
        :raises Damaged: when the copy that arrived is not what the record says.
        """
        with self.cache.held(stored) as path, closing(self._connection()) as connection:
            try:
                yield Table(path, connection, remember=self._remember)
            except duckdb.OutOfMemoryException as error:
                raise Unavailable("looking at this table so takes more memory than there is: filter it more") from error

    def _connection(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._database is None:
                self._database = memory_database.opened(
                    memory_limit=MEMORY_LIMIT,
                    threads=min(THREADS, os.cpu_count() or 1),
                    temp_directory=str(self.cache.folder / f"spill-{os.getpid()}"),
                )
                # A file is read many times, and never changes.
                self._database.execute("SET GLOBAL parquet_metadata_cache = true")
            return self._database.cursor()

    def _remember(self, path: Path, sql: Sql, ask: Callable[[], Any]) -> Any:
        """What ``ask`` answers, from memory where it has been asked before: the files never change."""
        key = (path.name, sql)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        answer = ask()
        with self._lock:
            self._remembered[key] = answer
            while len(self._remembered) > COUNTS:
                self._remembered.popitem(last=False)
        return answer


class Table:
    """One table, open. Its connection serves one thread and one query at a time."""

    def __init__(
        self,
        path: Path,
        connection: duckdb.DuckDBPyConnection,
        *,
        remember: Callable[[Path, Sql, Callable[[], Any]], Any],
    ) -> None:
        self.path = path
        self._connection = connection
        self._remember = remember
        columns: Schema = self._remembered(Sql(f"DESCRIBE FROM {_FILE}"), _schema)
        self._file = _with_known(columns)
        self.schema: Schema = {**columns, KNOWN: Column(name=KNOWN, kind=Kind.FLAG)}

    def page(self, view: View) -> Page:
        """The rows of a view from its cursor on."""
        where, after = where_sql(view), _after(view)
        if view.sort:
            # First which rows, by the columns of the order alone; then what they hold, in all the columns shown.
            keys = _list(order.column for order in view.sort)
            found = self._rows(
                f"SELECT {keys}, {_ROW} FROM {self._file} WHERE {where.text} AND {after.text} "
                f"ORDER BY {_order(view.sort)} LIMIT ?",
                (*where.bound, *after.bound, view.limit + 1),
            )
            numbers = [row[-1] for row in found[: view.limit]]
            marks = ", ".join("?" * len(numbers)) or "NULL"
            held = self._rows(
                f"SELECT {_ROW}, {_list(view.columns)} FROM {self._file} WHERE {_ROW} IN ({marks})", tuple(numbers)
            )
            by_number = {row[0]: row[1:] for row in held}
            rows = [by_number[number] for number in numbers]
        else:
            found = self._rows(
                f"SELECT {_list(view.columns)}, {_ROW} FROM {self._file} WHERE {where.text} AND {after.text} "
                f"ORDER BY {_ROW} LIMIT ?",
                (*where.bound, *after.bound, view.limit + 1),
            )
            rows = [row[:-1] for row in found[: view.limit]]
        seen = view.cursor.seen if view.cursor else 0
        cursor = None
        if len(found) > view.limit:
            *values, row = found[view.limit - 1]
            cursor = view.cursor_after(seen=seen + len(rows), values=values[: len(view.sort)], row=row)
        return Page(rows=rows, first=seen + 1, next_cursor=cursor)

    def total(self, view: View) -> Total:
        """How many rows and variants a view has."""
        if view.filtered:
            where = where_sql(view)
            asked = Sql(
                f"SELECT count(*), count(DISTINCT {_VARIANT}) FROM {self._file} WHERE {where.text}", where.bound
            )
        else:
            asked = Sql(f"SELECT count(*), count(*) FILTER (most_severe) FROM {self._file}")
        ((rows, variants),) = self._remembered(asked, lambda found: found)
        return Total(rows=rows, variants=variants)

    def suggest(self, column: str, prefix: str, *, limit: int = MAX_SUGGESTIONS) -> list[Suggestion]:
        """Values of a text column that begin so, in whatever case, the most frequent first.

        :raises InputError: when there is no such column, or it holds no text.
        """
        if known(column, self.schema).kind is not Kind.TEXT:
            raise InputError(f"{column} holds no text, so there is nothing to suggest")
        name = _name(column)
        # Terms that hold at once are joined by "&": each is a value that can be asked for by has.
        value = f"unnest(string_split({name}, '&'))" if column == "consequence" else name
        found = self._rows(
            f"SELECT value, count(*) AS rows FROM (SELECT {value} AS value FROM {self._file}) "
            "WHERE starts_with(lower(value), lower(?)) GROUP BY value ORDER BY rows DESC, value LIMIT ?",
            (prefix, limit),
        )
        return [Suggestion(value=value, rows=rows) for value, rows in found]

    def stream(self, view: View, columns: Sequence[str]) -> Iterator[list[Row]]:
        """All rows of a view in its order, whatever its page, some at a time."""
        where = where_sql(view)
        order = f"ORDER BY {_order(view.sort)}" if view.sort else ""
        yield from self._batches(
            f"SELECT {_list(columns)} FROM {self._file} WHERE {where.text} {order}",
            where.bound,
        )

    def marked(self, view: View, columns: Sequence[str]) -> Iterator[list[Row]]:
        """All rows of the table in the file's order; the last of each says whether the view has it."""
        where = where_sql(view)
        yield from self._batches(
            f"SELECT {_list(columns)}, coalesce({where.text}, false) FROM {self._file}",
            (*where.bound,),
            file_last=True,
        )

    def write_parquet(self, view: View, target: Path) -> None:
        """Write a view's rows and columns into a Parquet file."""
        where = where_sql(view)
        order = f"ORDER BY {_order(view.sort)}" if view.sort else ""
        select = f"SELECT {_list(view.columns)} FROM {self._file} WHERE {where.text} {order}"
        self._connection.execute(
            f"COPY ({select}) TO ? (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 50000, USE_TMP_FILE false)",
            [str(self.path), *where.bound, str(target)],
        )

    def _batches(self, text: str, bound: tuple[Any, ...], *, file_last: bool = False) -> Iterator[list[Row]]:
        values = [*bound, str(self.path)] if file_last else [str(self.path), *bound]
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(text, values)
            while batch := cursor.fetchmany(BATCH):
                yield batch

    def _rows(self, text: str, bound: tuple[Any, ...]) -> list[Row]:
        return self._connection.execute(text, [str(self.path), *bound]).fetchall()

    def _remembered(self, sql: Sql, read: Callable[[list[Row]], Any]) -> Any:
        return self._remember(self.path, sql, lambda: read(self._rows(sql.text, sql.bound)))


def _schema(described: list[Row]) -> Schema:
    kinds = {"VARCHAR": Kind.TEXT, "BOOLEAN": Kind.FLAG, "DOUBLE": Kind.REAL, "FLOAT": Kind.REAL}
    return {name: Column(name=name, kind=kinds.get(kind, Kind.WHOLE)) for name, kind, *_ in described if name != _ROW}


def _with_known(columns: Schema) -> str:
    """The file with :data:`KNOWN`, which a view would otherwise have to say by a condition for each source's column."""
    sources = [name for name in columns if name not in ENGINE_COLUMNS]
    filled = " OR ".join(f"{_name(name)} IS NOT NULL" for name in ("id", *sources))
    return f"(SELECT *, ({filled}) AS {KNOWN} FROM {_FILE})"


def where_sql(view: View) -> Sql:
    """A view's filter as SQL; true where it has none."""
    parts = [_condition(condition) for condition in view.conditions]
    parts += [_joined([_condition(condition) for condition in group], view.match.other) for group in view.groups]
    return _joined(parts, view.match) if parts else Sql("true")


def _joined(parts: Sequence[Sql], match: Match) -> Sql:
    word = " AND " if match is Match.ALL else " OR "
    return Sql(f"({word.join(part.text for part in parts)})", tuple(value for part in parts for value in part.bound))


def _condition(condition: Condition) -> Sql:
    name, values = _name(condition.column), condition.values
    match condition.operator:
        case Operator.EMPTY:
            return Sql(f"{name} IS NULL")
        case Operator.FILLED:
            return Sql(f"{name} IS NOT NULL")
        case Operator.IN:
            return Sql(f"{name} IN ({', '.join('?' * len(values))})", values)
        case Operator.NOT_IN:
            return Sql(f"({name} IS NULL OR {name} NOT IN ({', '.join('?' * len(values))}))", values)
        case Operator.BETWEEN:
            return Sql(f"{name} BETWEEN ? AND ?", values)
        case Operator.HAS:
            # The first part is cheap and lets few through.
            return Sql(
                f"(contains({name}, ?) AND list_contains(string_split(replace({name}, ',', '&'), '&'), ?))", values * 2
            )
        case Operator.CONTAINS:
            return Sql(f"contains(lower({name}), lower(?))", values)
        case Operator.STARTS:
            return Sql(f"starts_with(lower({name}), lower(?))", values)
    return Sql(f"{name} {_COMPARISONS[condition.operator]} ?", values)


def _after(view: View) -> Sql:
    """What comes after the cursor in the view's order; empty values are last, and equal ones go by row."""
    if view.cursor is None:
        return Sql("true")
    cursor: Cursor = view.cursor
    same: list[Sql] = []
    ways: list[Sql] = []
    for order, value in zip(view.sort, cursor.values, strict=True):
        name = _name(order.column)
        if value is not None:
            sign = "<" if order.descending else ">"
            ways.append(_joined([*same, Sql(f"({name} {sign} ? OR {name} IS NULL)", (value,))], Match.ALL))
            same.append(Sql(f"{name} = ?", (value,)))
        else:
            same.append(Sql(f"{name} IS NULL"))
    ways.append(_joined([*same, Sql(f"{_ROW} > ?", (cursor.row,))], Match.ALL))
    return _joined(ways, Match.ANY)


def _order(sort: Sequence[Order]) -> str:
    keys = [f"{_name(order.column)} {'DESC' if order.descending else 'ASC'} NULLS LAST" for order in sort]
    return ", ".join([*keys, _ROW])


def _list(columns: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(_name(column) for column in columns)


def _name(column: str) -> str:
    """A column of the file's schema, as SQL spells it."""
    return '"' + column.replace('"', '""') + '"'
