"""A gateway that was stopped (SIGSTOP) past the lease of its run says what the record says."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from tests.support.gateways import GatewayProcess, Relay, client, gateway, gateway_process, until
from tests.support.line import Line, Step, line, script
from tests.support.target import Target
from tests.support.valkey import Valkey

# A lease of 6 s.
TIMEOUT = "1"


@asynccontextmanager
async def stopping_at(step: Step, valkey: Valkey) -> AsyncIterator[tuple[GatewayProcess, Line]]:
    """A gateway that is stopped at this step of its talk with Redis, which is then cut off."""
    async with line(lambda: asyncio.open_unix_connection(valkey.socket)) as between:
        with gateway_process({"REDIS_URL": between.url, "ACTION_TIMEOUT": TIMEOUT}) as process:
            pid = process.process.pid
            between.at(step, lambda: os.kill(pid, signal.SIGSTOP))
            try:
                yield process, between
            finally:
                os.kill(pid, signal.SIGCONT)


async def past_its_lease(other: Relay, key: str) -> httpx2.Response:
    """What another gateway answers to this key once the run has no lease."""
    answers: list[httpx2.Response] = []

    async def ended() -> bool:
        answers.append(await other.execute("expired-or-invalid", key, wait=0))
        return answers[-1].status_code == 200

    await until(ended)
    return answers[-1]


@pytest.mark.parametrize(
    ("step", "back", "sent"),
    [
        (Step(script("reserve"), "after"), False, 0),
        (Step(script("settle"), "before"), False, 1),
        (Step(script("settle"), "before"), True, 1),
    ],
)
async def test_a_stopped_gateway_contradicts_no_record(
    valkey: Valkey, target: Target, step: Step, back: bool, sent: int
) -> None:
    """Others were told `unknown`. The gateway says that too if Redis answers it, and else neither
    an outcome nor that nothing was sent. Its caller may repeat with the same key.
    """
    async with (
        gateway(valkey.url) as other,
        stopping_at(step, valkey) as (stopped, between),
        client(stopped.url) as relay,
    ):
        asked = asyncio.create_task(relay.execute(await other.preview_id(target.url), "k-1"))
        await between.reached.wait()
        told = await past_its_lease(other, "k-1")
        if back:
            between.restore()
        os.kill(stopped.process.pid, signal.SIGCONT)
        answer = await asked

    assert (told.json()["status"], told.json()["error"]["code"]) == ("unknown", "interrupted")
    if back:
        assert answer.json() == {**told.json(), "request_id": answer.json()["request_id"]}
    else:
        body = answer.json()
        assert (body["code"], body["safe_to_retry"]) == ("store_unavailable", True)
        assert "same Idempotency-Key" in body["detail"]
        assert "sent nothing" not in body["detail"]
    assert len(target.deliveries) == sent
