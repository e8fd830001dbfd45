"""Workspaces, and the number by which every gateway learns that something has changed."""

import re
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.dialects import upsert
from stores.sql.tables import generation as generations
from stores.sql.tables import workspaces

# As a DNS label: it stands in keys, logs and headers without escapes. Never `-` alone.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Limits(NamedTuple):
    """Requests a minute, and runs at once; None takes what the gateway is set to."""

    preview: int | None = None
    execute: int | None = None
    runs_at_once: int | None = None
    runs_at_once_per_target: int | None = None


class Workspace(NamedTuple):
    name: str
    created_at: int
    limits: Limits


async def bump(connection: AsyncConnection) -> None:
    """Tell every gateway to read again; what changes keys, secrets or workspaces here does so."""
    await connection.execute(update(generations).values(number=generations.c.number + 1))


async def generation(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(generations.c.number))).scalar_one())


async def lock(connection: AsyncConnection, name: str) -> None:
    """One at a time until the transaction ends; on SQLite every writer is alone already."""
    await connection.execute(
        select(workspaces.c.name).where(workspaces.c.name == name).with_for_update()
    )


async def create(connection: AsyncConnection, name: str, *, now_ms: int) -> bool:
    """False when it is there. Raises ValueError for what cannot be a name."""
    if not NAME.fullmatch(name):
        raise ValueError(
            "a workspace's name has 1 to 63 of a-z, 0-9 and -, and begins with none of the last"
        )
    row = upsert(connection, workspaces).values(name=name, created_at=now_ms)
    made = await connection.execute(row.on_conflict_do_nothing())
    if made.rowcount == 0:
        return False
    await bump(connection)
    return True


async def change(connection: AsyncConnection, name: str, limits: Limits) -> bool:
    """Replace all its limits. False when there is no such workspace."""
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
    """By name."""
    rows = await connection.execute(select(workspaces).order_by(workspaces.c.name))
    return [Workspace(name, made, Limits(*limits)) for name, made, *limits in rows]
