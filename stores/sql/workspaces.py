"""Workspaces, and the generation number that makes every gateway read changes."""

import re
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.dialects import upsert
from stores.sql.tables import generation as generations
from stores.sql.tables import workspaces

# A DNS label needs no escapes in keys, logs and headers. `-` alone is not a name.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Limits(NamedTuple):
    """Limits of requests a minute and of concurrent runs; None uses the setting."""

    preview: int | None = None
    execute: int | None = None
    runs_at_once: int | None = None
    runs_at_once_per_target: int | None = None


class Workspace(NamedTuple):
    name: str
    created_at: int
    limits: Limits


async def bump(connection: AsyncConnection) -> None:
    """Make every gateway read again. Each change of keys, secrets or workspaces calls this."""
    await connection.execute(update(generations).values(number=generations.c.number + 1))


async def generation(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(generations.c.number))).scalar_one())


async def lock(connection: AsyncConnection, name: str) -> None:
    """Lock the workspace until the transaction ends. SQLite has one writer at a time anyway."""
    await connection.execute(
        select(workspaces.c.name).where(workspaces.c.name == name).with_for_update()
    )


async def create(connection: AsyncConnection, name: str, *, now_ms: int) -> bool:
    """False if it exists. Raises ValueError for an invalid name."""
    if not NAME.fullmatch(name):
        raise ValueError(
            "a workspace's name has 1 to 63 characters of a-z, 0-9 and -, and does not begin with -"
        )
    row = upsert(connection, workspaces).values(name=name, created_at=now_ms)
    made = await connection.execute(row.on_conflict_do_nothing())
    if made.rowcount == 0:
        return False
    await bump(connection)
    return True


async def change(connection: AsyncConnection, name: str, limits: Limits) -> bool:
    """Replace all limits of a workspace. False if it does not exist."""
    changed = await connection.execute(
        update(workspaces)
        .where(workspaces.c.name == name)
        .values(
            preview_limit=limits.preview,
            execute_limit=limits.execute,
            runs_at_once=limits.runs_at_once,
            runs_at_once_per_target=limits.runs_at_once_per_target,
        )
    )
    if changed.rowcount == 0:
        return False
    await bump(connection)
    return True


async def list_all(connection: AsyncConnection) -> list[Workspace]:
    """All workspaces, ordered by name."""
    rows = await connection.execute(select(workspaces).order_by(workspaces.c.name))
    return [Workspace(name, made, Limits(*limits)) for name, made, *limits in rows]
