"""The process's SQL database: created in development if it is missing, opened once, when needed."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config.local_keys import audit_keys
from gateway.config.settings import Settings
from stores.audit import chain as chains
from stores.sql import database as sql

FILE = "relay.db"

log = logging.getLogger("relay.database")


def exists(settings: Settings) -> bool:
    return settings.database_url is not None or (settings.data_dir / FILE).exists()


def location(settings: Settings) -> tuple[str | None, Path]:
    """The arguments of `open_database` and `migrate`."""
    url = settings.database_url
    return (url.reveal().decode() if url else None), settings.data_dir


def create_if_missing(settings: Settings) -> list[str]:
    """Create the embedded database unless there is one; the revisions that were applied.

    It is made in a folder beside its place and linked there, so that no process finds it half
    made. Raises what `migrate` raises.
    """
    if exists(settings):
        return []
    # Alembic takes 11 MB that only this one call needs.
    from stores.sql.migrate import migrate  # noqa: PLC0415

    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryDirectory(dir=settings.data_dir, prefix="making-") as folder:
        applied = migrate(None, Path(folder))
        with suppress(FileExistsError):  # another process was first: its database stays
            os.link(Path(folder) / FILE, settings.data_dir / FILE)
            return applied
    return []


class LazyDatabase:
    """Opens the database at the first `open`; closed at the end of `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._database: sql.Database | None = None
        self._failure: Exception | None = None
        self._failed_at = float("-inf")

    async def __aenter__(self) -> LazyDatabase:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def opened(self) -> bool:
        return self._database is not None

    async def open(self) -> sql.Database:
        """Raises DatabaseUnavailable and SchemaOutdated. Callers that waited for an attempt that
        failed get its error and do not try again.
        """
        if self._database:
            return self._database
        came_at = time.monotonic()
        async with self._opening:
            if self._failure and came_at <= self._failed_at:
                raise self._failure.with_traceback(None)
            try:
                self._database = self._database or await self._open()
            except Exception as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise
        return self._database

    async def _open(self) -> sql.Database:
        await asyncio.to_thread(create_if_missing, self._settings)
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(sql.open_database(*location(self._settings)))
            await opened.check()
            self._stack = stack.pop_all()
        return opened

    def existing(self) -> AbstractAsyncContextManager[sql.Database] | None:
        """The database, for readers that must not create one; None while there is none."""
        return self._shared() if exists(self._settings) else None

    @asynccontextmanager
    async def _shared(self) -> AsyncIterator[sql.Database]:
        yield await self.open()

    def chain(self) -> chains.Chain:
        """Raises SettingsError."""
        return chains.Chain(audit_keys(self._settings))
