"""What the protocol of the server library does by itself, and Relay's does not."""

import json

import httpx2
import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway.http.server import SPOKEN, ListeningServer, running
from tests.http.test_framing import NEXT, UPGRADES, head, length, wired


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path and the length of the body."""
    if scope["type"] != "http":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = await Request(scope, receive).body()
    answer = json.dumps({"path": scope["path"], "length": len(body)}).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Plain(ListeningServer):
    """A server that speaks what uvicorn speaks."""

    def __init__(self) -> None:
        super().__init__(echo, host="127.0.0.1", port=0)
        plain = SPOKEN | {"http": "httptools"}
        self.config = uvicorn.Config(echo, log_config=None, log_level="critical", **plain)


@pytest.mark.parametrize("plain", [True, False])
async def test_the_body_of_an_upgrade_is_no_request(plain: bool) -> None:
    """The library serves its bytes as a request of their own: this is what a stranger smuggles."""
    server = Plain() if plain else ListeningServer(echo, host="127.0.0.1", port=0)
    async with running(server) as url, wired(httpx2.URL(url)) as wire:
        await wire.send(head(b"/echo", UPGRADES["h2c of Java"], length(NEXT)), NEXT)
        first = await wire.answer()
        assert first == (200, {"path": "/echo", "length": 0 if plain else len(NEXT)})
        if plain:
            assert (await wire.answer())[1]["path"] == "/version"
        else:
            assert await wire.nothing_more()
