"""The steps of connecting an account: the ticket of a start page, and the state that a provider
sends back. One call takes a step, and all of them expire.

The server sees neither a ticket nor a state, but their digests.
"""

from datetime import timedelta
from typing import Literal
from uuid import uuid4

from stores.redis import names
from stores.redis.scripts import Scripts, UnknownAnswer

# A code of a provider lasts about as long.
TTL = timedelta(minutes=10)
# A call whose reply was lost is sent once more within this time.
REPEATED_WITHIN = timedelta(seconds=10)

Step = Literal["ticket", "state"]


class Handshakes:
    """Every method raises RedisUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def keep(self, step: Step, name: str, doc: bytes) -> int:
        """When it ends, in epoch milliseconds. `name`: long and random."""
        match await self._scripts.call("oauth_keep", [names.handshake(step, name)], doc, TTL):
            case [b"kept", ends_ms]:
                return int(ends_ms)
            case other:
                raise UnknownAnswer(other)

    async def find(self, step: Step, name: str) -> bytes | None:
        """Without taking it."""
        return await self._read(step, name, "")

    async def take(self, step: Step, name: str) -> bytes | None:
        """None if it has expired, or if another call has taken it."""
        return await self._read(step, name, str(uuid4()))

    async def _read(self, step: Step, name: str, call: str) -> bytes | None:
        keys = [names.handshake(step, name)]
        match await self._scripts.call("oauth_take", keys, call, REPEATED_WITHIN):
            case [b"step", doc]:
                return bytes(doc)
            case [b"nothing"]:
                return None
            case other:
                raise UnknownAnswer(other)
