"""DuckDB in memory, for one piece of work or one process: it keeps to what it is given.

DuckDB takes every processor and most of the memory otherwise, and fetches extensions from the network when a query
could use one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def opened(*, memory_limit: str, threads: int = 1, **options: str | int) -> duckdb.DuckDBPyConnection:
    """A new database.

    :param memory_limit: as DuckDB has it, such as ``256MB``.
    :param threads: how many it works with, the caller's among them.
    :param options: further ones of DuckDB's configuration.
    """
    import duckdb

    return duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **options,
        }
    )
