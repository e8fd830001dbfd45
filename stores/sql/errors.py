"""Tell errors of an unavailable database from errors of our SQL."""

import sqlite3

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

# The database refused a statement, for example because a table is missing.
StatementFailed = DBAPIError

# SQLSTATE classes and codes (PostgreSQL, appendix A): connection, authorization, no such database,
# rollback by the server, resources, operator, system, configuration, internal; then a lock timeout,
# an idle transaction that was ended, and a read-only server (a standby after a failover).
LOCKED = "55P03"
AWAY = ("08", "28", "3D", "40", "53", "57", "58", "F0", "XX", LOCKED, "25P03", "25006")
# Primary result codes of SQLite that our SQL cannot cause: busy, disk, permissions, damage.
SQLITE_AWAY = frozenset(
    (
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
        *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB),
    )
)


class DatabaseUnavailable(Exception):
    """The database does not answer; the message names the error, and never contains a password."""


def unavailable(error: BaseException) -> DatabaseUnavailable:
    # asyncpg's own errors say more than the classes that SQLAlchemy wraps them in.
    error = getattr(error, "driver_exception", None) or error
    if getattr(error, "sqlstate", None) == LOCKED:
        return DatabaseUnavailable(
            "the tables are locked, for example by a dump or an open transaction: try again"
        )
    reason = str(error).partition("\n")[0] or "no answer in time"
    return DatabaseUnavailable(f"the database does not answer: {type(error).__name__}: {reason}")


def translate(context: ExceptionContext) -> DatabaseUnavailable | None:
    """Handle SQLAlchemy's event `handle_error`; None leaves the error as it is."""
    error = context.original_exception
    # SQLAlchemy reports a cancelled task as a disconnect; only its connection is lost.
    if not isinstance(error, Exception):
        return None
    # A pooled connection was lost while idle: SQLAlchemy opens another.
    if context.is_pre_ping and context.is_disconnect:
        return None
    # A statement that times out is reported as a disconnect too.
    if not (context.is_disconnect or _away(error)):
        return None
    return unavailable(error)


def _away(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        code: int | None = getattr(error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in SQLITE_AWAY
    state: str | None = getattr(error, "sqlstate", None)
    return state is not None and state.startswith(AWAY)
