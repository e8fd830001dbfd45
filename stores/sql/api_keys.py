"""API keys in the database: only a key's digest is stored.

A workspace cannot lose the last key that can make others. Every change reaches every gateway.
"""

from collections.abc import Mapping
from typing import NamedTuple

from stores.sql.drivers.connection import Connection
from stores.sql.tables import API_KEYS
from stores.sql.workspaces import bump, lock

DAY_MS = 24 * 3600 * 1000
# The scope that an admin needs to make another admin.
MANAGE = "keys:manage"
# The use of an older ended key is attributed to no workspace. Reading this many takes 12 ms.
ENDED_MAX = 10_000
# Two for each step from an old key to the key that made it; a bound for a circle, which only hands
# in the database can make.
ANCESTORS_MAX = 64


class ApiKey(NamedTuple):
    """Times are epoch milliseconds. `scopes`: None for all scopes of the role. `subject`: the
    person or program behind the key; None for the key itself. `makers`: subjects and ids of the
    keys that made this key, however many steps before, separated by spaces.
    """

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
    subject: str | None = None
    makers: str | None = None

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


async def insert(connection: Connection, key: ApiKey) -> None:
    """Raises IntegrityError if the id is taken, or the workspace does not exist."""
    scopes = None if key.scopes is None else " ".join(key.scopes)
    row = tuple(scopes if name == "scopes" else value for name, value in key._asdict().items())
    await connection.insert(API_KEYS, [row])
    await bump(connection)


async def active(connection: Connection, now_ms: int) -> list[ApiKey]:
    """The keys of all workspaces that are neither revoked nor expired."""
    usable = "revoked_at IS NULL AND expires_at > $1 ORDER BY workspace, id"
    return await _keys(connection, usable, now_ms)


async def ended(
    connection: Connection, now_ms: int, *, since_ms: int, limit: int = ENDED_MAX
) -> dict[str, str]:
    """The workspaces of keys that were revoked or have expired since then, by the keys' ids. Beyond
    `limit`, the latest ones.
    """
    rows = await connection.fetch(
        "SELECT id, workspace FROM api_keys "
        "WHERE revoked_at >= $1 OR expires_at BETWEEN $1 AND $2 "
        "ORDER BY coalesce(revoked_at, expires_at) DESC LIMIT $3",
        since_ms,
        now_ms,
        limit,
    )
    return dict(rows)


async def replaced(
    connection: Connection, *, since_ms: int, limit: int = ENDED_MAX
) -> dict[str, str]:
    """The ids of keys that replaced others, by the ids of those. Keys that ended before `since_ms`
    and keys that were revoked are left out.
    """
    rows = await connection.fetch(
        "SELECT id, replaced_by FROM api_keys WHERE replaced_by IS NOT NULL "
        "AND revoked_at IS NULL AND expires_at >= $1 ORDER BY expires_at DESC LIMIT $2",
        since_ms,
        limit,
    )
    return dict(rows)


async def makers(connection: Connection, key: ApiKey) -> tuple[str, ...]:
    """Subjects and ids of the keys that made this key. Keys that are older than the column have
    only `created_by`, which is followed up.
    """
    found: list[str] = []
    while key.makers is None:
        found.append(key.created_by)
        maker = await find(connection, key.workspace, key.created_by)
        if maker is None or len(found) >= ANCESTORS_MAX:
            return tuple(dict.fromkeys(found))
        found.append(maker.subject or maker.id)
        key = maker
    return tuple(dict.fromkeys((*found, *key.makers.split())))


async def any_exist(connection: Connection) -> bool:
    """Whether any key exists, revoked or not."""
    return bool(await connection.fetch("SELECT id FROM api_keys LIMIT 1"))


async def list_all(connection: Connection, workspace: str) -> list[ApiKey]:
    """All keys of a workspace, newest first."""
    newest = "workspace = $1 ORDER BY created_at DESC, id DESC"
    return await _keys(connection, newest, workspace)


async def find(connection: Connection, workspace: str, key_id: str) -> ApiKey | None:
    found = await _keys(connection, "workspace = $1 AND id = $2", workspace, key_id)
    return found[0] if found else None


async def revoke(
    connection: Connection, workspace: str, key_id: str, *, actor: str, now_ms: int
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
    await connection.execute(
        "UPDATE api_keys SET revoked_at = $3, revoked_by = $4 WHERE workspace = $1 AND id = $2",
        workspace,
        key_id,
        now_ms,
        actor,
    )
    await bump(connection)
    return Revoked(key._replace(revoked_at=now_ms, revoked_by=actor), again=False)


async def _others(connection: Connection, key: ApiKey, now_ms: int) -> bool:
    """Whether another key can still manage keys. One that ends within a day does not count."""
    others = await _keys(
        connection,
        "workspace = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3 "
        "AND replaced_by IS NULL",
        key.workspace,
        key.id,
        now_ms + DAY_MS,
    )
    return any(other.manages_as(key) for other in others)


async def retire(
    connection: Connection, workspace: str, key_id: str, *, expires_at: int, replaced_by: str
) -> bool:
    """Make a key expire by then, if not sooner. False if it is unknown, revoked or replaced
    already.
    """
    retired = await connection.execute(
        "UPDATE api_keys SET replaced_by = $4, "
        "expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END "
        "WHERE workspace = $1 AND id = $2 AND revoked_at IS NULL AND replaced_by IS NULL",
        workspace,
        key_id,
        expires_at,
        replaced_by,
    )
    if retired:
        await bump(connection)
    return bool(retired)


async def record_use(connection: Connection, moments: Mapping[str, int]) -> set[str]:
    """Record when each key was last used; a later time in the database stays. Not a change that
    gateways have to read.

    Returns the ids of keys that another transaction is changing, which are left out: this one
    locks keys of many workspaces, and must not wait for a lock to avoid deadlocks.
    """
    named = "SELECT id FROM api_keys WHERE id = ANY($1)"
    free = {key for (key,) in await connection.fetch(f"{named} FOR UPDATE SKIP LOCKED", [*moments])}
    for key_id in free:
        await connection.execute(
            "UPDATE api_keys SET last_used_at = $2 "
            "WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
            key_id,
            moments[key_id],
        )
    return {key for (key,) in await connection.fetch(named, [*moments])} - free


async def _keys(connection: Connection, which: str, *values: object) -> list[ApiKey]:
    rows = await connection.fetch(f"{API_KEYS.select}WHERE {which}", *values)
    return [_key(ApiKey(*row)) for row in rows]


def _key(row: ApiKey) -> ApiKey:
    scopes = None if row.scopes is None else tuple(str(row.scopes).split())
    return row._replace(live=bool(row.live), scopes=scopes)
