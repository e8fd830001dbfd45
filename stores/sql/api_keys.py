"""API keys in the database: only a key's digest is stored.

A workspace cannot lose the last key that can make others. Every change reaches every gateway.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Row, bindparam, case, func, select, update
from sqlalchemy import insert as into
from sqlalchemy.ext.asyncio import AsyncConnection

from stores.sql.tables import api_keys
from stores.sql.workspaces import bump, lock

DAY_MS = 24 * 3600 * 1000
# The scope that an admin needs to make another admin.
MANAGE = "keys:manage"
# Ids in one statement: PostgreSQL and SQLite bind some 32,000 values.
AT_ONCE = 1000
# The use of an older ended key is attributed to no workspace. Reading this many takes 12 ms.
ENDED_MAX = 10_000


class ApiKey(NamedTuple):
    """Times are epoch milliseconds. `scopes`: None for all scopes of the role."""

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
        """Whether the key can make and revoke keys."""
        return self.role == "admin" and (self.scopes is None or MANAGE in self.scopes)

    def manages_as(self, other: "ApiKey") -> bool:
        """Whether the key can make and revoke every key that the other one can."""
        held = set(self.scopes or ()) if self.scopes is not None else None
        wide = held is None or (other.scopes is not None and held >= set(other.scopes))
        return self.manages and wide and (self.live or not other.live)


class Revoked(NamedTuple):
    """`key` as it is now. `again`: it had been revoked before, and nothing has changed."""

    key: ApiKey
    again: bool


class LastAdmin(NamedTuple):
    """Without this key, no key could manage keys any more."""


class NoKey(NamedTuple):
    """The workspace has no key with this id."""


async def insert(connection: AsyncConnection, key: ApiKey) -> None:
    """Raises IntegrityError if the id is taken, or the workspace does not exist."""
    scopes = None if key.scopes is None else " ".join(key.scopes)
    await connection.execute(into(api_keys).values({**key._asdict(), "scopes": scopes}))
    await bump(connection)


async def active(connection: AsyncConnection, now_ms: int) -> list[ApiKey]:
    """The keys of all workspaces that are neither revoked nor expired."""
    return await _keys(connection, _is_usable(now_ms), api_keys.c.workspace, api_keys.c.id)


async def ended(
    connection: AsyncConnection, now_ms: int, *, since_ms: int, limit: int = ENDED_MAX
) -> dict[str, str]:
    """The workspaces of keys that were revoked or have expired since then, by the keys' ids. Beyond
    `limit`, the latest ones.
    """
    over = (api_keys.c.revoked_at >= since_ms) | api_keys.c.expires_at.between(since_ms, now_ms)
    when = func.coalesce(api_keys.c.revoked_at, api_keys.c.expires_at)
    query = select(api_keys.c.id, api_keys.c.workspace).where(over)
    rows = await connection.execute(query.order_by(when.desc()).limit(limit))
    return {row.id: row.workspace for row in rows}


async def any_exist(connection: AsyncConnection) -> bool:
    """Whether any key exists, revoked or not."""
    return (await connection.execute(select(api_keys.c.id).limit(1))).first() is not None


async def list_all(connection: AsyncConnection, workspace: str) -> list[ApiKey]:
    """All keys of a workspace, newest first."""
    newest = api_keys.c.created_at.desc(), api_keys.c.id.desc()
    return await _keys(connection, api_keys.c.workspace == workspace, *newest)


async def find(connection: AsyncConnection, workspace: str, key_id: str) -> ApiKey | None:
    found = await _keys(connection, _named(workspace, key_id))
    return found[0] if found else None


async def revoke(
    connection: AsyncConnection, workspace: str, key_id: str, *, actor: str, now_ms: int
) -> Revoked | LastAdmin | NoKey:
    # Lock before reading, so that the second of two revocations sees the first.
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
    """Whether another key can still manage keys. One that ends within a day does not count."""
    lasting = _is_usable(now_ms + DAY_MS) & api_keys.c.replaced_by.is_(None)
    others = (api_keys.c.workspace == key.workspace) & (api_keys.c.id != key.id)
    return any(other.manages_as(key) for other in await _keys(connection, lasting & others))


async def retire(
    connection: AsyncConnection, workspace: str, key_id: str, *, expires_at: int, replaced_by: str
) -> bool:
    """Make a key expire by then, if not sooner. False if it is unknown, revoked or replaced
    already.
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


async def record_use(connection: AsyncConnection, moments: Mapping[str, int]) -> set[str]:
    """Record when each key was last used; a later time in the database stays. Not a change that
    gateways have to read.

    Returns the ids of keys that another transaction is changing, which are left out: this one
    locks keys of many workspaces, and must not wait for a lock to avoid deadlocks.
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
