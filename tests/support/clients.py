"""Both clients of `relay_client` behind one set of methods, so that one table tests both."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeVar

from relay_client import AsyncRelay, Preview, Relay, Run
from relay_client.documents import Action, Approval, ListedApproval, ListedRun

Kind = Literal["waits", "awaits"]
KINDS: tuple[Kind, ...] = ("waits", "awaits")
T = TypeVar("T")


class Threaded:
    """A Relay that waits in threads, for the loop of the test serves what it asks."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def preview(self, action: str, /, **params: Any) -> Preview:
        return await asyncio.to_thread(partial(self._relay.preview, action, **params))

    async def execute(
        self, preview: Preview | str, *, key: str | None = None, wait: float | None = None
    ) -> Run:
        return await asyncio.to_thread(self._relay.execute, preview, key=key, wait=wait)

    async def act(self, action: str, /, **params: Any) -> Run:
        return await asyncio.to_thread(partial(self._relay.act, action, **params))

    async def actions(self) -> Sequence[Action]:
        return await asyncio.to_thread(self._relay.actions)

    async def run(self, run_id: str) -> Run:
        return await asyncio.to_thread(self._relay.run, run_id)

    async def approval(self, preview_id: str, *, wait: float | None = None) -> Approval:
        return await asyncio.to_thread(self._relay.approval, preview_id, wait=wait)

    async def decide(
        self, approval: Approval, decision: Literal["approve", "deny"], *, reason: str = ""
    ) -> str:
        return await asyncio.to_thread(self._relay.decide, approval, decision, reason=reason)

    async def runs(self, **wanted: Any) -> AsyncIterator[ListedRun]:
        for run in await asyncio.to_thread(_listed, self._relay.runs(**wanted)):
            yield run

    async def approvals(self, **wanted: Any) -> AsyncIterator[ListedApproval]:
        for approval in await asyncio.to_thread(_listed, self._relay.approvals(**wanted)):
            yield approval


def _listed(items: Iterable[T]) -> list[T]:
    return list(items)


Client = Threaded | AsyncRelay


@asynccontextmanager
async def opened(
    kind: Kind, url: str, api_key: str | None = None, **given: Any
) -> AsyncIterator[Client]:
    """A client of this kind. `given`: its other settings."""
    if kind == "waits":
        with Relay(url, api_key, **given) as relay:
            yield Threaded(relay)
    else:
        async with AsyncRelay(url, api_key, **given) as relay:
            yield relay
