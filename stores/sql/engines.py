"""Engines for SQLite and PostgreSQL, with bounded waits and a pool of a few connections."""

from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stores.sql.errors import translate, unavailable

# Background work and few endpoints use the database; previews and executions do not.
CONNECTIONS = 4
# Options of libpq that asyncpg would pass to the server, which refuses them.
LIBPQ_ONLY = ("channel_binding", "connect_timeout", "gssencmode")


class Patience(NamedTuple):
    """How many seconds until a database counts as unavailable."""

    connect: float = 3.0
    # For one statement, waits for locks included.
    command: float = 10.0
    # For the write lock of SQLite.
    busy: float = 5.0


PATIENCE = Patience()


def sqlite_engine(file: Path, patience: Patience) -> AsyncEngine:
    """A missing file is an error: `migrate` creates it, readable by its owner only."""

    async def connect() -> Any:
        from stores.sql import sqlite  # noqa: PLC0415 - PostgreSQL does not need it

        return await sqlite.connect(file, timeout=patience.busy)

    url = URL.create("sqlite+aiosqlite", database=str(file))
    engine = _engine(url, patience, async_creator=connect)
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # WAL: readers and the writer do not wait for each other. FULL: a commit is on the disk.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def postgresql_engine(url: URL, patience: Patience) -> AsyncEngine:
    # asyncpg reads the URLs of libpq (sslmode, sslrootcert, several hosts); SQLAlchemy does not.
    dsn = url.set(drivername="postgresql").difference_update_query(LIBPQ_ONLY)

    async def connect() -> Any:
        import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            return await asyncpg.connect(
                dsn.render_as_string(hide_password=False),
                timeout=patience.connect,
                command_timeout=patience.command,
                # A gateway that stopped during a transaction must not keep its locks.
                server_settings={
                    "application_name": "relay",
                    "idle_in_transaction_session_timeout": "60s",
                },
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise unavailable(error) from error

    # The engine's own URL stays empty, so that no log can contain the password.
    return _engine(URL.create("postgresql+asyncpg"), patience, async_creator=connect)


def _engine(url: URL, patience: Patience, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=patience.command,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold digests and names of keys
        **options,
    )
    event.listen(engine.sync_engine, "handle_error", translate, retval=True)
    return engine
