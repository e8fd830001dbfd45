"""Request rates of an API key and its workspace, and limits of concurrent runs."""

from datetime import timedelta
from typing import Any, Literal, NamedTuple

from stores.redis import names
from stores.redis.scripts import Scripts, UnknownAnswer

Bound = Literal["key", "workspace", "runs", "target"]


class Rates(NamedTuple):
    """Requests a minute, which may also come all at once. 0: no limit."""

    per_key: int = 0
    per_workspace: int = 0


UNLIMITED = Rates()


class Slots(NamedTuple):
    """Limits of runs in flight: of a workspace, and of each of its targets. 0: no limit."""

    total: int = 0
    per_target: int = 0


class Quota(NamedTuple):
    """What is left in the bucket with less left: the key's or the workspace's."""

    bound: Literal["key", "workspace"]
    left: int
    full_in: timedelta


class Granted(NamedTuple):
    quota: Quota | None


class Limited(NamedTuple):
    """`retry_in`: when the next request can succeed, unless another one comes first."""

    bound: Bound
    retry_in: timedelta
    quota: Quota | None


class Left(NamedTuple):
    """Requests; None: no limit."""

    of_key: int | None
    of_workspace: int | None


class Usage(NamedTuple):
    """What a key and its workspace have left, and how many runs of the workspace are in flight."""

    in_flight: int
    previews: Left
    executes: Left


class Limits:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def spend(
        self, workspace: str, key_id: str, verb: str, rates: Rates
    ) -> Granted | Limited:
        """Spend one request of the key and of the workspace, or none. Raises RedisUnavailable."""
        match await self._scripts.call("spend", buckets(workspace, verb, key_id), *rates):
            case [b"granted", left]:
                return Granted(quota(left))
            case other:
                return limited(other)

    async def usage(self, workspace: str, key_id: str, previews: Rates, executes: Rates) -> Usage:
        """Raises RedisUnavailable."""
        keys = [names.in_flight(workspace)]
        for verb in ("preview", "execute"):
            keys += buckets(workspace, verb, key_id)
        match await self._scripts.call("usage", keys, *previews, *executes):
            case [b"usage", in_flight, *left]:
                known = [None if number < 0 else number for number in left]
                return Usage(in_flight, Left(*known[:2]), Left(*known[2:]))
            case other:
                raise UnknownAnswer(other)


def buckets(workspace: str, verb: str, key_id: str) -> tuple[str, str]:
    """The names of the buckets that a request of this key spends from."""
    return names.bucket(workspace, verb, key_id), names.bucket(workspace, verb)


def limited(answer: list[Any]) -> Limited:
    """Decode a refusal. Raises UnknownAnswer."""
    match answer:
        case [b"limited", left, bound, retry_ms]:
            return Limited(bound.decode(), timedelta(milliseconds=retry_ms), quota(left))
        case other:
            raise UnknownAnswer(other)


def quota(answer: list[Any]) -> Quota | None:
    """Decode the quota of an answer (see spend.lua); None without limits."""
    match answer:
        case [bound, left, full_in_ms]:
            return Quota(bound.decode(), left, timedelta(milliseconds=full_in_ms))
        case _:
            return None
