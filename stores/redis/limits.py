"""How often a key and its workspace may ask, and how many of its runs may be in flight."""

from datetime import timedelta
from typing import Any, Literal, NamedTuple

from stores.redis import names
from stores.redis.scripts import Scripts, UnknownAnswer

Bound = Literal["key", "workspace", "runs", "target"]


class Rates(NamedTuple):
    """Requests a minute, and as many at once. 0: no limit."""

    per_key: int = 0
    per_workspace: int = 0


class Slots(NamedTuple):
    """Runs in flight. 0: no limit."""

    total: int = 0
    per_target: int = 0


class Quota(NamedTuple):
    """What is left of the bucket that has less: of the key's or of the workspace's."""

    bound: Literal["key", "workspace"]
    left: int
    full_in: timedelta


class Granted(NamedTuple):
    quota: Quota | None


class Limited(NamedTuple):
    """`retry_in`: when the next request can succeed, if no other takes its place."""

    bound: Bound
    retry_in: timedelta
    quota: Quota | None


class Limits:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def spend(
        self, workspace: str, key_id: str, verb: str, rates: Rates
    ) -> Granted | Limited:
        """Spend one of what the key and the workspace may do. Raises RedisUnavailable."""
        buckets = [names.bucket(workspace, verb, key_id), names.bucket(workspace, verb)]
        match await self._scripts.call("spend", buckets, *rates):
            case [b"granted", left]:
                return Granted(quota(left))
            case [b"limited", left, bound, retry_ms]:
                return Limited(bound.decode(), timedelta(milliseconds=retry_ms), quota(left))
            case other:
                raise UnknownAnswer(other)


def quota(answer: list[Any]) -> Quota | None:
    """As spend.lua says it; None where there is no limit."""
    match answer:
        case [bound, left, full_in_ms]:
            return Quota(bound.decode(), left, timedelta(milliseconds=full_in_ms))
        case _:
            return None
