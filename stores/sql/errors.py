"""Which errors say that the database is away, rather than that our SQL is wrong."""

import sqlite3

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

# The database refused a statement, such as one about a table that is gone.
StatementFailed = DBAPIError

# SQLSTATE classes and codes (PostgreSQL, appendix A): connection, authorization, no such database,
# rolled back by others, resources, operator, system, configuration, internal; then a lock not had
# in time, a transaction idle too long, and a server that only reads (a standby after a failover).
LOCKED = "55P03"
AWAY = ("08", "28", "3D", "40", "53", "57", "58", "F0", "XX", LOCKED, "25P03", "25006")
# The primary result codes of SQLite that are no mistake of ours: busy, disk, rights, damage.
SQLITE_AWAY = frozenset(
    (
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
        *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB),
    )
)


class DatabaseUnavailable(Exception):
    """The database does not answer; the message says how, and never holds a password."""


def unavailable(error: BaseException) -> DatabaseUnavailable:
    # SQLAlchemy's own classes for asyncpg's errors say less than those.
    error = getattr(error, "driver_exception", None) or error
    if getattr(error, "sqlstate", None) == LOCKED:
        return DatabaseUnavailable(
            "others use the tables, such as a dump or a transaction that is left open: try again"
        )
    reason = str(error).partition("\n")[0] or "no answer in time"
    return DatabaseUnavailable(f"the database does not answer: {type(error).__name__}: {reason}")


def translate(context: ExceptionContext) -> DatabaseUnavailable | None:
    """For SQLAlchemy's `handle_error`."""
    error = context.original_exception
    # Who is cancelled loses the connection (SQLAlchemy calls that a disconnect), and no more.
    if not isinstance(error, Exception):
        return None
    # A connection that went bad in the pool: SQLAlchemy opens another.
    if context.is_pre_ping and context.is_disconnect:
        return None
    # A statement that was not answered in time is a disconnect too.
    if not (context.is_disconnect or _away(error)):
        return None
    return unavailable(error)


def _away(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        code: int | None = getattr(error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in SQLITE_AWAY
    state: str | None = getattr(error, "sqlstate", None)
    return state is not None and state.startswith(AWAY)
