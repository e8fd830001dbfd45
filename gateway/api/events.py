"""Events: what has changed in the workspace, live."""

import asyncio
from contextlib import AsyncExitStack, suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.api.state import State
from gateway.api.streams import Stream, readable

# Seconds that a client may leave what it was sent unread before it is cut off.
SEND_PATIENCE = 5.0
HEADERS = {
    "Content-Type": "text/event-stream",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}
# Milliseconds after which browsers connect again, and an event that shows that events arrive.
BEGIN = b"retry: 1000\nevent: ready\ndata: {}\n\n"


async def events(request: Request[State]) -> Response:
    """Raises Forbidden, and what `Streams.listening` raises."""
    principal = request.state["principal"]
    kinds = readable(principal)
    if request.method == "HEAD":
        return Response(headers=HEADERS)
    session = request.scope["state"].get("session")
    async with AsyncExitStack() as stack:
        listening = request.state["streams"].listening(kinds, principal, session)
        stream = await stack.enter_async_context(listening)
        return EventStream(stream, stack.pop_all())


class EventStream(Response):
    """Begins the answer; the stream itself is the `rest` of the request, which no span and no
    duration holds.
    """

    def __init__(
        self, stream: Stream, opened: AsyncExitStack, *, patience: float = SEND_PATIENCE
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._stream, self._opened, self._patience = stream, opened, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._opened.aclose)
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            await send(body(BEGIN))
            opened = stack.pop_all()
        scope["state"]["rest"] = self._rest(opened, receive, send)

    async def _rest(self, opened: AsyncExitStack, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(self._end_with_client(receive))
        async with opened:
            try:
                async for part in self._stream.parts():
                    await self._sent(send, body(part))
                await self._sent(send, body(b"", more=False))
            except TimeoutError:
                return  # without the end of the answer, so that the connection is closed
            finally:
                leaving.cancel()
                with suppress(asyncio.CancelledError):
                    await leaving

    async def _sent(self, send: Send, message: Message) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(self._patience):
            await send(message)

    async def _end_with_client(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stream.end()


def body(part: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": part, "more_body": more}
