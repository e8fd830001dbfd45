"""The outermost layer: every response carries the request's id, also those nobody wrote."""

import logging
import re
from uuid import uuid4

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import InternalError, render

log = logging.getLogger("relay.request")


class RequestContext:
    """Takes the client's X-Request-ID when there is one and it is harmless, else makes a UUID4.

    Pure ASGI, around everything else: Starlette's own error page and CORS
    preflights pass through here too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s failed", request_id)
            if not answered:
                await internal_error(request_id)(scope, receive, send_with_id)


def internal_error(request_id: str) -> Response:
    problem = InternalError("This is a fault of Relay; its log has the request_id.")
    return render(problem, request_id)


def _given(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(values) == 1 and re.fullmatch(rb"[A-Za-z0-9._-]{1,64}", values[0]):
        return str(values[0], "ascii")
    return None
