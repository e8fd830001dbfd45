"""A connection that is half open delivers no message: those that wait look once more before they
answer, and a PING finds it out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import MethodType
from typing import Any, Literal

import httpx2
import pytest
from redis.asyncio import Redis

from gateway.execution.waiting import Waiting
from stores.redis.run_endings import RunEndings
from tests.flows.test_approvals import POLICY
from tests.support.deciding import client_of, decide
from tests.support.gateways import gateway
from tests.support.held import held
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.proxy import proxy
from tests.support.target import Target
from tests.support.valkey import Valkey

WAIT = 2
NEVER = 1000.0


def deaf(reply: bytes) -> bytes:
    """What the server still sends on connections that do not carry messages."""
    return b"" if b"pmessage" in reply or b"pong" in reply.lower() else reply


class Waited(RunEndings):
    """`begun`: a request has subscribed, has read its run or approval again, and waits."""

    def __init__(self, client: "Redis", *, silence: float) -> None:
        super().__init__(client, silence=silence)
        self.begun = asyncio.Event()

    @asynccontextmanager
    async def wait_for(self, workspace: str, run_id: str) -> AsyncIterator[asyncio.Event]:
        async with super().wait_for(workspace, run_id) as ended:
            plain = ended.wait

            async def wait() -> Literal[True]:
                self.begun.set()
                return await plain()

            ended.wait = wait  # type: ignore[method-assign]
            yield ended


@asynccontextmanager
async def half_open(
    valkey: Valkey, folder: Path, *, silence: float = NEVER, **given: Any
) -> AsyncIterator[tuple[Keyed, Waited]]:
    """A gateway whose subscription is deaf. `silence`: until it tries a PING."""
    async with (
        proxy(valkey.socket) as between,
        keyed_gateway(between.url, folder / "data", **given) as keyed,
    ):
        between.alter = deaf
        endings = Waited(keyed.state["readiness"]._store.client, silence=silence)
        keyed.state["engine"].waiting._run_endings = endings
        yield keyed, endings
        await endings.close()


def hasty(method: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    """The method as it would be without its last look: it answers no when the time is over."""

    async def once(self: Waiting, *args: Any) -> bool:
        started = time.monotonic()
        return await method(self, *args) and time.monotonic() - started < WAIT * 0.9

    return once


CASES = pytest.mark.parametrize(
    ("looks", "silence", "answered"),
    [(True, NEVER, "late"), (False, NEVER, "never"), (False, 0.1, "early")],
    ids=["the last look", "neither", "the PING"],
)


async def answer_of(
    waiting: asyncio.Task[httpx2.Response], started: float
) -> tuple[int, Literal["late", "never", "early"]]:
    """The status, and when it came: never, if it says that nothing has happened."""
    answer = await waiting
    if answer.status_code == 409:
        return 409, "never"
    return answer.status_code, "late" if time.monotonic() - started >= WAIT * 0.9 else "early"


@CASES
async def test_a_duplicate_gets_its_run(
    valkey: Valkey, target: Target, tmp_path: Path, looks: bool, silence: float, answered: str
) -> None:
    """Without both it gets 409 although the run has ended."""
    async with (
        gateway(valkey.url) as first,
        half_open(valkey, tmp_path, silence=silence) as (other, endings),
    ):
        waits = other.state["engine"].waiting
        if not looks:
            waits.for_run = MethodType(hasty(Waiting.for_run), waits)  # type: ignore[method-assign]
        run = await held(first, target, "order-1")
        started = time.monotonic()
        waiting = asyncio.create_task(other.relay.execute("gone", "order-1", wait=WAIT))
        await endings.begun.wait()
        await run.end()
        assert await answer_of(waiting, started) == (409 if answered == "never" else 200, answered)
    assert len(target.deliveries) == 1


@CASES
async def test_an_execute_learns_of_the_approval(
    valkey: Valkey, target: Target, tmp_path: Path, looks: bool, silence: float, answered: str
) -> None:
    """Without both it gets 409 although the preview is approved."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    async with half_open(valkey, tmp_path, silence=silence, approval_policy=policy) as (
        keyed,
        endings,
    ):
        waits = keyed.state["engine"].waiting
        if not looks:
            once = MethodType(hasty(Waiting.for_decision), waits)
            waits.for_decision = once  # type: ignore[method-assign]
        agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
        preview_id = await agent.preview_id(target.url)
        started = time.monotonic()
        waiting = asyncio.create_task(agent.execute(preview_id, "order-1", wait=WAIT))
        await endings.begun.wait()
        assert (await decide(ann, preview_id)).json()["state"] == "approved"
        assert await answer_of(waiting, started) == (409 if answered == "never" else 200, answered)
    assert len(target.deliveries) == (0 if answered == "never" else 1)
