"""What changes in a workspace is streamed to those that may read it, and to no others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from gateway.api.streams import STREAMS_OF_KEY_MAX
from stores.redis.client import Store
from tests.support.deciding import decide
from tests.support.events import head, listening
from tests.support.gateways import gateway_process, until
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path, policy=POLICY) as opened:
        yield opened


def streams(valkey: Valkey) -> int:
    with valkey.client() as redis:
        return int(redis.pubsub_numpat())


async def test_each_state_of_an_approval_and_the_end_of_its_run_are_streamed(
    keyed: Keyed, target: Target
) -> None:
    """The id and the state, and nothing else."""
    agent = keyed.client(await keyed.key("operator"))
    approver = keyed.client(await keyed.key("approver"))
    viewer = keyed.client(await keyed.key("viewer"))
    async with listening(viewer) as runs, listening(agent) as listener:
        preview_id = await agent.preview_id(target.url)
        assert await listener.next() == ("approval", {"id": preview_id, "state": "pending"})
        await decide(approver, preview_id)
        assert await listener.next() == ("approval", {"id": preview_id, "state": "approved"})
        run_id = (await agent.execute(preview_id)).json()["run_id"]
        assert await listener.next() == ("approval", {"id": preview_id, "state": "executed"})
        assert await listener.next() == ("run", {"id": run_id, "state": "success"})
        assert await runs.next() == ("run", {"id": run_id, "state": "success"})


async def test_what_gives_an_approval_up_is_streamed(keyed: Keyed, target: Target) -> None:
    async with listening(keyed.relay) as listener:
        preview_id = await keyed.relay.preview_id(target.url)
        await listener.next()
        await keyed.relay.delete(f"/approvals/{preview_id}")
        assert await listener.next() == ("approval", {"id": preview_id, "state": "cancelled"})


async def test_what_time_ends_is_streamed(keyed: Keyed, target: Target, store: Store) -> None:
    """A gateway that sweeps says that the time to decide is over."""
    async with listening(keyed.relay) as listener:
        preview_id = await keyed.relay.preview_id(target.url)
        await listener.next()
        await store.client.hset(f"relay:{{default}}:approval:{preview_id}", "decide_by", 1)
        await store.client.zadd("relay:{default}:pending", {preview_id: 1})
        assert await listener.next() == ("approval", {"id": preview_id, "state": "expired"})


async def test_no_event_leaves_its_workspace(keyed: Keyed, target: Target) -> None:
    for name in ("ours", "theirs"):
        await keyed.workspace(name)
    ours, theirs = [
        keyed.client(await keyed.key("operator", workspace=name)) for name in ("ours", "theirs")
    ]
    async with listening(ours) as stream:
        await theirs.preview_id(target.url)
        own = await ours.preview_id(target.url)
        assert await stream.next() == ("approval", {"id": own, "state": "pending"})


async def test_a_key_that_may_read_neither_is_refused(keyed: Keyed) -> None:
    """Without a key the answer is 401, as everywhere."""
    auditor = await head(keyed.client(await keyed.key("auditor")))
    assert (auditor.status_code, auditor.json()["code"]) == (403, "forbidden")
    assert (await head(keyed.client())).status_code == 401


async def test_listenerstreams_share_one_subscription_that_ends_with_the_last(
    keyed: Keyed, valkey: Valkey
) -> None:
    async def none_left() -> bool:
        return streams(valkey) == 0

    async with listening(keyed.relay), listening(keyed.relay):
        assert streams(valkey) == 1
    await until(none_left)


async def test_a_key_has_a_bounded_number_of_streams(keyed: Keyed) -> None:
    """Other keys have their own; a stream that ends makes room."""
    viewer = keyed.client(await keyed.key("viewer"))
    async with AsyncExitStack() as stack:
        for _ in range(STREAMS_OF_KEY_MAX):
            last = await stack.enter_async_context(AsyncExitStack())
            await last.enter_async_context(listening(viewer))
        refused = await head(viewer)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["Retry-After"] == "10"
        assert (await head(keyed.relay)).status_code == 200
        await last.aclose()

        async def room() -> bool:
            return (await head(viewer)).status_code == 200

        await until(room)


async def test_a_head_request_opens_no_stream(keyed: Keyed) -> None:
    answer = await keyed.relay.head("/events")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")


async def ended(stream: asyncio.Task[list[str]]) -> None:
    async with asyncio.timeout(5):
        assert all(it.startswith(":") for it in await stream)


async def test_a_stream_ends_with_its_key(keyed: Keyed) -> None:
    """Within 5 s; that of another key goes on."""
    viewer = keyed.client(await keyed.key("viewer"))
    async with listening(viewer) as stream, listening(keyed.relay) as other:
        key_id = (await viewer.get("/session")).json()["key"]
        reading, going_on = asyncio.create_task(stream.end()), asyncio.create_task(other.end())
        await keyed.relay.delete(f"/keys/{key_id}")
        await ended(reading)
        assert not going_on.done()
        going_on.cancel()
        await asyncio.wait({going_on})


async def test_a_stream_ends_when_its_session_does(keyed: Keyed) -> None:
    """The key still works."""
    browser = keyed.client()
    page = {"Sec-Fetch-Site": "same-origin"}
    await browser.post("/session", json={"key": await keyed.key("viewer")}, headers=page)
    async with listening(browser) as stream:
        reading = asyncio.create_task(stream.end())
        await browser.delete("/session", headers=page)
        await ended(reading)


async def test_a_lost_subscription_ends_the_streams(keyed: Keyed, valkey: Valkey) -> None:
    """So that clients connect again and read what they have missed."""
    async with listening(keyed.relay) as stream:
        with valkey.client() as redis:
            redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await stream.end() == []
    assert (await head(keyed.relay)).status_code == 200


async def test_streams_end_first_when_a_gateway_stops(valkey: Valkey) -> None:
    """It still serves, but opens no other stream."""
    env = {"REDIS_URL": valkey.url, "STOP_DELAY": "2"}
    with gateway_process(env) as stopping:
        async with httpx2.AsyncClient(base_url=stopping.url, trust_env=False) as client:
            async with client.stream("GET", "/events") as stream:
                lines = stream.aiter_lines()
                while await anext(lines):  # until the end of the first event
                    pass
                stopping.process.terminate()
                assert [line async for line in lines if line] == []
            assert (await client.get("/version")).status_code == 200
            assert (await client.get("/events")).status_code == 503


async def test_a_stream_is_counted_as_open_and_not_in_latency(keyed: Keyed) -> None:
    """Its request was answered when it began."""

    async def metric(name: str) -> float:
        text = (await keyed.relay.get("/metrics")).text
        found = [line for line in text.splitlines() if line.startswith(name)]
        return float(found[0].rpartition(" ")[2])

    before = await metric("relay_studio_streams")
    async with listening(keyed.relay):
        assert await metric("relay_studio_streams") == before + 1
        labels = '{endpoint="/events",method="GET"}'
        assert await metric(f"http_request_duration_seconds_count{labels}") >= 1

    async def closed() -> bool:
        return await metric("relay_studio_streams") == before

    await until(closed)
