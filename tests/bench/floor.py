"""The floor: the same round trips to Redis and the same send, and nothing else.

Bare Starlette under uvicorn, redis-py and aiohttp: what the parts cost without guard, signature,
idempotency, limits, audit, telemetry or problems. Where Relay calls a script the floor calls one
too, with the smallest body that does its work, so that a change of Relay's own scripts or
connection never moves what Relay is held against.
"""

import os
import time
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
# Makes every execute slower: the negative control of the judge.
BURN_SECONDS = float(os.environ.get("BENCH_BURN_SECONDS", "0"))
JSON = "application/json"
SAVE = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"
RESERVE = """
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'EX', ARGV[2]) then return false end
return redis.call('GET', KEYS[1])
"""
SETTLE = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
"""
FIND = "return redis.call('GET', KEYS[1])"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=64, timeout=5)
    redis = Redis.from_pool(pool)
    names = {"save": SAVE, "reserve": RESERVE, "settle": SETTLE, "find": FIND}
    scripts = {name: await redis.script_load(text) for name, text in names.items()}
    async with aiohttp.ClientSession() as session:
        yield {"redis": redis, "session": session, "scripts": scripts}


async def call(request: Request, script: str, *values: Any, keys: int) -> Any:
    return await request.state.redis.evalsha(request.state.scripts[script], keys, *values)


async def preview(request: Request) -> Response:
    asked = msgspec.json.decode(await request.body())
    preview_id = str(uuid4())
    document = msgspec.json.encode({"preview_id": preview_id, **asked["params"]})
    await call(request, "save", preview_id, document, DAY, keys=1)
    return Response(document, media_type=JSON)


async def execute(request: Request) -> Response:
    burn_until = time.thread_time() + BURN_SECONDS
    while time.thread_time() < burn_until:
        pass
    asked = msgspec.json.decode(await request.body())
    key, run_id = request.headers["idempotency-key"], str(uuid4())
    found = await call(request, "reserve", asked["preview_id"], key, run_id, DAY, keys=2)
    stored = msgspec.json.decode(found)
    body = msgspec.json.encode(stored["body"])
    async with request.state.session.post(stored["url"], data=body) as answer:
        text = await answer.text()
    document = msgspec.json.encode({"run_id": run_id, "response": text})
    await call(request, "settle", key, run_id, document, DAY, keys=2)
    return Response(document, media_type=JSON)


async def replay(request: Request) -> Response:
    await request.body()
    document = await call(request, "find", request.headers["idempotency-key"], keys=1)
    return Response(document, media_type=JSON)


async def run(request: Request) -> Response:
    document = await call(request, "find", request.path_params["run_id"], keys=1)
    return Response(document, media_type=JSON)


app = Starlette(
    routes=[
        Route("/actions/preview", preview, methods=["POST"]),
        Route("/actions/execute", execute, methods=["POST"]),
        Route("/actions/replay", replay, methods=["POST"]),
        Route("/runs/{run_id}", run),
    ],
    lifespan=lifespan,
)
