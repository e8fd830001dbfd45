"""Connections to an SQLite file, each in its own thread; cancelled work leaves no lock behind."""

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from stores.sql.drivers.connection import Connection, Patience
from stores.sql.drivers.errors import (
    DatabaseUnavailable,
    IntegrityError,
    StatementFailed,
    named,
    unavailable,
)
from stores.sql.tables import Table

T = TypeVar("T")

THREAD = "relay-sqlite"
# Primary result codes of SQLite that our SQL cannot cause: busy, disk, permissions, damage.
SQLITE_AWAY = frozenset(
    (
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
        *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB),
    )
)


async def connect(file: Path, patience: Patience) -> Connection:
    connection = SqliteConnection()
    try:
        await connection.open(file, patience)
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteConnection(Connection):
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, THREAD)
        self._files: list[sqlite3.Connection] = []  # of one, once it is open

    async def open(self, file: Path, patience: Patience) -> None:
        await self._do(lambda: self._open(file, patience))

    async def begin(self, *, write: bool) -> None:
        # A reader that becomes a writer half-way may be refused: take the write lock first.
        await self.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        return await self._do(lambda: self._execute(sql, values).fetchall())

    async def execute(self, sql: str, *values: object) -> int:
        return await self._do(lambda: self._execute(sql, values).rowcount)

    async def insert(self, table: Table, rows: Sequence[Sequence[object]], then: str = "") -> int:
        places = ", ".join("?" * len(table.columns))
        sql = f"INSERT INTO {table.name} ({table.names}) VALUES ({places}) {then}"  # noqa: S608
        return await self._do(lambda: self._files[0].executemany(sql, rows).rowcount)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._do(lambda: _finish(cast(Coroutine[Any, Any, T], work(self))))

    def close(self) -> Future[None] | None:
        if self.closed:
            return None
        self.closed = True
        for file in self._files:
            file.interrupt()
        closing = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        return closing

    async def _do(self, statement: Callable[[], T]) -> T:
        try:
            if threading.current_thread().name.startswith(THREAD):  # the work of `run`
                return statement()
            return await asyncio.get_running_loop().run_in_executor(self._thread, statement)
        except sqlite3.Error as error:
            if isinstance(ours := _translated(error), DatabaseUnavailable):
                self.close()
            raise ours from error

    def _open(self, path: Path, patience: Patience) -> None:
        """A missing file is an error: `migrate` creates it, readable by its owner only."""
        connect = partial(sqlite3.connect, f"file:{quote(str(path))}?mode=rw", uri=True)
        # Without isolation_level=None Python would begin transactions itself, and too late.
        file = connect(timeout=patience.busy, isolation_level=None, check_same_thread=False)
        self._files.append(file)
        # An SQLite text may hold any bytes: one bad row must not hide others.
        file.text_factory = partial(str, encoding="utf-8", errors="replace")
        # WAL: readers and the writer do not wait for each other. FULL: a commit is on the disk.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            file.execute(f"PRAGMA {pragma}")

    def _execute(self, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        lists = [json.dumps(value) if isinstance(value, list) else value for value in values]
        return self._files[0].execute(_adapted(sql), lists)

    def _close(self) -> None:
        for file in self._files:
            # Or a cursor in the traceback of a cancelled block would keep the locks.
            with suppress(sqlite3.Error):
                file.rollback()
                file.execute("SELECT 1")  # or the interrupt would stop the checkpoint, too
            file.close()


def _translated(error: sqlite3.Error) -> Exception:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in SQLITE_AWAY:
        return unavailable(error)
    broken = isinstance(error, sqlite3.IntegrityError)
    return (IntegrityError if broken else StatementFailed)(named(error))


@lru_cache(maxsize=256)
def _adapted(sql: str) -> str:
    sql = re.sub(r" FOR UPDATE( SKIP LOCKED)?", "", sql)
    sql = re.sub(r"= ANY\(\$(\d+)\)", r"IN (SELECT value FROM json_each(?\1))", sql)
    return re.sub(r"\$(\d+)", r"?\1", sql)


def _finish(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    work.close()
    raise RuntimeError("the work waits for something else than its connection")
