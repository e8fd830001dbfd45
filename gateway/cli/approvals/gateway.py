"""Ask a gateway about approvals. What it refuses is one sentence, with nothing a terminal obeys."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import click
import httpx2
import msgspec
from msgspec import Struct

from gateway.api.deciding.approvals import ApprovalBody, ApprovalsBody, StateBody
from gateway.api.deciding.listed import ListedApproval
from gateway.cli.approvals.shown import spelled
from gateway.cli.options import http_url
from gateway.config.settings import Settings

# Seconds, for each step of a request.
PATIENCE = 10.0
# Approvals of a page.
PAGE = 200

T = TypeVar("T")


class Refused(click.ClickException):
    """The gateway refuses. `status`: of its answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Unreachable(click.ClickException):
    """No answer came."""


class _Problem(Struct):
    code: str
    detail: str


class Gateway:
    """Every method raises Refused and Unreachable."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def find(self, preview_id: str) -> ApprovalBody:
        return self._ask("GET", _path(preview_id), ApprovalBody)

    def pending(self, **filters: str) -> Iterator[ListedApproval]:
        """What waits for a decision, the latest deadline first."""
        asked: dict[str, Any] = {"limit": PAGE, **filters}
        while True:
            page = self._ask("GET", "approvals", ApprovalsBody, params=asked)
            yield from page.approvals
            if page.next_cursor is None:
                break
            asked["cursor"] = page.next_cursor

    def decide(self, preview_id: str, **decision: str) -> str:
        """The state after the decision."""
        path = f"{_path(preview_id)}/decision"
        return self._ask("POST", path, StateBody, json=decision).state

    def _ask(self, method: str, path: str, kind: type[T], **sent: Any) -> T:
        try:
            answer = self._client.request(method, path, **sent)
        except httpx2.HTTPError as error:
            raise Unreachable(f"the gateway cannot be reached: {spelled(str(error))}") from error
        if answer.status_code != 200:
            raise Refused(answer.status_code, refusal(answer))
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise Refused(200, "this is not a gateway of Relay, or of another release") from error


@contextmanager
def opened(url: str, settings: Settings) -> Iterator[Gateway]:
    base = http_url(url)
    if base is None:
        raise click.UsageError("the URL of the gateway must be like http://host:port")
    with httpx2.Client(
        base_url=base, timeout=PATIENCE, trust_env=False, headers=settings.bearer
    ) as client:
        yield Gateway(client)


def _path(preview_id: str) -> str:
    return f"approvals/{quote(preview_id, safe='')}"


def refusal(answer: httpx2.Response) -> str:
    """Why the gateway refuses, with nothing that a terminal obeys."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        return f"the gateway answers {answer.status_code}: {spelled(answer.text)[:300]}"
    return f"{spelled(problem.code)}: {spelled(problem.detail)}"
