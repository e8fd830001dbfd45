"""Open the SQL database: `DATABASE_URL`, or SQLite in the data directory.

A database that is away, hangs, is locked or cannot write raises DatabaseUnavailable, in bounded
time and without its password. A mistake in our SQL raises its own error. A transaction that was
not finished, cancelled or not, changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from stores.sql.engines import PATIENCE, Patience, postgresql_engine, sqlite_engine
from stores.sql.errors import DatabaseUnavailable, unavailable

# What a transaction or a reading block yields.
SqlConnection = AsyncConnection

# Every revision, oldest first. Listed here, so that a gateway can check without alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]


class SchemaOutdated(Exception):
    """The gateway needs another schema; the message says what to do."""


class Database:
    """`engine` is for tests and migrations: errors of direct use are not translated in full."""

    def __init__(self, engine: AsyncEngine, *, file: Path | None) -> None:
        self.engine = engine
        self.dialect = cast(Literal["sqlite", "postgresql"], engine.dialect.name)
        self._file = file
        # SQLite may refuse a reader that becomes a writer half-way: take the write lock first.
        writing: dict[str, Any] = {"sqlite_begin": "BEGIN IMMEDIATE"} if file else {}
        # A reader sees one snapshot; with SQLite it always does.
        reading: dict[str, Any] = {} if file else {"isolation_level": "REPEATABLE READ"}
        self._writing = engine.execution_options(**writing)
        self._reading = engine.execution_options(**reading)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction. Raises DatabaseUnavailable; a commit that does may have happened."""
        async with _connected(self._writing) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A transaction for reading; writes are rolled back. Raises DatabaseUnavailable."""
        async with _connected(self._reading) as connection:
            yield connection

    async def check(self) -> None:
        """Check the schema. Raises SchemaOutdated and DatabaseUnavailable."""
        found = None
        if self._file is None or self._file.exists():
            async with self.connect() as connection:
                found = await connection.run_sync(revision)
        if found is not None and found not in REVISIONS:
            raise unknown_revision(found)
        if found != HEAD:
            has = f"is at revision {found}" if found else "has no schema"
            raise SchemaOutdated(
                f"the database {has}, and this gateway needs {HEAD}: run `relay migrate`"
            )


def unknown_revision(found: str) -> SchemaOutdated:
    return SchemaOutdated(
        f"the database is at revision {found}, which this gateway does not know: the gateway "
        "is older than the database: run a newer one"
    )


def revision(connection: Connection) -> str | None:
    """The revision of the schema; None without a schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(engine.connect())
        except NoConnectionFree as error:
            raise DatabaseUnavailable("every connection to the database is in use") from error
        except OSError as error:
            raise unavailable(error) from error
        yield connection


def parsed_url(url: str | None, data_dir: Path) -> URL:
    """The URL as SQLAlchemy takes it. Raises ValueError, which never holds the password."""
    if url is None:
        return URL.create("sqlite+aiosqlite", database=str(data_dir.absolute() / "relay.db"))
    # From None: the parser's message could contain a part of the password.
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("it is not a URL such as postgresql://user:password@host/name") from None
    match parsed.drivername:
        case "postgresql" | "postgres" | "postgresql+asyncpg":
            return parsed.set(drivername="postgresql+asyncpg")
        case "sqlite" | "sqlite+aiosqlite" if parsed.database not in (None, "", ":memory:"):
            path = Path(str(parsed.database)).absolute()
            return parsed.set(drivername="sqlite+aiosqlite", database=str(path))
        case _:
            raise ValueError("it must begin with postgresql:// or sqlite:/// and a path")


def sqlite_file(parsed: URL) -> Path | None:
    return Path(str(parsed.database)) if parsed.drivername == "sqlite+aiosqlite" else None


@asynccontextmanager
async def open_database(
    url: str | None, data_dir: Path, *, patience: Patience = PATIENCE
) -> AsyncIterator[Database]:
    """Yield the database, which connects at its first use. Raises ValueError for the URL."""
    parsed = parsed_url(url, data_dir)
    file = sqlite_file(parsed)
    engine = sqlite_engine(file, patience) if file else postgresql_engine(parsed, patience)
    try:
        yield Database(engine, file=file)
    finally:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(patience.connect):
                await engine.dispose()
