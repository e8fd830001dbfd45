"""Every gateway refuses a revoked key within 5 s, whichever connection is cut."""

import asyncio
from time import monotonic

from tests.support.fleet import Site, gateways
from tests.support.forks import Fork, Forks
from tests.support.gateways import until
from tests.support.wire import connected

# The promised time, in seconds.
SOON = 5.0


async def status(gateway: Fork, secret: str) -> int:
    async with connected(gateway.url) as connection:
        answer = await connection.get("/actions", f"Authorization: Bearer {secret}")
    return answer.status


async def refused_after(gateway: Fork, secret: str, since: float) -> float:
    """How many seconds after that time the gateway refuses the key, which it must keep doing."""

    async def refused() -> bool:
        return await status(gateway, secret) == 401

    await until(refused, 2 * SOON)
    took = monotonic() - since
    assert await refused()
    return took


async def test_a_revocation_reaches_four_gateways(shared_site: Site, forks: Forks) -> None:
    """Also the one whose Redis is cut. The one whose database is cut keeps its snapshot, and
    refuses the key once it reads again.
    """
    site, used = shared_site, await shared_site.key()
    async with site.redis_line() as redis, site.database_line() as database:
        envs = [
            site.env(),
            site.env(),
            site.env(REDIS_URL=redis.url),
            site.env(DATABASE_URL=site.through(database)),
        ]
        async with gateways(forks, *envs) as four:
            assert [await status(one, used.secret) for one in four] == [200] * 4
            redis.cut()
            database.cut()
            await forks.command("keys", "revoke", used.key.id, env=site.env())
            revoked = monotonic()
            reached = (refused_after(one, used.secret, revoked) for one in four[:3])
            assert max(await asyncio.gather(*reached)) < SOON
            await reports_stale_keys(four[3])
            assert await status(four[3], used.secret) == 200
            database.restore()
            assert await refused_after(four[3], used.secret, monotonic()) < SOON


async def reports_stale_keys(gateway: Fork) -> None:
    """Wait until the gateway reports that it reads nothing new, while it takes traffic."""

    async def reported() -> bool:
        async with connected(gateway.url) as connection:
            answer = await connection.get("/ready")
        verdicts = {check["name"]: check["verdict"] for check in answer.body["checks"]}
        return answer.status == 200 and verdicts["keys"] == "warning"

    await until(reported)
