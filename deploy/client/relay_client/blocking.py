"""Relay: the calls, for code that waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

from relay_client import documents as d
from relay_client.calls import Call, Lost, Pause, Reply, Request
from relay_client.problems import Declined
from relay_client.retries import Patience
from relay_client.transport import ApprovalFilter, RunFilter, calls_of, open_client, sent

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


class Relay:
    """A gateway, for code that waits. Threads may share it.

    `url` and `api_key`: from RELAY_URL and RELAY_API_KEY unless given. `timeout`: seconds for one
    try. `tries`: how often a call is tried. `deadline`: seconds for all tries and their pauses.
    `http`: a client that is used instead of an own one, and not closed.

    >>> with Relay("http://127.0.0.1:8000") as relay:
    ...     preview = relay.preview("webhook.save", url="http://127.0.0.1:9000/hook", body={"n": 1})
    ...     print(preview.summary)
    ...     run = relay.execute(preview)
    ...     print(run.status, run.result.response)
    ...     again = relay.execute(preview)
    ...     print(again.run_id == run.run_id, again.replayed)
    POST http://127.0.0.1:9000/hook with 7 bytes of JSON
    success OK
    True True
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        tries: int = 4,
        deadline: float = 180.0,
        http: httpx2.Client | None = None,
    ) -> None:
        patience = Patience(timeout=timeout, tries=tries, deadline=deadline)
        self._calls = calls_of(url, api_key, patience)
        self._http = http or open_client()
        self._owned = http is None

    def preview(self, action: str, /, **params: Any) -> d.Preview:
        """Ask what would be sent; nothing is. A `msgspec.Raw` among the params is sent as written.

        >>> preview = relay.preview("webhook.save", url="http://127.0.0.1:9000/hook", body=[1, 2])
        >>> preview.effect.method, preview.effect.body, preview.approval
        ('POST', '[1,2]', None)
        >>> relay.preview("webhook.save", url="http://127.0.0.1:9000/hook", colour="red")
        Traceback (most recent call last):
        relay_client.problems.InvalidParams: ...
        """
        return self._drive(self._calls.preview(action, params))

    def execute(
        self, preview: d.Preview | str, *, key: str | None = None, wait: float | None = None
    ) -> d.Run:
        """Send a preview at most once. Called again, also by another process, it returns that run.

        `key`: your own name for this one action, instead of the preview. `wait`: how many seconds
        an approval may take; the gateway waits 10 unless given. A run that is `failed` or `unknown`
        is returned.

        >>> run = relay.execute(preview, key="order-1")
        >>> relay.execute(preview, key="order-1").replayed
        True
        >>> relay.execute(preview, key="order-2")
        Traceback (most recent call last):
        relay_client.problems.PreviewAlreadyExecuted: ...
        """
        return self._drive(self._calls.execute(preview, key=key, wait=wait))

    def act(self, action: str, /, *, approve: Callable[[d.Preview], bool], **params: Any) -> d.Run:
        """Preview, ask `approve`, execute. Raises Declined.

        >>> def ask(preview):
        ...     return input(f"{preview.summary}? ") == "yes"
        >>> relay.act("webhook.save", approve=ask, url="http://127.0.0.1:9000/hook").status
        POST http://127.0.0.1:9000/hook with no body? yes
        'success'
        """
        preview = self.preview(action, **params)
        if not approve(preview):
            raise Declined(preview)
        return self.execute(preview)

    def run(self, run_id: str) -> d.Run:
        """Show a run as it is now.

        >>> relay.run(run.run_id).status
        'success'
        """
        return self._drive(self._calls.run(run_id))

    def runs(self, **wanted: Unpack[RunFilter]) -> Iterator[d.ListedRun]:
        """The runs of the workspace, newest first; pages are read as they are needed.

        >>> [run.action for run in relay.runs(status="failed")]
        []
        """
        return self._pages(lambda cursor: self._calls.runs(wanted, cursor))

    def actions(self) -> Sequence[d.Action]:
        """The actions and the JSON Schema of their params.

        >>> [action.name for action in relay.actions()]
        ['webhook.save', 'http.request', ...]
        """
        return self._drive(self._calls.actions())

    def approvals(self, **wanted: Unpack[ApprovalFilter]) -> Iterator[d.ListedApproval]:
        """What waits for a decision, or what has ended.

        >>> list(relay.approvals())
        []
        """
        return self._pages(lambda cursor: self._calls.approvals(wanted, cursor))

    def approval(self, preview_id: str, *, wait: float | None = None) -> d.Approval:
        """Show an approval; `wait`: at most so many seconds (30) for its decision."""
        return self._drive(self._calls.approval(preview_id, wait=wait))

    def decide(
        self, approval: d.Approval, decision: Literal["approve", "deny"], *, reason: str = ""
    ) -> str:
        """Decide on the very bytes that `approval` shows; returns the state after it."""
        return self._drive(self._calls.decide(approval, decision, reason))

    def close(self) -> None:
        """Close the connections, unless they are those of the caller's `http`."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Relay({self._calls.url!r})"

    def _pages(self, page: Callable[[str | None], Call[d.Page[T]]]) -> Iterator[T]:
        cursor = None
        while True:
            read = self._drive(page(cursor))
            yield from read.items
            if (cursor := read.next_cursor) is None:
                return

    def _drive(self, call: Call[T]) -> T:
        came: Reply | Lost | None = None
        try:
            while True:
                match call.send(came):
                    case Pause(seconds):
                        time.sleep(seconds)
                        came = None
                    case Request() as request:
                        came = sent(self._http, request)
        except StopIteration as done:
            answer: T = done.value
            return answer
