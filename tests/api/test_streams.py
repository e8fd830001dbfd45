"""A stream holds little for its client, and ends by itself."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from starlette.types import Message, Scope

from gateway.api.events import EventStream
from gateway.api.streams import ALIVE, WAITING_MAX, Paces, Stream, event

EAGER = Paces(check=0.001)


def stream(paces: Paces = EAGER, *, admitted: bool = True) -> Stream:
    return Stream(("run", "approval"), lambda: admitted, paces)


async def test_only_the_last_state_of_each_is_sent() -> None:
    """In the order of the last changes."""
    opened = stream()
    for changed in (("a", "pending"), ("b", "success"), ("a", "approved")):
        opened.changed(*changed)
    parts = opened.parts()
    both = event("run", "b", "success") + event("approval", "a", "approved")
    assert await anext(parts) == both
    await parts.aclose()


async def test_a_run_that_was_given_back_was_not_sent() -> None:
    assert event("run", "a", "released") == b'event: run\ndata: {"id":"a","state":"not_sent"}\n\n'


async def test_a_stream_without_changes_says_that_it_is_alive() -> None:
    parts = stream(EAGER._replace(silence=0.01)).parts()
    assert [await anext(parts) for _ in range(2)] == [ALIVE, ALIVE]
    await parts.aclose()


async def test_a_stream_ends_after_its_longest_time() -> None:
    assert [it async for it in stream(EAGER._replace(longest=0.01)).parts()] == []


async def test_a_stream_ends_when_its_caller_is_not_admitted() -> None:
    """What has changed since is not sent."""
    opened = stream(admitted=False)
    opened.changed("a", "success")
    assert [it async for it in opened.parts()] == []


@pytest.mark.parametrize(("changes", "ends"), [(WAITING_MAX, False), (WAITING_MAX + 1, True)])
async def test_a_client_that_is_too_far_behind_is_cut_off(changes: int, *, ends: bool) -> None:
    opened = stream()
    for number in range(changes):
        opened.changed(str(number), "success")
    parts = opened.parts()
    if ends:
        assert [it async for it in parts] == []
    else:
        assert (await anext(parts)).count(b"event:") == WAITING_MAX
    await parts.aclose()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """The answer is left without its end, so that the server closes the connection."""
    opened = stream()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 2:
            await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    left: list[bool] = []
    stack = AsyncExitStack()
    stack.callback(left.append, True)
    scope: Scope = {"state": {}}
    await EventStream(opened, stack, patience=0.01)(scope, receive, send)
    assert left == []
    opened.changed("a", "success")
    await scope["state"]["rest"]
    assert left == [True]
    assert all(it.get("more_body", True) for it in sent)


async def test_a_stream_ends_with_its_client() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"state": {}}
    await EventStream(stream(), AsyncExitStack())(scope, receive, send)
    async with asyncio.timeout(5):
        await scope["state"]["rest"]
    assert sent[-1]["more_body"] is False
