"""A DBOS workflow of one step that sends by aiohttp; the idempotency key is the workflow's id."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from dbos import DBOS, DBOSConfig, SetWorkflowID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

config: DBOSConfig = {
    "name": "bench",
    "system_database_url": os.environ["PEER_DATABASE_URL"],
    "log_level": "ERROR",
}
DBOS(config=config)
sessions: dict[str, aiohttp.ClientSession] = {}


@DBOS.step()
async def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    async with sessions["open"].post(url, json=body) as answer:
        return {"status": answer.status, "response": await answer.text()}


@DBOS.workflow()
async def deliver(url: str, body: dict[str, Any]) -> dict[str, Any]:
    return await post(url, body)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as sessions["open"]:
        DBOS.launch()
        yield
        DBOS.destroy()


async def send(request: Request) -> JSONResponse:
    asked = await request.json()
    with SetWorkflowID(request.headers["idempotency-key"]):
        return JSONResponse(await deliver(asked["url"], asked["body"]))


app = Starlette(routes=[Route("/send", send, methods=["POST"])], lifespan=lifespan)
