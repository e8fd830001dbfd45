"""The process's SQL database: created in development if it is missing, opened once, when needed."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config.local_keys import audit_keys
from gateway.config.settings import Settings
from stores.audit.chain import Chain
from stores.sql.database import REVISIONS, Database, open_database
from stores.sql.drivers.errors import DatabaseUnavailable

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
    made. Raises DatabaseUnavailable.
    """
    if exists(settings):
        return []
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryDirectory(dir=settings.data_dir, prefix="making-") as folder:
        # In a process of its own: Alembic takes 36 MB, which this process would keep.
        migrating = [sys.executable, "-P", "-m", "stores.sql.migrate", folder]
        done = subprocess.run(migrating, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise DatabaseUnavailable(f"the database cannot be created: {reason}")
        with suppress(FileExistsError):  # another process was first: its database stays
            os.link(Path(folder) / FILE, settings.data_dir / FILE)
            return [*REVISIONS]
    return []


class LazyDatabase:
    """Opens the database at the first `open`; closed at the end of `async with`."""

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
        return self._database is not None

    async def open(self) -> Database:
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

    async def _open(self) -> Database:
        await asyncio.to_thread(create_if_missing, self._settings)
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(open_database(*location(self._settings)))
            await opened.check()
            self._stack = stack.pop_all()
        return opened

    async def existing(self) -> Database | None:
        """The database, for readers that must not create one; None while there is none."""
        return await self.open() if exists(self._settings) else None

    def chain(self) -> Chain:
        """Raises SettingsError."""
        return Chain(audit_keys(self._settings))
