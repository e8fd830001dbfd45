"""One ASGI application on one socket, under uvicorn."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.http.protocol import PATIENCE, Patience, ProblemProtocol

# Longer than load balancers keep an idle connection (HAProxy, nginx and AWS:
# 60 s), so that it is not we who close one that is being written to.
KEEP_ALIVE_SECONDS = 75
# Everything that is served, also with `--reload`.
SPOKEN: dict[str, Any] = {
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # Relay itself reads X-Forwarded-For, from trusted proxies
    # httptools refuses what smuggles requests past h11: two lengths, a bare LF.
    "http": ProblemProtocol,
    "ws": "none",
    "timeout_keep_alive": KEEP_ALIVE_SECONDS,
}


class StartError(Exception):
    """A server could not start; the message says why."""


def _reason(error: OSError) -> str:
    """A host that does not resolve has a number below 0 (EAI), which strerror does not know."""
    number = error.errno or 0
    return os.strerror(number) if number >= 0 else "the host does not resolve"


def listening_socket(host: str, port: int) -> socket.socket:
    """Raises StartError."""
    if not _is_host(host):
        raise StartError(f"cannot listen on {host!a}: this is no host")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {_reason(error)}") from error


def _is_host(text: str) -> bool:
    """Whether a resolver can be asked for it. For an empty one sockets take every address."""
    try:
        return bool(text.encode("idna")) and text.isprintable()
    except UnicodeError:
        return False


class ListeningServer(uvicorn.Server):
    """One application on one socket."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        grace: float = 1.0,
        patience: Patience = PATIENCE,
    ) -> None:
        """Takes the port at once; 0 takes a free one, and `url` says which. Raises StartError."""
        spoken = SPOKEN | {"http": partial(ProblemProtocol, patience=patience)}
        config = uvicorn.Config(
            app,
            **spoken,
            log_level="critical",  # Relay reports failures itself, without a traceback
            log_config=None,  # uvicorn's own would close what logs.configure opened
            lifespan="on",
            timeout_graceful_shutdown=round(grace),
        )
        super().__init__(config)
        self._socket = listening_socket(host, port)
        # asyncio leaves sockets that it has not made to Nagle: 40 ms an answer.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = self._socket.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.on_listening: Callable[[], None] = lambda: None
        self.failure: Exception | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # the lifespan failed
            self.failure = self.failure or StartError("the app did not start")
            self.should_exit = True
        else:
            self.on_listening()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with self._socket:  # also when the start fails
            await super().serve([self._socket])


@asynccontextmanager
async def running(server: ListeningServer) -> AsyncIterator[str]:
    """Serve while the block lasts; the URL. Raises StartError."""
    listening = asyncio.get_running_loop().create_future()
    server.on_listening = lambda: listening.set_result(None)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        raise StartError(str(server.failure))
    try:
        yield server.url
    finally:
        server.should_exit = True
        await serving
