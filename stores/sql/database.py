"""Open the SQL database: `DATABASE_URL`, or SQLite in the data directory.

A database that is away, hangs, is locked or cannot write raises DatabaseUnavailable, in bounded
time and without its password. A mistake in our SQL raises StatementFailed. A transaction that was
not finished, cancelled or not, changes nothing. A database that turns out to be unavailable loses
all its idle connections, because after a failover they lead to a server that refuses writes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from stores.sql.drivers.connection import PATIENCE, Connection, Patience
from stores.sql.drivers.errors import (
    ConnectionLost,
    DatabaseUnavailable,
    SchemaOutdated,
    StatementFailed,
)
from stores.sql.drivers.urls import parsed

# Every revision, oldest first. Listed here, so that a gateway can check without alembic.
REVISIONS = tuple(f"{number:04d}" for number in range(1, 13))
HEAD = REVISIONS[-1]
# Background work and few endpoints use the database; previews and executions do not.
CONNECTIONS = 4


class Database:
    """A pool of a few connections."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], patience: Patience, file: Path | None
    ) -> None:
        """`file`: of SQLite."""
        self._connect = connect
        self._patience = patience
        self.file = file
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        """A write transaction. Raises DatabaseUnavailable; a commit that does may have happened."""
        async with self._transaction(write=True) as connection:
            yield connection
            await connection.execute("COMMIT;")

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A transaction for reading; writes are rolled back. Raises DatabaseUnavailable."""
        async with self._transaction(write=False) as connection:
            yield connection
            await connection.execute("ROLLBACK")

    @asynccontextmanager
    async def _transaction(self, *, write: bool) -> AsyncIterator[Connection]:
        await self._take_slot()
        try:
            connection = await self._begun(write=write)
            try:
                yield connection
            except BaseException as error:
                await self._undo(connection, error)
                raise
            self._idle.append(connection)
        except DatabaseUnavailable:
            await self.close()
            raise
        finally:
            self._slots.release()

    async def _take_slot(self) -> None:
        try:
            async with asyncio.timeout(self._patience.command):
                await self._slots.acquire()
        except TimeoutError as error:
            busy = "every connection to the database is in use"
            raise DatabaseUnavailable(busy) from error

    async def _begun(self, *, write: bool) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            with suppress(ConnectionLost):  # while it was idle
                return await self._begin(connection, write=write)
        return await self._begin(await self._connect(), write=write)

    async def _begin(self, connection: Connection, *, write: bool) -> Connection:
        try:
            await connection.begin(write=write)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _undo(self, connection: Connection, error: BaseException) -> None:
        undone = False
        try:
            if isinstance(error, Exception) and not connection.closed:
                with suppress(DatabaseUnavailable, StatementFailed):
                    await connection.execute("ROLLBACK")
                    undone = True
        finally:  # also where the rollback was cancelled
            if undone:
                self._idle.append(connection)
            else:
                connection.close()

    async def check(self) -> None:
        """Check the schema. Raises SchemaOutdated and DatabaseUnavailable."""
        found = None
        if self.file is None or self.file.exists():
            async with self.connect() as connection:
                found = await revision(connection, file=self.file is not None)
        if found is not None and found not in REVISIONS:
            raise unknown_revision(found)
        if found != HEAD:
            has = f"is at revision {found}" if found else "has no schema"
            raise SchemaOutdated(
                f"the database {has}, and this gateway needs {HEAD}: run `relay migrate`"
            )

    async def close(self) -> None:
        """Close the idle connections."""
        idle, self._idle = self._idle, []
        closing = [connection.close() for connection in idle]
        threads = [asyncio.wrap_future(one) for one in closing if isinstance(one, Future)]
        if threads:
            await asyncio.wait(threads, timeout=self._patience.connect)


def unknown_revision(found: str) -> SchemaOutdated:
    return SchemaOutdated(
        f"the database is at revision {found}, which this gateway does not know: the gateway "
        "is older than the database: run a newer one"
    )


async def revision(connection: Connection, *, file: bool) -> str | None:
    """The revision of the schema; None without a schema."""
    there = (
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
        if file
        else "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL"
    )
    if not await connection.fetch(there):
        return None
    rows = await connection.fetch("SELECT version_num FROM alembic_version")
    return str(rows[0][0]) if rows else None


@asynccontextmanager
async def open_database(
    url: str | None, data_dir: Path, *, patience: Patience = PATIENCE
) -> AsyncIterator[Database]:
    """Yield the database, which connects at its first use. Raises ValueError for the URL."""
    location = parsed(url, data_dir)
    if isinstance(location, Path):
        from stores.sql.drivers import sqlite  # noqa: PLC0415 - 1 MB

        connect, file = partial(sqlite.connect, location, patience), location
    else:
        from stores.sql.drivers import postgresql  # noqa: PLC0415 - 6 MB

        connect, file = partial(postgresql.connect, location.dsn, patience), None
    database = Database(connect, patience, file)
    try:
        yield database
    finally:
        await database.close()
