"""Both checks of a kept connection are needed: without them its close meets a request."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from gateway.egress.answer import IDLE_MAX
from gateway.egress.client import Egress
from gateway.egress.connections import Connections
from gateway.egress.exchange import Connection
from gateway.outcomes import Answered, NoResponse
from tests.egress.test_client import effect, egress, raw, send
from tests.egress.test_reuse import end, reset, served
from tests.support.target import Target, status

__all__ = ["egress"]  # the fixture


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("ending", [end, reset])
async def test_a_look_into_the_kernel_saves_a_request(
    egress: Egress,
    monkeypatch: pytest.MonkeyPatch,
    ending: Callable[[socket.socket], None],
    checked: bool,
) -> None:
    """The close has arrived, and the event loop has not read it yet."""
    if not checked:
        monkeypatch.setattr(Connection, "quiet", lambda self: True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        first = asyncio.create_task(served(listener))
        assert isinstance(await send(egress, effect(url)), Answered)
        ending(await first)
        second = asyncio.create_task(served(listener))
        outcome = await send(egress, effect(url))
        assert isinstance(outcome, Answered if checked else NoResponse)
        second.cancel()
        for answered in await asyncio.gather(second, return_exceptions=True):
            if isinstance(answered, socket.socket):
                answered.close()


@pytest.mark.parametrize("checked", [True, False])
async def test_an_early_close_is_a_lesson(
    egress: Egress, target: Target, monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    """Without it each further request may meet such a close, and its outcome be unknown."""
    if not checked:
        monkeypatch.setattr(Connections, "_idle_max", lambda self, origin: IDLE_MAX)
    await send(egress, effect(target.url))
    target.answer = raw(b"")
    assert isinstance(await send(egress, effect(target.url)), NoResponse)
    target.answer = status(200)
    for _ in range(3):
        assert isinstance(await send(egress, effect(target.url)), Answered)
    assert target.connections == (4 if checked else 2)
