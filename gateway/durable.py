"""The durable store of these settings; SQLAlchemy is loaded when there is one to open."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gateway.config.settings import Settings

if TYPE_CHECKING:
    from stores.sql.database import Database

FILE = "relay.db"

log = logging.getLogger("relay.durable")


def durable(settings: Settings) -> "AbstractAsyncContextManager[Database] | None":
    """None while there is nothing to open: no DATABASE_URL, and no file in the data directory."""
    if not exists(settings):
        return None
    from stores.sql.database import open_database

    return open_database(*location(settings))


def exists(settings: Settings) -> bool:
    return settings.database_url is not None or (settings.data_dir / FILE).exists()


def location(settings: Settings) -> tuple[str | None, Path]:
    """What `open_database` and `migrate` take."""
    url = settings.database_url
    return (url.reveal().decode() if url else None), settings.data_dir


async def create_if_missing(settings: Settings) -> None:
    """Where the embedded database is used and there is none, make one.

    A process of its own makes it, and not in its place: to migrate loads 11 MB, and nobody may
    find it half made.
    """
    if exists(settings):
        return
    with _aside(settings.data_dir) as folder:
        command = [sys.executable, "-m", "gateway", "migrate"]
        environ = {**os.environ, "RELAY_DATA_DIR": folder, "DATABASE_URL": ""}
        if await _ended(command, environ) != 0:
            place = settings.data_dir / FILE
            log.error("durable.not_made", extra={"fields": {"place": str(place)}})
            return
        _put(folder, settings.data_dir)


def create_in_process(settings: Settings) -> list[str]:
    """The same in this process, which is a command's. Returns and raises what `migrate` does."""
    if exists(settings):
        return []
    from stores.sql.migrate import migrate

    with _aside(settings.data_dir) as folder:
        applied = migrate(None, Path(folder))
        return applied if _put(folder, settings.data_dir) else []


def _aside(data_dir: Path) -> TemporaryDirectory[str]:
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return TemporaryDirectory(dir=data_dir, prefix="making-")


def _put(folder: str, data_dir: Path) -> bool:
    """In one step. False where another process was first: its database stays."""
    with suppress(FileExistsError):
        os.link(Path(folder) / FILE, data_dir / FILE)
        return True
    return False


async def _ended(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """The status with which it ended. Who is cancelled leaves no process behind."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
