"""A request already at a replica that stops ends when HAProxy's checks notice, not after 45 s."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.support.gateways import client, until
from tests.support.stack.files import DEPLOY
from tests.support.stack.replicas import PORT, network, proxy
from tests.support.stack.upstream import Upstream, says, stands_still, upstream

CONFIG = DEPLOY / "haproxy.cfg"
LINE = " on-marked-down shutdown-sessions"
OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
# Seconds: 1 until a check begins, 1 until it fails, half of each for the second, and some to spare.
NOTICED = 5.0


class Stopped(NamedTuple):
    """A request to `first`, which then stopped, while `second` is ready. `at`: monotonic."""

    first: Upstream
    second: Upstream
    asked: asyncio.Task[httpx2.Response]
    at: float


@asynccontextmanager
async def stopped(config: Path, folder: Path, method: str, path: str) -> AsyncIterator[Stopped]:
    with network() as net, proxy(net, folder, config) as haproxy:
        one, two = next(net.unused), next(net.unused)
        async with (
            client(haproxy.url) as relay,
            client(haproxy.stats) as stats,
            upstream(one, PORT, says(OK)) as first,
            upstream(two, PORT, says(OK)) as second,
        ):

            async def used(count: int) -> None:
                wanted = f'haproxy_backend_active_servers{{proxy="gateway"}} {count}'

                async def come() -> bool:
                    return wanted in (await stats.get("/metrics")).text.splitlines()

                await until(come)

            net.names["gateway"] = [one]
            await used(1)
            first.behave = stands_still
            asked = asyncio.create_task(relay.request(method, path, json={}))
            await until(first.asked)
            net.names["gateway"] = [one, two]
            await used(2)
            first.check = stands_still
            yield Stopped(first, second, asked, time.monotonic())
            asked.cancel()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/actions/execute", 200),
        ("POST", "/actions/preview", 200),
        ("GET", "/runs", 200),
        ("POST", "/keys", 502),
        ("DELETE", "/keys/1", 502),
    ],
)
async def test_a_stopped_replica_loses_its_requests(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    """What may be repeated goes to the other replica; the rest is a problem that does not say that
    nothing was sent.
    """
    async with stopped(CONFIG, tmp_path, method, path) as it:
        async with asyncio.timeout(NOTICED):
            answer = await it.asked
    assert (answer.status_code, len(it.first.requests)) == (status, 1)
    assert len(it.second.requests) == (1 if status == 200 else 0)
    if status != 200:
        assert answer.json()["code"] == "replica_lost"
        assert "safe_to_retry" not in answer.json()


async def test_without_its_line_the_request_waits_on(tmp_path: Path) -> None:
    """The same measurement with a file that lacks it: HAProxy has noticed and the session stays."""
    config = tmp_path / "haproxy.cfg"
    text = CONFIG.read_text()
    assert text.count(LINE) == 1
    config.write_text(text.replace(LINE, ""))
    async with stopped(config, tmp_path, "POST", "/actions/execute") as it:
        done, _ = await asyncio.wait([it.asked], timeout=NOTICED)
        assert not done
        assert it.second.requests == []
