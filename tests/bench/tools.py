"""Calls of tools over MCP beside the same over HTTP, of one gateway."""

import asyncio
from collections.abc import Sequence

from tests.bench.plan import Cell
from tests.bench.report import Measured
from tests.bench.session import measured, rigged
from tests.bench.subjects import relay
from tests.bench.table import SETTLED_SECONDS

ROWS = ("preview", "execute", "pair")


async def beside_http(connections: Sequence[int], *, number: int, requests: int) -> Measured:
    with rigged() as (rig, _):
        over_http = relay(rig, "http")
        subjects = [over_http, over_http._replace(name="mcp", tools=True)]
        await asyncio.sleep(SETTLED_SECONDS)
        cells = [(Cell(row, each), ["http", "mcp"]) for row in ROWS for each in connections]
        return Measured(await measured(rig, subjects, cells, number=number, requests=requests), [])
