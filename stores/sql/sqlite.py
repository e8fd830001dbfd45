"""Connections to an SQLite file that leave no lock, thread or task behind when cancelled."""

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite


class _File(sqlite3.Connection):
    """Release the locks on close. SQLite alone keeps them while a cursor exists, and the traceback
    of a cancelled block may refer to one.
    """

    def close(self) -> None:
        # It may be closed already, and on a broken disk there is nothing to release.
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


class _Connection(aiosqlite.Connection):
    _stopped = False

    def stop(self) -> asyncio.Future[Any] | None:
        """Stop once: to stop an ended thread would wait forever (a cancel during close)."""
        if self._stopped:
            return None
        self._stopped = True
        return super().stop()

    async def opened(self) -> "_Connection":
        # A daemon, so that the process can exit without it.
        self._thread.daemon = True
        try:
            await self
        except BaseException:
            # The thread reports its end to the event loop, which may be closed by then.
            await asyncio.to_thread(self._thread.join)
            raise
        return self


async def connect(file: Path, *, timeout: float) -> aiosqlite.Connection:
    """A missing file is an error. `timeout`: how many seconds to wait for other writers."""
    where = f"file:{quote(str(file))}?mode=rw"

    def connector() -> sqlite3.Connection:
        # Without isolation_level=None Python would begin transactions itself, and too late.
        file = sqlite3.connect(
            where, uri=True, timeout=timeout, isolation_level=None, factory=_File
        )
        file.text_factory = _text
        return file

    return await _Connection(connector, iter_chunk_size=64).opened()


def _text(raw: bytes) -> str:
    """Decode any bytes, because an SQLite text may hold them: one bad row must not hide others."""
    return raw.decode(errors="replace")
