"""API keys as rows: never the key itself, only its digest.

No workspace loses the last key that can make others; every change reaches the gateways.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Row, bindparam, case, func, select, update
from sqlalchemy import insert as into
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.tables import api_keys
from stores.sql.workspaces import bump, lock

DAY_MS = 24 * 3600 * 1000
# The scope without which an admin could not make the next admin.
MANAGE = "keys:manage"
# Ids asked for at once, as PostgreSQL and SQLite bind some 32,000 values a statement.
AT_ONCE = 1000
# Who tries an older one is a stranger: to read so many blocks a gateway for 12 ms.
ENDED_MAX = 10_000


class ApiKey(NamedTuple):
    """Times are epoch milliseconds. `scopes`: None for all of the role."""

    id: str
    workspace: str
    name: str
    live: bool
    role: str
    scopes: tuple[str, ...] | None
    digest: bytes
    created_at: int
    created_by: str
    expires_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None
    replaced_by: str | None = None
    pepper_id: str | None = None

    @property
    def manages(self) -> bool:
        """Whether it can make and revoke keys."""
        return self.role == "admin" and (self.scopes is None or MANAGE in self.scopes)

    def manages_as(self, other: "ApiKey") -> bool:
        """Whether it can make and revoke all that the other can: of its kind, and no narrower."""
        held = set(self.scopes or ()) if self.scopes is not None else None
        wide = held is None or (other.scopes is not None and held >= set(other.scopes))
        return self.manages and wide and (self.live or not other.live)


class Revoked(NamedTuple):
    """`key` as it is now; `again` when it was revoked before, and nothing has changed."""

    key: ApiKey
    again: bool


class LastAdmin(NamedTuple):
    """No key could manage keys any more."""


class NoKey(NamedTuple):
    """None with this id in this workspace."""


async def insert(connection: AsyncConnection, key: ApiKey) -> None:
    """Raises IntegrityError for an id that is taken, or a workspace that is not there."""
    scopes = None if key.scopes is None else " ".join(key.scopes)
    await connection.execute(into(api_keys).values({**key._asdict(), "scopes": scopes}))
    await bump(connection)


async def active(connection: AsyncConnection, now_ms: int) -> list[ApiKey]:
    """Of all workspaces: neither revoked nor expired."""
    return await _keys(connection, _is_usable(now_ms), api_keys.c.workspace, api_keys.c.id)


async def ended(
    connection: AsyncConnection, now_ms: int, *, since_ms: int, limit: int = ENDED_MAX
) -> dict[str, str]:
    """The workspaces of those that were revoked or have expired since then, by their ids; of very
    many the last.
    """
    over = (api_keys.c.revoked_at >= since_ms) | api_keys.c.expires_at.between(since_ms, now_ms)
    when = func.coalesce(api_keys.c.revoked_at, api_keys.c.expires_at)
    asked = select(api_keys.c.id, api_keys.c.workspace).where(over)
    rows = await connection.execute(asked.order_by(when.desc()).limit(limit))
    return {row.id: row.workspace for row in rows}


async def any_made(connection: AsyncConnection) -> bool:
    """Whether there ever was one, revoked or not."""
    return (await connection.execute(select(api_keys.c.id).limit(1))).first() is not None


async def list_all(connection: AsyncConnection, workspace: str) -> list[ApiKey]:
    """All of a workspace, newest first."""
    newest = api_keys.c.created_at.desc(), api_keys.c.id.desc()
    return await _keys(connection, api_keys.c.workspace == workspace, *newest)


async def find(connection: AsyncConnection, workspace: str, key_id: str) -> ApiKey | None:
    found = await _keys(connection, _named(workspace, key_id))
    return found[0] if found else None


async def revoke(
    connection: AsyncConnection, workspace: str, key_id: str, *, actor: str, now_ms: int
) -> Revoked | LastAdmin | NoKey:
    # Before anything is read: the second of two sees what the first has done.
    await lock(connection, workspace)
    key = await find(connection, workspace, key_id)
    if key is None:
        return NoKey()
    if key.revoked_at is not None:
        return Revoked(key, again=True)
    if key.manages and key.expires_at > now_ms and not await _others(connection, key, now_ms):
        return LastAdmin()
    end = update(api_keys).where(_named(workspace, key_id))
    await connection.execute(end.values(revoked_at=now_ms, revoked_by=actor))
    await bump(connection)
    return Revoked(key._replace(revoked_at=now_ms, revoked_by=actor), again=False)


async def _others(connection: AsyncConnection, key: ApiKey, now_ms: int) -> bool:
    """Whether another key manages on. One that ends within a day does not count."""
    lasting = _is_usable(now_ms + DAY_MS) & api_keys.c.replaced_by.is_(None)
    others = (api_keys.c.workspace == key.workspace) & (api_keys.c.id != key.id)
    return any(other.manages_as(key) for other in await _keys(connection, lasting & others))


async def retire(
    connection: AsyncConnection, workspace: str, key_id: str, *, expires_at: int, replaced_by: str
) -> bool:
    """Let a key end by then, if not before. False when there is none that could: it is unknown,
    revoked, or replaced already.
    """
    replaceable = api_keys.c.revoked_at.is_(None) & api_keys.c.replaced_by.is_(None)
    sooner = case((api_keys.c.expires_at < expires_at, api_keys.c.expires_at), else_=expires_at)
    retired = await connection.execute(
        update(api_keys)
        .where(_named(workspace, key_id), replaceable)
        .values(expires_at=sooner, replaced_by=replaced_by)
    )
    if retired.rowcount == 0:
        return False
    await bump(connection)
    return True


async def used(connection: AsyncConnection, moments: Mapping[str, int]) -> set[str]:
    """When each key, by its id, was last used; a later moment stands. Gateways need not know.

    Returns the keys that are being changed at this moment, which are left out: who waits for no
    row, while it holds those of many workspaces, is in no deadlock.
    """
    key_ids, left_out = list(moments), set[str]()
    for start in range(0, len(key_ids), AT_ONCE):
        there = select(api_keys.c.id).where(api_keys.c.id.in_(key_ids[start : start + AT_ONCE]))
        unlocked = await connection.execute(there.with_for_update(skip_locked=True))
        free = set(unlocked.scalars())
        if free:
            rows = [{"key": key_id, "moment": moments[key_id]} for key_id in free]
            await connection.execute(_USED, rows)
        left_out |= {*(await connection.execute(there)).scalars()} - free
    return left_out


_moment: BindParameter[int] = bindparam("moment")
_last = api_keys.c.last_used_at
_USED = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key"), _last.is_(None) | (_last < _moment))
    .values(last_used_at=_moment)
)


def _named(workspace: str, key_id: str) -> ColumnElement[bool]:
    return (api_keys.c.workspace == workspace) & (api_keys.c.id == key_id)


def _is_usable(now_ms: int) -> ColumnElement[bool]:
    return api_keys.c.revoked_at.is_(None) & (api_keys.c.expires_at > now_ms)


async def _keys(
    connection: AsyncConnection, which: ColumnElement[bool], *order: ColumnElement[Any]
) -> list[ApiKey]:
    rows = await connection.execute(select(api_keys).where(which).order_by(*order))
    return [_key(row) for row in rows]


def _key(row: Row[Any]) -> ApiKey:
    key = ApiKey._make(row)
    return key if row.scopes is None else key._replace(scopes=tuple(row.scopes.split()))
