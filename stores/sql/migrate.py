"""Bring the schema up to date: `relay migrate`.

One transaction applies all revisions or none. A second migration waits for the first and then
finds nothing to do. Only their owner can read the SQLite file and its folder. Alembic writes the
statements and our connection executes them, so that one driver serves migrations, gateways and
poolers alike.
"""

import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config

from stores.sql.database import HEAD, REVISIONS, open_database, revision, unknown_revision
from stores.sql.drivers.connection import Patience
from stores.sql.drivers.urls import parsed

# How long a second migration waits for the first: changing big tables takes long.
PATIENCE = Patience(command=3600.0, busy=3600.0)
# An arbitrary number; every migration takes the same lock.
LOCK = "SELECT pg_advisory_xact_lock(7269665)"
# While a change of a table waits for a reader, such as a dump, revocations wait behind it.
LOCK_PATIENCE = timedelta(seconds=5)


def migrate(
    url: str | None, data_dir: Path, *, to: str = HEAD, lock_patience: timedelta = LOCK_PATIENCE
) -> list[str]:
    """Returns the revisions that were applied, oldest first. Needs a thread without an event loop.

    `lock_patience`: how long to wait for tables in use. Raises ValueError, DatabaseUnavailable, and
    SchemaOutdated for a database that is newer than this program.
    """
    if not isinstance(file := parsed(url, data_dir), Path):
        return asyncio.run(_upgraded(url, data_dir, to, lock_patience))
    _make_file(file)
    with _alone(file.parent):
        return asyncio.run(_upgraded(url, data_dir, to, lock_patience))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make other migrations wait: SQLite refuses them at once while the file changes to WAL."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_file(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


async def _upgraded(
    url: str | None, data_dir: Path, to: str, lock_patience: timedelta
) -> list[str]:
    async with (
        open_database(url, data_dir, patience=PATIENCE) as database,
        database.begin() as connection,
    ):
        # The transaction of SQLite is a lock already.
        if not database.file:
            await connection.execute(LOCK)
            milliseconds = lock_patience // timedelta(milliseconds=1)
            await connection.execute(f"SET LOCAL lock_timeout = {milliseconds}")
        found = await revision(connection, file=database.file is not None)
        if found is not None and found not in REVISIONS:
            raise unknown_revision(found)
        first = 0 if found is None else REVISIONS.index(found) + 1
        missing = REVISIONS[first : REVISIONS.index(to) + 1]
        for statement in _statements(found, to, file=bool(database.file)) if missing else ():
            await connection.execute(statement)
        return [*missing]


def _statements(found: str | None, to: str, *, file: bool) -> list[str]:
    """What leads from one revision to another, as Alembic writes it."""
    written: list[str] = []
    dialect = "sqlite" if file else "postgresql"
    config = Config(attributes={"write": written.append, "dialect": dialect})
    config.set_main_option("script_location", "stores.sql:migrations")
    command.upgrade(config, f"{found}:{to}" if found else to, sql=True)
    return [statement for statement in written if not statement.startswith("--")]


if __name__ == "__main__":
    migrate(None, Path(sys.argv[1]))
