"""Open the store: `REDIS_URL`, or the embedded server. Nothing else knows which.

The client's own behaviour is set on purpose: a lost reply is asked for once
more (every script may be sent twice), a slow server is given up in time for a
503 within 2 s, and a pool that is busy is waited for, not an error.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stores.redis.embedded import embedded_server
from stores.redis.run_endings import RunEndings
from stores.redis.scripts import Observer, Scripts

# Two tries of 0.8 s stay under the promised 2 s.
SOCKET_TIMEOUT = 0.8
# Calls of one turn share a connection, so a few serve thousands of requests.
CONNECTIONS = 16
# A replica and the store that disagree by more sign timestamps that receivers refuse.
CLOCK_TOLERANCE = 30.0

CheckStatus = Literal["ok", "warning", "failed"]


class Check(NamedTuple):
    """One thing that correctness rests on, as the server has it now."""

    name: str
    verdict: CheckStatus
    detail: str


class Store(NamedTuple):
    client: Redis
    scripts: Scripts
    run_endings: RunEndings

    async def check(self, *, strict: bool) -> list[Check]:
        """Ask the server about itself. `strict`: what only warns in development fails."""
        try:
            async with asyncio.timeout(2 * SOCKET_TIMEOUT):
                info, (seconds, _) = await asyncio.gather(
                    self.client.info("memory", "persistence"), self.client.time()
                )
        except (RedisError, OSError) as error:
            why = type(error).__name__
            return [Check("store", "failed", f"Redis does not answer INFO and TIME: {why}")]
        return [
            Check("store", "ok", "Redis answers"),
            *_configuration(info, seconds, strict=strict),
        ]


@asynccontextmanager
async def open_store(
    url: str | None, data_dir: Path, *, observer: Observer | None = None
) -> AsyncIterator[Store]:
    """Open the store while the block lasts.

    `url`: redis://, rediss:// or unix://, user and password included; without
    it the embedded server runs on `data_dir`. `observer`: told of round trips.
    A Redis that is away is no error here: calls raise StoreUnavailable until it
    is back. Raises EmbeddedStoreError, and ValueError for a URL of another kind.
    """
    if url is None:
        async with (
            embedded_server(data_dir) as socket,
            _connected(f"unix://{quote(str(socket))}", observer) as it,
        ):
            yield it
    else:
        async with _connected(url, observer) as it:
            yield it


@asynccontextmanager
async def _connected(url: str, observer: Observer | None) -> AsyncIterator[Store]:
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": SOCKET_TIMEOUT,
        "max_connections": CONNECTIONS,
        "timeout": SOCKET_TIMEOUT,
        "retry": Retry(NoBackoff(), 1),
        **parse_url(url),
        "decode_responses": False,  # answers are matched as bytes
    }
    client = Redis.from_pool(BlockingConnectionPool(**options))
    run_endings = RunEndings(client)
    try:
        yield Store(client, Scripts(client, observer=observer), run_endings)
    finally:
        await run_endings.close()
        await client.aclose()


def _configuration(info: dict[str, Any], server_seconds: int, *, strict: bool) -> list[Check]:
    skew = abs(time.time() - server_seconds)
    policy = info.get("maxmemory_policy")
    facts = [
        ("eviction", policy == "noeviction", f"maxmemory-policy is {policy}, not noeviction"),
        ("persistence", info.get("aof_enabled") == 1, "the append-only file is off"),
        ("clock", skew <= CLOCK_TOLERANCE, f"our clock and Redis's are {skew:.0f} s apart"),
    ]
    bad: CheckStatus = "failed" if strict else "warning"
    return [
        Check(name, "ok", "as it should be") if holds else Check(name, bad, detail)
        for name, holds, detail in facts
    ]
