"""The public idempotency middleware for ASGI (asgi-idempotency-header) before a send by aiohttp."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends import RedisBackend
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        yield {"session": session}


async def send(request: Request) -> JSONResponse:
    asked = await request.json()
    async with request.state.session.post(asked["url"], json=asked["body"]) as answer:
        return JSONResponse({"status": answer.status, "response": await answer.text()})


starlette = Starlette(routes=[Route("/send", send, methods=["POST"])], lifespan=lifespan)
app = IdempotencyHeaderMiddleware(
    app=starlette, backend=RedisBackend(Redis.from_url(os.environ["REDIS_URL"]))
)
