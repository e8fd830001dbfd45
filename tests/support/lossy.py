"""A load balancer that loses requests and answers: each connection leads to a random gateway."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Literal

from tests.support.tcp import tcp_server

# `request`: it does not arrive. `answer`: the gateway has done the work. `half`: of an answer.
Loss = Literal["request", "answer", "half"]


class Lossy:
    """`losses`: the share of each. `lost`: how many of each there were."""

    def __init__(self, ports: Sequence[int], losses: Mapping[Loss, float], random: Random) -> None:
        self._ports, self._losses, self._random = ports, losses, random
        self.lost: Counter[Loss] = Counter()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        port = self._random.choice(self._ports)
        server, forth = await asyncio.open_connection("127.0.0.1", port)
        fates: list[Loss | None] = [None]
        replies = asyncio.create_task(self._replies(server, back, fates))
        try:
            with suppress(ConnectionError):
                while request := await client.read(1 << 20):
                    fates.append(fates[-1] or self._fate())
                    if fates[-1] == "request":
                        break
                    forth.write(request)
        finally:
            forth.close()
            back.close()
            replies.cancel()
            await asyncio.wait({replies})

    async def _replies(
        self, server: asyncio.StreamReader, back: asyncio.StreamWriter, fates: list[Loss | None]
    ) -> None:
        with suppress(ConnectionError):
            while reply := await server.read(1 << 20):
                if fates[-1] == "half":
                    back.write(reply[: len(reply) // 2])
                if fates[-1]:
                    break
                back.write(reply)
        back.close()

    def _fate(self) -> Loss | None:
        names: list[Loss] = list(self._losses)
        weights = [self._losses[name] for name in names]
        [fate] = self._random.choices([*names, None], [*weights, 1 - sum(weights)])
        if fate:
            self.lost[fate] += 1
        return fate


@asynccontextmanager
async def lossy(
    urls: Sequence[str], losses: Mapping[Loss, float], random: Random
) -> AsyncIterator[Lossy]:
    """In front of the gateways with these URLs."""
    between = Lossy([int(url.rpartition(":")[2]) for url in urls], losses, random)
    async with tcp_server(between.serve) as between.port:
        yield between
