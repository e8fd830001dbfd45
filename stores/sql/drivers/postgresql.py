"""Connections to PostgreSQL, also through a pooler in transaction mode such as PgBouncer: no named
prepared statement, no start-up parameter that a pooler refuses, nothing outside of a transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]

from stores.sql.drivers.connection import Connection, Patience
from stores.sql.drivers.errors import (
    ConnectionLost,
    DatabaseUnavailable,
    IntegrityError,
    StatementFailed,
    named,
    unavailable,
)
from stores.sql.tables import Table

T = TypeVar("T")

# InternalClientError: all hosts are standbys, or the server ended between two messages.
ERRORS = (
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    OSError,
)
# SQLSTATE classes and codes (PostgreSQL, appendix A): connection, authorization, no such database,
# rollback by the server, resources, operator, system, configuration, internal; then a lock timeout,
# an idle transaction that was ended, a right that is missing, and a read-only server.
LOST = ("08", "57P", "25P03")
LOCKED, FORBIDDEN, READ_ONLY = "55P03", "42501", "25006"
AWAY = (
    *("08", "28", "3D", "40", "53", "57", "58", "F0", "XX"),
    *(LOCKED, "25P03", FORBIDDEN, READ_ONLY),
)
SENTENCES = {
    LOCKED: "the tables are locked, for example by a dump or an open transaction: try again",
    FORBIDDEN: "the database user lacks a right, which its owner can GRANT "
    "(PostgreSQL 15 and newer: CREATE on the schema public)",
    READ_ONLY: "the database refuses writes: it is a standby, perhaps since a failover",
}
# A gateway that stopped during a transaction must not keep its locks.
BEGIN = "BEGIN ISOLATION LEVEL {}; SET LOCAL idle_in_transaction_session_timeout = '60s'"


async def connect(dsn: str, patience: Patience) -> Connection:
    try:
        link = await asyncpg.connect(
            dsn,
            timeout=patience.connect,
            command_timeout=patience.command,
            statement_cache_size=0,
        )
    except ERRORS as error:
        raise DatabaseUnavailable(*_translated(error).args) from error
    return PostgresConnection(link)


class PostgresConnection(Connection):
    def __init__(self, link: asyncpg.Connection) -> None:
        self._link = link

    async def begin(self, *, write: bool) -> None:
        level = "READ COMMITTED" if write else "REPEATABLE READ"
        await self.execute(BEGIN.format(level))

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        async with self._translated():
            return [tuple(row) for row in await self._link.fetch(sql, *values)]

    async def execute(self, sql: str, *values: object) -> int:
        async with self._translated():
            status: str = await self._link.execute(sql, *values)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def insert(self, table: Table, rows: Sequence[Sequence[object]], then: str = "") -> int:
        """One statement with an array for each column."""
        kinds = (kind.partition("(")[0] for kind in table.columns.values())
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(kinds, 1))
        return await self.execute(
            f"INSERT INTO {table.name} ({table.names}) "  # noqa: S608
            f"SELECT * FROM unnest({arrays}) {then}",
            *map(list, zip(*rows, strict=True)),
        )

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await work(self)

    def close(self) -> None:
        self.closed = True
        self._link.terminate()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except ERRORS as error:
            if isinstance(ours := _translated(error), DatabaseUnavailable):
                self.close()
            raise ours from error
        except asyncio.CancelledError:
            self.close()
            raise


def _translated(error: Exception) -> Exception:
    state: str = getattr(error, "sqlstate", None) or ""
    # A ValueError is about our values; a timeout leaves open whether the connection works.
    if (not state and not isinstance(error, TimeoutError | ValueError)) or state.startswith(LOST):
        return ConnectionLost(*unavailable(error).args)
    if state in SENTENCES:
        return DatabaseUnavailable(SENTENCES[state])
    if isinstance(error, TimeoutError) or state.startswith(AWAY):
        return unavailable(error)
    return (IntegrityError if state.startswith("23") else StatementFailed)(named(error))
