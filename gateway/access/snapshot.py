"""One read of all that requests look up: keys, limits, signing secrets, channels
and connections, of which no secret is read.

10,000 keys take 5 MB; reading them blocks the event loop for 15 ms at a time (12 on SQLite).
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from gateway.access.roles import Scope, granted
from gateway.access.sealing import Forged, Sealer, UnknownKey, place
from gateway.config.secret import Secret
from gateway.signatures import SecretsSealed
from stores.sql import (
    api_keys,
    channels,
    connections,
    policies,
    sessions,
    signing_secrets,
    workspaces,
)
from stores.sql.drivers.connection import Connection

# Other tasks run after each chunk, which takes a millisecond or two.
CHUNK = 500
# How long a revoked or expired key is still attributed to its workspace, so that its use is
# audited.
REMEMBERED = timedelta(days=90)


Row = TypeVar("Row", channels.Channel, connections.ConnectionRow)


class CachedKey(NamedTuple):
    """A key that is not revoked. `scopes`: what it may do."""

    id: str
    workspace: str
    live: bool
    role: str
    scopes: frozenset[Scope]
    digest: bytes
    expires_at_ms: int
    name: str
    subject: str
    makers: Sequence[str]


class SigningSecret(NamedTuple):
    """`secret` is None where it could not be unsealed."""

    secret: Secret | None
    retires_at_ms: int | None


class Snapshot(NamedTuple):
    """`any_made`: whether a key was ever created, revoked ones too. `ended`: the workspaces of
    keys that were revoked or expired within REMEMBERED. `peppers`: the ids of the peppers of
    active keys, None for a key older than these ids. `ended_sessions`: their ids. `policies`: by
    workspace. `replaced`: of rotated keys, the ids of the keys that replaced them.
    `sealed_connections`: how many no key of ours unseals.
    """

    generation: int
    any_made: bool
    keys: Mapping[str, CachedKey]
    ended: Mapping[str, str]
    peppers: Collection[str | None]
    limits: Mapping[str, workspaces.Limits]
    signing: Mapping[str, Sequence[SigningSecret]]
    ended_sessions: Collection[str]
    policies: Mapping[str, policies.PolicyRow]
    replaced: Mapping[str, str]
    channels: Mapping[str, Sequence[channels.Channel]]
    connections: Mapping[str, Sequence[connections.ConnectionRow]]
    sealed_connections: int = 0

    def secrets(self, workspace: str, now_ms: float) -> Sequence[bytes]:
        """Newest first; () where the workspace has none of its own. Raises SecretsSealed."""
        if not (held := self.signing.get(workspace)):
            return ()
        active = [one for one in held if one.retires_at_ms is None or one.retires_at_ms > now_ms]
        secrets = [one.secret.reveal() for one in active if one.secret]
        if active and not secrets:
            raise SecretsSealed(workspace)
        return secrets

    @property
    def sealed(self) -> int:
        """How many workspaces have secrets of which none could be unsealed. Their names are not
        for readers of /ready.
        """
        return sum(not any(one.secret for one in held) for held in self.signing.values())


# Before the first read: there may be keys, so every request needs one.
NOT_READ = Snapshot(-1, True, {}, {}, (), {}, {}, (), {}, {}, {}, {})
EMPTY = NOT_READ._replace(any_made=False)


async def read(connection: Connection, sealer: Sealer, *, now_ms: int) -> Snapshot:
    # The generation first: what changes during the read is then read again.
    generation = await workspaces.generation(connection)
    keys = await api_keys.active(connection, now_ms)
    since_ms = now_ms - REMEMBERED // timedelta(milliseconds=1)
    ended = await api_keys.ended(connection, now_ms, since_ms=since_ms)
    replaced = await api_keys.replaced(connection, since_ms=since_ms)
    any_made = bool(keys or ended) or await api_keys.any_exist(connection)
    rows = await workspaces.list_all(connection)
    sealed = await signing_secrets.active(connection, now_ms)
    return Snapshot(
        generation=generation,
        any_made=any_made,
        keys=await _keys(keys, await _older(connection, keys)),
        ended=ended,
        peppers={key.pepper_id for key in keys},
        limits={row.name: row.limits for row in rows},
        signing=await _signing(sealed, sealer),
        ended_sessions=await sessions.ended(connection, now_ms),
        policies=await policies.in_force(connection),
        replaced=replaced,
        channels=_by_workspace(await channels.of_all(connection)),
        connections=_by_workspace(await connections.of_all(connection)),
        sealed_connections=sum(
            count
            for key_id, count in (await connections.sealing_keys(connection)).items()
            if not sealer.has(key_id)
        ),
    )


async def _older(
    connection: Connection, keys: Sequence[api_keys.ApiKey]
) -> dict[str, Sequence[str]]:
    """The makers of keys that were made by an older gateway."""
    return {key.id: await api_keys.makers(connection, key) for key in keys if key.makers is None}


async def _keys(
    keys: Sequence[api_keys.ApiKey], older: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dict[str, CachedKey]:
    cached = {}
    scopes: dict[object, frozenset[Scope]] = {}  # thousands of keys share a few sets
    for count, key in enumerate(keys, 1):
        kind = (key.role, key.scopes, key.live)
        if kind not in scopes:
            scopes[kind] = granted(key.role, key.scopes, live=key.live)
        cached[key.id] = CachedKey(
            id=key.id,
            workspace=key.workspace,
            live=key.live,
            role=key.role,
            scopes=scopes[kind],
            digest=key.digest,
            expires_at_ms=key.expires_at,
            name=key.name,
            subject=key.subject or key.id,
            makers=older.get(key.id) or tuple((key.makers or key.created_by).split()),
        )
        if count % CHUNK == 0:
            await asyncio.sleep(0)
    return cached


def _by_workspace(rows: Sequence[Row]) -> dict[str, list[Row]]:
    held: dict[str, list[Row]] = {}
    for row in rows:
        held.setdefault(row.workspace, []).append(row)
    return held


async def _signing(
    sealed: Sequence[signing_secrets.SealedSecret], sealer: Sealer
) -> dict[str, list[SigningSecret]]:
    signing: dict[str, list[SigningSecret]] = {}
    for count, secret in enumerate(sealed, 1):
        held = signing.setdefault(secret.workspace, [])
        held.append(SigningSecret(_unsealed(secret, sealer), secret.retires_at))
        if count % CHUNK == 0:
            await asyncio.sleep(0)
    return signing


def _unsealed(secret: signing_secrets.SealedSecret, sealer: Sealer) -> Secret | None:
    bound_to = place(secret.workspace, secret.id)
    try:
        return Secret(sealer.unseal(secret.sealed, secret.sealed_with, bound_to=bound_to))
    except (UnknownKey, Forged):
        return None
