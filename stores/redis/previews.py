"""Previews: checked effects that have not happened. Each is spent at most once."""

from datetime import timedelta
from typing import NamedTuple

from stores.redis import names
from stores.redis.limits import UNLIMITED, Limited, Limits, Quota, Rates, buckets, limited, quota
from stores.redis.scripts import Scripts, UnknownAnswer

# An hour to check a preview, ask a colleague and approve; an old approval should not act.
PREVIEW_TTL = timedelta(hours=1)


class NewPreview(NamedTuple):
    """`origin` outlives the document: it names the action in the audit, and in the answer of a run
    whose process died. `by`: who asked, for the policy. `target`: the host and port whose
    concurrent runs are counted.
    """

    id: str
    doc: bytes
    origin: bytes
    by: bytes = b"{}"
    target: str = ""


class Saved(NamedTuple):
    """`expires_at_ms`: by the server's clock."""

    expires_at_ms: int
    quota: Quota | None


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
        self, workspace: str, preview: NewPreview, principal: str = "", rates: Rates = UNLIMITED
    ) -> Saved | Limited:
        """Save a preview and spend one request of the principal, or neither.

        Without limits nothing is spent. Raises RedisUnavailable.
        """
        preview_id, doc, origin, by, target = preview
        keys = [names.preview(workspace, preview_id), *buckets(workspace, "preview", principal)]
        answer = await self._scripts.call("save", keys, doc, origin, target, self._ttl, by, *rates)
        match answer:
            case [b"saved", left, expires_at_ms]:
                return Saved(expires_at_ms, quota(left))
            case other:
                return limited(other)

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
