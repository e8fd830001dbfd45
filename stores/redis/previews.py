"""Previews: checked effects that have not happened. Each is spent at most once."""

from datetime import timedelta
from typing import NamedTuple

from stores.redis import names
from stores.redis.limits import Limits, Quota
from stores.redis.scripts import Scripts, UnknownAnswer

# An hour to check a preview, ask a colleague and approve; an old approval should not act.
PREVIEW_TTL = timedelta(hours=1)


class Live(NamedTuple):
    doc: bytes
    expires_at_ms: int


class Spent(NamedTuple):
    run_id: str
    quota: Quota | None = None


class NoPreview(NamedTuple):
    """The preview has expired, or never existed."""

    quota: Quota | None = None


class Previews:
    def __init__(self, scripts: Scripts, *, ttl: timedelta = PREVIEW_TTL) -> None:
        self._scripts = scripts
        self._ttl = ttl
        self.limits = Limits(scripts)

    async def save(
        self,
        workspace: str,
        preview_id: str,
        doc: bytes,
        *,
        origin: bytes,
        by: bytes = b"{}",
        target: str = "",
    ) -> int:
        """Save a preview. Returns its expiry in epoch milliseconds of the server's clock.

        `origin` outlives the document: it names the action in the audit, and in the answer of a
        run whose process died. `by`: who asked, for the policy. `target`: the host and port whose
        concurrent runs are counted. Raises RedisUnavailable.
        """
        key = names.preview(workspace, preview_id)
        answer = await self._scripts.call("save", [key], doc, origin, target, self._ttl, by)
        return int(answer[1])

    async def find(self, workspace: str, preview_id: str) -> Live | Spent | NoPreview:
        """Raises RedisUnavailable."""
        match await self._scripts.call("find", [names.preview(workspace, preview_id)]):
            case [b"live", doc, expires_at_ms]:
                return Live(doc, expires_at_ms)
            case [b"spent", run_id]:
                return Spent(run_id.decode())
            case [b"no_preview"]:
                return NoPreview()
            case other:
                raise UnknownAnswer(other)
