"""One reading of all that admission looks up: keys, limits and signing secrets, as they were then.

10,000 keys take 5 MB and block the event loop for 15 ms at a time (12 on SQLite).
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from gateway.access.roles import Scope, granted
from gateway.access.sealing import Forged, Sealer, UnknownKey, place
from gateway.config.parsers import Secret
from gateway.signatures import SecretsSealed

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from stores.sql.api_keys import ApiKey
    from stores.sql.signing_secrets import SealedSecret

# Others run in between: so many take a millisecond or two.
CHUNK = 500
# So long a key that is over is still known to be its workspace's, whose audit is told who tries it.
REMEMBERED = timedelta(days=90)


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


class Limits(NamedTuple):
    """None takes what the settings say."""

    preview: int | None = None
    execute: int | None = None
    runs_at_once: int | None = None
    runs_at_once_per_target: int | None = None


NO_LIMITS = Limits()


class Signing(NamedTuple):
    """`secret` is None where it could not be unsealed."""

    secret: Secret | None
    retires_at_ms: int | None


class Snapshot(NamedTuple):
    """`any_made`: whether a key was ever made, revoked ones too. `ended`: the workspaces of keys
    that were revoked or have expired, for as long as REMEMBERED. `peppers`: the ids of those with
    which usable keys were made, None where nobody knows.
    """

    generation: int
    any_made: bool
    keys: Mapping[str, CachedKey]
    ended: Mapping[str, str]
    peppers: Collection[str | None]
    limits: Mapping[str, Limits]
    signing: Mapping[str, Sequence[Signing]]

    def secrets(self, workspace: str, now_ms: float) -> Sequence[bytes]:
        """Newest first; () where the workspace has none of its own. Raises SecretsSealed."""
        if not (held := self.signing.get(workspace)):
            return ()
        live = [one for one in held if one.retires_at_ms is None or one.retires_at_ms > now_ms]
        secrets = [one.secret.reveal() for one in live if one.secret]
        if live and not secrets:
            raise SecretsSealed(workspace)
        return secrets

    @property
    def sealed(self) -> int:
        """How many workspaces have a secret and none that could be unsealed. No names: whoever
        asks for /ready need not know them.
        """
        return sum(not any(one.secret for one in held) for held in self.signing.values())


# Nobody knows yet whether there are keys: so nobody may come without one.
NOT_READ = Snapshot(-1, True, {}, {}, (), {}, {})
EMPTY = NOT_READ._replace(any_made=False)


async def read(connection: "AsyncConnection", sealer: Sealer, *, now_ms: int) -> Snapshot:
    from stores.sql import api_keys, signing_secrets, workspaces

    # First: what changes while we read is read again.
    number = await workspaces.generation(connection)
    keys = await api_keys.active(connection, now_ms)
    since_ms = now_ms - REMEMBERED // timedelta(milliseconds=1)
    ended = await api_keys.ended(connection, now_ms, since_ms=since_ms)
    any_made = bool(keys or ended) or await api_keys.any_made(connection)
    listed = await workspaces.list_all(connection)
    sealed = await signing_secrets.active(connection, now_ms)
    return Snapshot(
        generation=number,
        any_made=any_made,
        keys=await _keys(keys),
        ended=ended,
        peppers={key.pepper_id for key in keys},
        limits={workspace.name: Limits(*workspace.limits) for workspace in listed},
        signing=await _signing(sealed, sealer),
    )


async def _keys(keys: "Sequence[ApiKey]") -> dict[str, CachedKey]:
    known = {}
    scopes: dict[object, frozenset[Scope]] = {}  # of thousands of keys a few
    for count, key in enumerate(keys, 1):
        kind = (key.role, key.scopes, key.live)
        if kind not in scopes:
            scopes[kind] = granted(key.role, key.scopes, live=key.live)
        known[key.id] = CachedKey(
            id=key.id,
            workspace=key.workspace,
            live=key.live,
            role=key.role,
            scopes=scopes[kind],
            digest=key.digest,
            expires_at_ms=key.expires_at,
            name=key.name,
        )
        if count % CHUNK == 0:
            await asyncio.sleep(0)
    return known


async def _signing(sealed: "Sequence[SealedSecret]", sealer: Sealer) -> dict[str, list[Signing]]:
    signing: dict[str, list[Signing]] = {}
    for count, secret in enumerate(sealed, 1):
        held = signing.setdefault(secret.workspace, [])
        held.append(Signing(_unsealed(secret, sealer), secret.retires_at))
        if count % CHUNK == 0:
            await asyncio.sleep(0)
    return signing


def _unsealed(secret: "SealedSecret", sealer: Sealer) -> Secret | None:
    bound_to = place(secret.workspace, secret.id)
    try:
        return Secret(sealer.unseal(secret.sealed, secret.sealed_with, bound_to=bound_to))
    except (UnknownKey, Forged):
        return None
