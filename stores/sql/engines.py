"""Engines that differ no more than they must: bounded waits, and a pool of a few connections."""

from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stores.sql.errors import translate, unavailable

# Only background work and the routes of administrators ask.
CONNECTIONS = 4
# What libpq takes, and asyncpg would hand to a server that refuses it.
LIBPQ_ONLY = ("channel_binding", "connect_timeout", "gssencmode")


class Patience(NamedTuple):
    """Seconds until a database counts as away."""

    connect: float = 3.0
    # For one statement, the locks of others included.
    command: float = 10.0
    # For SQLite's one writer.
    busy: float = 5.0


PATIENCE = Patience()


def sqlite_engine(file: Path, patience: Patience) -> AsyncEngine:
    """A file that is not there is an error: `migrate` makes it, for us alone to read."""

    async def connect() -> Any:
        from stores.sql import sqlite  # noqa: PLC0415 - not for those who have PostgreSQL

        return await sqlite.connect(file, timeout=patience.busy)

    url = URL.create("sqlite+aiosqlite", database=str(file))
    engine = _engine(url, patience, async_creator=connect)
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # WAL: readers and the writer do not wait for each other. FULL: what was answered was written.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def postgresql_engine(url: URL, patience: Patience) -> AsyncEngine:
    # asyncpg reads what libpq does (sslmode, sslrootcert, several hosts); SQLAlchemy does not.
    dsn = url.set(drivername="postgresql").difference_update_query(LIBPQ_ONLY)

    async def connect() -> Any:
        import asyncpg  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            return await asyncpg.connect(
                dsn.render_as_string(hide_password=False),
                timeout=patience.connect,
                command_timeout=patience.command,
                # A gateway that stopped half-way must not keep its locks for ever.
                server_settings={
                    "application_name": "relay",
                    "idle_in_transaction_session_timeout": "60s",
                },
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise unavailable(error) from error

    # The engine's own URL stays empty: no password is where a log could find it.
    return _engine(URL.create("postgresql+asyncpg"), patience, async_creator=connect)


def _engine(url: URL, patience: Patience, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=patience.command,
        pool_pre_ping=True,
        hide_parameters=True,  # digests and names of keys
        **options,
    )
    event.listen(engine.sync_engine, "handle_error", translate, retval=True)
    return engine
