"""Executions that are held in flight: the target has the request and does not answer yet."""

import asyncio
from typing import Any

import httpx2

from tests.support.gateways import Relay
from tests.support.target import Target
from tests.support.valkey import Valkey


class Gate:
    """Put before the target's answer; nothing passes until `open` is set."""

    def __init__(self, target: Target) -> None:
        self.open = asyncio.Event()
        self._answer, target.answer = target.answer, self

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        await self._answer(reader, writer)


class Held:
    def __init__(self, gate: Gate, answer: asyncio.Task[httpx2.Response]) -> None:
        self.gate, self.answer = gate, answer

    async def end(self) -> httpx2.Response:
        """Let the target answer; what the caller then gets."""
        self.gate.open.set()
        async with asyncio.timeout(10):
            return await self.answer


async def held(relay: Relay, target: Target, key: str, **params: Any) -> Held:
    """Execute a new preview; returns when the target has it."""
    preview_id = (await relay.preview(target.url, **params)).json()["preview_id"]
    gate = Gate(target)
    target.arrived.clear()
    answer = asyncio.create_task(relay.execute(preview_id, key))
    async with asyncio.timeout(10):
        await target.arrived.wait()
    return Held(gate, answer)


def scripts_run(valkey: Valkey) -> int:
    """How many calls the store has answered: those that wait have made theirs."""
    with valkey.client() as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])
