"""The floor: the same Redis round trips and the same outbound call, and nothing else.

Bare Starlette, one plain redis-py command a round trip, one aiohttp POST: what
the work would cost without guard, signature, idempotency, limits or problems.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

DAY = 86_400
JSON = "application/json"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=64, timeout=5)
    async with aiohttp.ClientSession() as session:
        yield {"redis": Redis.from_pool(pool), "session": session}


async def preview(request: Request) -> Response:
    asked = msgspec.json.decode(await request.body())
    preview_id = str(uuid4())
    document = msgspec.json.encode({"preview_id": preview_id, **asked["params"]})
    await request.state.redis.set(preview_id, document, ex=DAY)
    return Response(document, media_type=JSON)


async def execute(request: Request) -> Response:
    asked = msgspec.json.decode(await request.body())
    redis, session = request.state.redis, request.state.session
    key = request.headers["idempotency-key"]
    stored = msgspec.json.decode(await redis.get(asked["preview_id"]))
    body = msgspec.json.encode(stored["body"])
    async with session.post(stored["url"], data=body) as answer:
        text = await answer.text()
    document = msgspec.json.encode({"run_id": str(uuid4()), "response": text})
    await redis.set(key, document, ex=DAY)
    return Response(document, media_type=JSON)


async def replay(request: Request) -> Response:
    await request.body()
    document = await request.state.redis.get(request.headers["idempotency-key"])
    return Response(document, media_type=JSON)


app = Starlette(
    routes=[
        Route("/actions/preview", preview, methods=["POST"]),
        Route("/actions/execute", execute, methods=["POST"]),
        Route("/actions/replay", replay, methods=["POST"]),
    ],
    lifespan=lifespan,
)
