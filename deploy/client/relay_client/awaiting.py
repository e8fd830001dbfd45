"""AsyncRelay: the same calls, for code that awaits."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

from relay_client import documents as d
from relay_client.calls import Call, Lost, Pause, Reply, Request
from relay_client.problems import Declined
from relay_client.retries import Patience
from relay_client.transport import (
    ApprovalFilter,
    RunFilter,
    async_pause,
    async_sent,
    calls_of,
    open_async_client,
)

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


class AsyncRelay:
    """A gateway, for code that awaits; see Relay.

    >>> async def main():
    ...     async with AsyncRelay("http://127.0.0.1:8000") as relay:
    ...         preview = await relay.preview("webhook.save", url="http://127.0.0.1:9000/hook")
    ...         run = await relay.execute(preview)
    ...         async for listed in relay.runs(action="webhook.save"):
    ...             pass
    ...     print(run.status)
    >>> asyncio.run(main())
    success
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        tries: int = 4,
        deadline: float = 180.0,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        patience = Patience(timeout=timeout, tries=tries, deadline=deadline)
        self._calls = calls_of(url, api_key, patience)
        self._http = http or open_async_client()
        self._owned = http is None

    async def preview(self, action: str, /, **params: Any) -> d.Preview:
        """As Relay.preview."""
        return await self._drive(self._calls.preview(action, params))

    async def execute(
        self, preview: d.Preview | str, *, key: str | None = None, wait: float | None = None
    ) -> d.Run:
        """As Relay.execute. If it is cancelled, call it again to get the run."""
        return await self._drive(self._calls.execute(preview, key=key, wait=wait))

    async def act(
        self,
        action: str,
        /,
        *,
        approve: Callable[[d.Preview], bool | Awaitable[bool]],
        **params: Any,
    ) -> d.Run:
        """As Relay.act; `approve` may be a coroutine function."""
        preview = await self.preview(action, **params)
        verdict = approve(preview)
        if not (await verdict if inspect.isawaitable(verdict) else verdict):
            raise Declined(preview)
        return await self.execute(preview)

    async def run(self, run_id: str) -> d.Run:
        """As Relay.run."""
        return await self._drive(self._calls.run(run_id))

    def runs(self, **wanted: Unpack[RunFilter]) -> AsyncIterator[d.ListedRun]:
        """As Relay.runs."""
        return self._pages(lambda cursor: self._calls.runs(wanted, cursor))

    async def actions(self) -> Sequence[d.Action]:
        """As Relay.actions."""
        return await self._drive(self._calls.actions())

    def approvals(self, **wanted: Unpack[ApprovalFilter]) -> AsyncIterator[d.ListedApproval]:
        """As Relay.approvals."""
        return self._pages(lambda cursor: self._calls.approvals(wanted, cursor))

    async def approval(self, preview_id: str, *, wait: float | None = None) -> d.Approval:
        """As Relay.approval."""
        return await self._drive(self._calls.approval(preview_id, wait=wait))

    async def decide(
        self, approval: d.Approval, decision: Literal["approve", "deny"], *, reason: str = ""
    ) -> str:
        """As Relay.decide."""
        return await self._drive(self._calls.decide(approval, decision, reason))

    async def close(self) -> None:
        """As Relay.close."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncRelay({self._calls.url!r})"

    async def _pages(self, page: Callable[[str | None], Call[d.Page[T]]]) -> AsyncIterator[T]:
        cursor = None
        while True:
            read = await self._drive(page(cursor))
            for item in read.items:
                yield item
            if (cursor := read.next_cursor) is None:
                return

    async def _drive(self, call: Call[T]) -> T:
        came: Reply | Lost | None = None
        try:
            while True:
                match call.send(came):
                    case Pause(seconds):
                        await async_pause(seconds)
                        came = None
                    case Request() as request:
                        came = await async_sent(self._http, request)
        except StopIteration as done:
            answer: T = done.value
            return answer
