"""A Restate service whose handler sends by aiohttp in one durable step."""

from typing import Any

import aiohttp
import restate

sender = restate.Service("Sender")
sessions: dict[str, aiohttp.ClientSession] = {}


async def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    session = sessions.setdefault("open", aiohttp.ClientSession())
    async with session.post(url, json=body) as answer:
        return {"status": answer.status, "response": await answer.text()}


@sender.handler()
async def send(ctx: restate.Context, asked: dict[str, Any]) -> dict[str, Any]:
    return await ctx.run_typed("post", post, url=asked["url"], body=asked["body"])


app = restate.app(services=[sender])
