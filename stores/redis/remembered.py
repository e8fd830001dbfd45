"""What was approved last, of each kind of request, for as long as a rule asks for it."""

from datetime import timedelta
from typing import NamedTuple

from stores.redis import names
from stores.redis.scripts import Scripts, UnknownAnswer

# Of a workspace; the oldest ones go first.
KINDS_MAX = 200
# A larger document is not kept.
DOC_MAX = 256 * 1024


class Previous(NamedTuple):
    """`doc`: of the preview that was approved, at `at_ms` by the server's clock."""

    preview_id: str
    at_ms: int
    doc: bytes


class Remembered:
    """Every method raises RedisUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def keep(
        self, workspace: str, kind: str, preview_id: str, doc: bytes, *, ttl: timedelta
    ) -> None:
        """`kind`: what two requests have in common that are compared."""
        if len(doc) <= DOC_MAX:
            keys = [names.remembered(workspace), names.remembered_times(workspace)]
            await self._scripts.call("remember", keys, kind, preview_id, doc, ttl, KINDS_MAX)

    async def find(self, workspace: str, kind: str) -> Previous | None:
        match await self._scripts.call("recall", [names.remembered(workspace)], kind):
            case [b"recalled", preview_id, at_ms, doc]:
                return Previous(preview_id.decode(), at_ms, doc)
            case [b"nothing"]:
                return None
            case other:
                raise UnknownAnswer(other)
