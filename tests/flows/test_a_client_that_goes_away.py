"""A client that goes away cancels nothing: what it began is finished, once."""

import asyncio
import json
from urllib.parse import urlsplit

from tests.support.gateways import Relay
from tests.support.held import Held, held
from tests.support.target import Target


async def leave(run: Held) -> None:
    """Drop the connection in the middle of the request."""
    run.answer.cancel()
    await asyncio.wait({run.answer})


async def test_a_run_outlives_its_client(relay: Relay, target: Target) -> None:
    """The client goes, the run ends, and the client's retry replays it."""
    run = await held(relay, target, "order-1")
    await leave(run)
    early = await relay.execute("expired-or-invalid", "order-1", wait=0)
    assert (early.status_code, early.json()["code"]) == (409, "run_in_progress")

    run.gate.open.set()
    retry = await relay.execute("expired-or-invalid", "order-1")

    assert (retry.json()["status"], retry.json()["run_id"]) == ("success", early.json()["run_id"])
    assert retry.headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 1


async def test_a_duplicate_that_disconnects_changes_nothing(relay: Relay, target: Target) -> None:
    """Neither the run nor those who still wait for it."""
    run = await held(relay, target, "order-1")
    leaving, staying = (
        asyncio.create_task(relay.execute("expired-or-invalid", "order-1")) for _ in range(2)
    )
    await relay.get("/health")
    await leave(Held(run.gate, leaving))

    ours = await run.end()

    assert (await staying).json()["run_id"] == ours.json()["run_id"]
    assert len(target.deliveries) == 1


async def test_a_request_that_never_ends_does_nothing(relay: Relay, target: Target) -> None:
    """Half a body executes nothing; the preview stays live."""
    preview_id = await relay.preview_id(target.url)
    body = json.dumps({"preview_id": preview_id}).encode()
    address = urlsplit(str(relay.base_url))
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = "POST /actions/execute HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body) + 1}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await relay.get(f"/previews/{preview_id}")).status_code == 200
    assert not target.deliveries
    assert (await relay.execute(preview_id, "order-1")).json()["status"] == "success"
    assert len(target.deliveries) == 1
