"""A webhook receiver to try things with: counts, shows and checks what arrives."""

import time
from collections.abc import Callable

from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.signatures import verify

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Delivery(Struct, frozen=True):
    """`headers`: with lower-case names. `signed`: None without a secret to check with."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    signed: bool | None


def receiver(
    received: Callable[[Delivery], None], *, secret: bytes | None, answer: str = "OK"
) -> Starlette:
    """An app that answers every request on every path with 200."""

    async def receive(request: Request) -> Response:
        body, headers = await request.body(), dict(request.headers)
        signed = None if secret is None else verify(secret, headers, body, now=time.time())
        received(Delivery(request.method, request.url.path, headers, body, signed))
        return Response(answer, media_type="text/plain")

    return Starlette(routes=[Route("/{path:path}", receive, methods=METHODS)])
