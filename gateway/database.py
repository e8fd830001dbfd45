"""The durable store as this process has it: opened when it is first needed, kept until the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from gateway.config.local_keys import audit_keys
from gateway.config.settings import Settings
from gateway.durable import create_if_missing, exists, location

if TYPE_CHECKING:
    from gateway.admin.services import Services
    from stores.audit.chain import Chain
    from stores.sql.database import Database


class LazyDatabase:
    """`async with`: closed at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._database: Database | None = None
        self._failure: Exception | None = None
        self._failed_at = float("-inf")

    async def __aenter__(self) -> "LazyDatabase":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def opened(self) -> bool:
        """Whether it was needed yet."""
        return self._database is not None

    async def open(self) -> "Database":
        """In development the embedded one is made if there is none.

        Raises DatabaseUnavailable, SchemaOutdated: who waited for a try that failed does not wait
        for one of his own.
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

    async def _open(self) -> "Database":
        await create_if_missing(self._settings)
        from stores.sql.database import open_database

        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(open_database(*location(self._settings)))
            await opened.check()
            self._stack = stack.pop_all()
        return opened

    def found(self) -> "AbstractAsyncContextManager[Database] | None":
        """The database for the roster; None while there is none."""
        return self._shared() if exists(self._settings) else None

    @asynccontextmanager
    async def _shared(self) -> "AsyncIterator[Database]":
        yield await self.open()

    def chain(self) -> "Chain":
        """Raises SettingsError."""
        from stores.audit.chain import Chain

        return Chain(audit_keys(self._settings))

    async def services(self) -> "Services":
        """Raises DatabaseUnavailable, SchemaOutdated, SettingsError."""
        from gateway.admin.services import services

        return services(self._settings, await self.open())
