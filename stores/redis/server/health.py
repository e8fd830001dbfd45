"""Check what Redis needs to serve Relay: that it answers, that a script can write, that a
subscription hears, and the configuration that correctness rests on.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from stores.redis import names
from stores.redis.line import NotPrimary
from stores.redis.run_endings import RunEndings
from stores.redis.scripts import RedisUnavailable, Scripts
from stores.redis.server.clock import LEASE, ServerClock

# Seconds, for the questions and for the probe.
PATIENCE = 1.6
PROBE_TTL = timedelta(minutes=1)
# Beyond this difference receivers refuse the timestamps that a gateway signs.
CLOCK_TOLERANCE = 30.0
# Of maxmemory. With noeviction a full server refuses every preview and execute.
MEMORY_MAX = 0.9

CheckStatus = Literal["ok", "warning", "failed"]


class Check(NamedTuple):
    """The state of one thing that correctness depends on."""

    name: str
    verdict: CheckStatus
    detail: str


class Health:
    def __init__(
        self,
        client: Redis,
        scripts: Scripts,
        run_endings: RunEndings,
        *,
        lease: timedelta = LEASE,
    ) -> None:
        """`lease`: the longest that a run has."""
        self._client = client
        self._scripts = scripts
        self._run_endings = run_endings
        self._clock = ServerClock(lease)

    async def checks(self, *, strict: bool) -> list[Check]:
        """`strict`: fail where development only warns. Raises NotPrimary."""
        asked = self._clock.now()
        try:
            async with asyncio.timeout(PATIENCE):
                info, (seconds, _) = await asyncio.gather(
                    self._client.info("memory", "persistence", "replication"), self._client.time()
                )
        except NotPrimary:
            raise
        except (RedisError, OSError) as error:
            why = type(error).__name__
            return [Check("store", "failed", f"Redis does not answer INFO and TIME: {why}")]
        if (role := info.get("role", "master")) != "master":
            raise NotPrimary(f"Redis is a {role}, not a primary")
        jump = self._clock.jump(seconds, asked=asked)
        return [
            Check("store", "ok", "Redis answers"),
            *await self._probed(),
            *configuration(info, seconds, jump, strict=strict),
        ]

    async def _probed(self) -> list[Check]:
        """A script writes and publishes, and the subscription of waiting requests hears it."""
        heard = Check("subscription", "failed", "no message arrived")
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._run_endings.wait_for(names.PROBING, "probe") as arrived,
            ):
                heard = heard._replace(detail="a script cannot write")
                channel = names.changed(names.PROBING, "probe")
                await self._scripts.call("probe", [names.PROBE], channel, PROBE_TTL)
                heard = heard._replace(detail="no message arrived")
                await arrived.wait()
        except RedisUnavailable as error:
            if heard.detail == "a script cannot write":
                return [Check("writes", "failed", error.sentence), heard]
            return [Check("subscription", "failed", f"{error.sentence} ACL users need &relay:*")]
        except TimeoutError:
            return [heard]
        return [
            Check("writes", "ok", "a script can write"),
            Check("subscription", "ok", "messages arrive"),
        ]


def configuration(
    info: Mapping[str, Any], server_seconds: int, jump: float, *, strict: bool
) -> list[Check]:
    skew = abs(time.time() - server_seconds)
    clocks = f"this gateway's clock and that of Redis differ by {skew:.0f} s"
    if jump:
        clocks = f"the clock of Redis, which judges leases, jumped by {jump:+.0f} s"
    policy = info.get("maxmemory_policy")
    written = info.get("aof_last_write_status", "ok") == "ok"
    persists = "the append-only file is off" if written else "the append-only file is not written"
    requirements = [
        ("eviction", policy == "noeviction", f"maxmemory-policy is {policy}, not noeviction"),
        ("persistence", info.get("aof_enabled") == 1 and written, persists),
        ("clock", skew <= CLOCK_TOLERANCE and not jump, clocks),
    ]
    bad: CheckStatus = "failed" if strict or not written else "warning"
    return [
        *(
            Check(name, "ok", "as required") if holds else Check(name, bad, detail)
            for name, holds, detail in requirements
        ),
        _memory(info),
    ]


def _memory(info: Mapping[str, Any]) -> Check:
    most, used = info.get("maxmemory", 0), info.get("used_memory", 0)
    if most and used > MEMORY_MAX * most:
        return Check("memory", "warning", f"{used / most:.0%} of maxmemory are in use")
    return Check("memory", "ok", "memory is left")
