"""`relay approvals watch` prints each approval when it starts to wait, and when it has ended."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.cli.approvals.gateway import opened
from gateway.cli.approvals.watch import Watched, line
from gateway.config.settings import Settings
from tests.cli.approvals.conftest import Desk
from tests.support.deciding import decide
from tests.support.gateways import gateway
from tests.support.target import Target
from tests.support.valkey import Valkey


@asynccontextmanager
async def watching(desk: Desk, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "approvals", "watch", "--every", "100ms", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "RELAY_API_KEY": desk.ann, "RELAY_URL": desk.keyed.url},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def printed(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode()


async def test_each_approval_is_printed_twice(desk: Desk, target: Target) -> None:
    """When it waits and when it has ended, as JSON lines; an interrupt is no failure."""
    first = await desk.agent.preview_id(target.url)
    async with watching(desk, "--json") as process:
        waiting = json.loads(await printed(process))
        assert (waiting["preview_id"], waiting["state"]) == (first, "pending")
        await decide(desk.keyed.client(desk.ann), first)
        ended = json.loads(await printed(process))
        assert (ended["preview_id"], ended["state"]) == (first, "approved")
        second = await desk.agent.preview_id(target.url)
        assert json.loads(await printed(process))["preview_id"] == second
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            output, errors = await process.communicate()
        assert (process.returncode, output, errors) == (0, b"", b"")


async def test_a_line_says_who_asked_and_who_decided(desk: Desk, target: Target) -> None:
    """In the order in which it happened; what was given up has no decisions."""
    preview_id = await desk.agent.preview_id(target.url)
    given_up = await desk.agent.preview_id(target.url)
    settings = Settings.from_env({"RELAY_API_KEY": desk.ann})
    with opened(desk.keyed.url, settings) as asked:
        watched = Watched(asked)

        async def lines() -> list[str]:
            changes = await asyncio.to_thread(lambda: list(watched.changes()))
            return [line(it).partition(", by ")[0] for it in changes]

        asking = "pending: agent asks for POST"
        assert [it[:64] for it in await lines()] == [
            f"{preview_id} {asking}"[:64],
            f"{given_up} {asking}"[:64],
        ]
        assert await lines() == []
        await decide(desk.keyed.client(desk.ann), preview_id, "deny", reason="Not now.")
        await desk.agent.delete(f"/approvals/{given_up}")
        assert sorted(await lines()) == sorted(
            [f"{preview_id} denied: deny by ann (Not now.)", f"{given_up} cancelled"]
        )


async def test_a_gateway_that_is_away_is_asked_again(desk: Desk, valkey: Valkey) -> None:
    """One line on stderr for each absence; a key that may not look ends the command."""
    async with gateway(valkey.url) as other:
        away = str(other.base_url)
    async with watching(desk, "--url", away) as process:
        assert process.stderr
        async with asyncio.timeout(20):
            told = (await process.stderr.readline()).decode()
        assert told.startswith("the gateway cannot be reached: ")
        assert told.endswith("; trying again\n")
        assert process.returncode is None
    refused = await desk.run("watch", key="rly_live_no")
    assert (refused.exit_code, "unauthenticated: " in refused.stderr) == (1, True)
