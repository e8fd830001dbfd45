"""An early retry waits for the run, or gets Retry-After."""

import asyncio
import time

from tests.support.gateways import Relay, gateway, until
from tests.support.held import held, scripts_run
from tests.support.target import Target
from tests.support.valkey import Valkey


async def test_a_duplicate_waits_for_the_run_in_flight(
    relay: Relay, target: Target, valkey: Valkey
) -> None:
    """Both callers get the one answer."""
    run = await held(relay, target, "order-1")
    before = scripts_run(valkey)

    async def asked() -> bool:
        return scripts_run(valkey) > before

    duplicate = asyncio.create_task(relay.execute("expired-or-invalid", "order-1"))
    await until(asked)
    assert not duplicate.done()
    ours = await run.end()
    async with asyncio.timeout(5):
        theirs = await duplicate

    assert "Idempotent-Replayed" not in ours.headers
    assert theirs.headers["Idempotent-Replayed"] == "true"
    assert theirs.json() == {**ours.json(), "request_id": theirs.json()["request_id"]}
    assert len(target.deliveries) == 1


async def test_a_duplicate_waits_for_the_run_of_another_gateway(
    relay: Relay, target: Target, valkey: Valkey
) -> None:
    """The end of a run reaches every gateway on the store at once."""

    async with gateway(valkey.url) as other:
        run = await held(relay, target, "order-1")
        before = scripts_run(valkey)

        async def listening() -> bool:
            # Each has asked for the key and, once it could hear of the end, for the run.
            return scripts_run(valkey) >= before + 6

        duplicates = [
            asyncio.create_task(other.execute("expired-or-invalid", "order-1", wait=30))
            for _ in range(3)
        ]
        await until(listening)
        ours = await run.end()
        async with asyncio.timeout(5):
            replays = await asyncio.gather(*duplicates)

    for replay in replays:
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.json() == {**ours.json(), "request_id": replay.json()["request_id"]}
    assert len(target.deliveries) == 1


async def test_a_duplicate_that_does_not_wait_gets_retry_after(
    relay: Relay, target: Target, valkey: Valkey
) -> None:
    """409 at once, from either gateway, with the run and a time to ask again."""
    run = await held(relay, target, "order-1")

    async with gateway(valkey.url) as other:
        for asked in (relay, other):
            async with asyncio.timeout(0.9):
                early = await asked.execute("expired-or-invalid", "order-1", wait=0)
            assert (early.status_code, early.json()["code"]) == (409, "run_in_progress")
            assert early.headers["Retry-After"] == "1"
            assert early.headers["Location"] == f"/runs/{early.json()['run_id']}"

    assert (await run.end()).json()["run_id"] == early.json()["run_id"]


async def test_a_duplicate_waits_as_long_as_it_prefers(
    relay: Relay, target: Target, valkey: Valkey
) -> None:
    """`Prefer: wait=1` is a second, at either gateway."""
    run = await held(relay, target, "order-1")

    async with gateway(valkey.url) as other:
        started = time.monotonic()
        early = await asyncio.gather(
            *(asked.execute("expired-or-invalid", "order-1", wait=1) for asked in (relay, other))
        )
        waited = time.monotonic() - started

    assert [answer.json()["code"] for answer in early] == ["run_in_progress"] * 2
    assert 1.0 <= waited < 3.0
    assert (await run.end()).json()["status"] == "success"


async def test_a_run_can_be_watched(relay: Relay, target: Target) -> None:
    """The run says running, then what became of it, as its execution said it."""
    run = await held(relay, target, "order-1")
    location = (await relay.execute("-", "order-1", wait=0)).headers["Location"]

    running = (await relay.get(location)).json()
    ours = (await run.end()).json()
    settled = (await relay.get(location)).json()

    assert (running["status"], running["result"], running["error"]) == ("running", None, None)
    for member in ("run_id", "preview_id", "action", "provider", "started_at"):
        assert running[member] == ours[member]
    assert settled == {**ours, "request_id": settled["request_id"]}
