"""Access tokens of connections, sealed, and the right to refresh one: one call at a time has it,
on all replicas, and loses it after a while.
"""

from datetime import timedelta
from typing import NamedTuple

from stores.redis import names
from stores.redis.scripts import Scripts, UnknownAnswer

# Longer than a refresh may take.
LOCK = timedelta(seconds=15)


class Held(NamedTuple):
    """An access token with enough time left, sealed."""

    doc: bytes


class MayRefresh:
    """The call alone may refresh."""


class Busy:
    """Another call refreshes."""


class AccessTokens:
    """Every method raises RedisUnavailable. `call`: the random name of a call."""

    def __init__(self, scripts: Scripts, *, lock: timedelta = LOCK) -> None:
        self._scripts = scripts
        self._lock = lock

    async def begin(
        self, workspace: str, connection_id: str, call: str
    ) -> Held | MayRefresh | Busy:
        keys = _keys(workspace, connection_id)
        match await self._scripts.call("token_begin", keys, call, self._lock):
            case [b"token", doc]:
                return Held(bytes(doc))
            case [b"refresh"]:
                return MayRefresh()
            case [b"busy"]:
                return Busy()
            case other:
                raise UnknownAnswer(other)

    async def end(
        self,
        workspace: str,
        connection_id: str,
        call: str,
        doc: bytes = b"",
        ttl: timedelta = timedelta(0),
    ) -> None:
        """End a refresh. `doc`: the sealed token, if it brought one, to keep for `ttl`."""
        keys = _keys(workspace, connection_id)
        await self._scripts.call("token_end", keys, call, doc, ttl)

    async def drop(self, workspace: str, connection_id: str, doc: bytes = b"") -> None:
        """Forget this token, or any."""
        keys = _keys(workspace, connection_id)[:1]
        await self._scripts.call("token_drop", keys, doc)


def _keys(workspace: str, connection_id: str) -> list[str]:
    return [
        names.access_token(workspace, connection_id),
        names.refreshing(workspace, connection_id),
    ]
