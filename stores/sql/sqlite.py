"""Connections to an SQLite file that leave no lock, thread or task, whenever they are cancelled."""

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite


class _File(sqlite3.Connection):
    """Gives its locks back when it is closed. On its own SQLite keeps them while there is a cursor,
    and the error of a block that was cancelled holds on to one.
    """

    def close(self) -> None:
        # It may be closed already, and on a broken disk there is nothing to give back.
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


class _Connection(aiosqlite.Connection):
    _stopped = False

    def stop(self) -> asyncio.Future[Any] | None:
        """Once: who stops a thread that has ended waits for ever (a cancel while it closes)."""
        if self._stopped:
            return None
        self._stopped = True
        return super().stop()

    async def opened(self) -> "_Connection":
        # Exit does not wait for it.
        self._thread.daemon = True
        try:
            await self
        except BaseException:
            # The thread tells of its end to a loop that may be closed by then.
            await asyncio.to_thread(self._thread.join)
            raise
        return self


async def connect(file: Path, *, timeout: float) -> aiosqlite.Connection:
    """A file that is not there is an error. `timeout`: seconds for others to end writing."""
    where = f"file:{quote(str(file))}?mode=rw"

    def connector() -> sqlite3.Connection:
        # No isolation level: Python would begin transactions on its own, and late.
        file = sqlite3.connect(
            where, uri=True, timeout=timeout, isolation_level=None, factory=_File
        )
        file.text_factory = _text
        return file

    return await _Connection(connector, iter_chunk_size=64).opened()


def _text(raw: bytes) -> str:
    """An SQLite text may hold any bytes: one such row must not hide the others."""
    return raw.decode(errors="replace")
