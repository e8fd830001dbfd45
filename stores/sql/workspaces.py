"""Workspaces, and the generation number that makes every gateway read changes."""

import re
from typing import NamedTuple

from stores.sql.drivers.connection import Connection
from stores.sql.tables import WORKSPACES

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


async def bump(connection: Connection) -> None:
    """Make every gateway read again. Each change of keys, secrets or workspaces calls this."""
    await connection.execute("UPDATE generation SET number = number + 1")


async def generation(connection: Connection) -> int:
    [(number,)] = await connection.fetch("SELECT number FROM generation")
    return int(number)


async def lock(connection: Connection, name: str) -> None:
    """Lock the workspace until the transaction ends. SQLite has one writer at a time anyway."""
    await connection.fetch("SELECT name FROM workspaces WHERE name = $1 FOR UPDATE", name)


async def create(connection: Connection, name: str, *, now_ms: int) -> bool:
    """False if it exists. Raises ValueError for an invalid name."""
    if not NAME.fullmatch(name):
        raise ValueError(
            "a workspace's name has 1 to 63 characters of a-z, 0-9 and -, and does not begin with -"
        )
    row = (name, now_ms, *Limits())
    if not await connection.insert(WORKSPACES, [row], "ON CONFLICT DO NOTHING"):
        return False
    await bump(connection)
    return True


async def change(connection: Connection, name: str, limits: Limits) -> bool:
    """Replace all limits of a workspace. False if it does not exist."""
    changed = await connection.execute(
        "UPDATE workspaces SET preview_limit = $2, execute_limit = $3, runs_at_once = $4, "
        "runs_at_once_per_target = $5 WHERE name = $1",
        name,
        *limits,
    )
    if changed:
        await bump(connection)
    return bool(changed)


async def list_all(connection: Connection) -> list[Workspace]:
    """All workspaces, ordered by name."""
    rows = await connection.fetch(WORKSPACES.select + "ORDER BY name")
    return [Workspace(name, made, Limits(*limits)) for name, made, *limits in rows]
