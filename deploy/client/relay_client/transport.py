"""What both drivers share: their settings, and how httpx2 takes a request and tells of a loss.

httpx2 and asyncio are loaded by the first client that is opened. They take 12 MB and 0.1 s, and a
process that only verifies webhooks needs neither.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from relay_client.calls import Calls, Lost, Reply, Request
from relay_client.retries import Patience

if TYPE_CHECKING:
    import httpx2


class RunFilter(TypedDict, total=False):
    """Which runs. `since` is included, `until` is not. `limit`: how many a request brings."""

    status: str
    action: str
    principal: str
    requester: str
    since: datetime
    until: datetime
    limit: int


class ApprovalFilter(TypedDict, total=False):
    """Which approvals. `state`: `pending` unless given; `ended`: every other one. `limit`: how many
    a request brings.
    """

    state: str
    action: str
    requester: str
    limit: int


def calls_of(url: str | None, api_key: str | None, patience: Patience) -> Calls:
    """The calls of this gateway, or of the one that the environment names."""
    url = os.environ.get("RELAY_URL") if url is None else url
    if not url:
        raise ValueError("Give the URL of a gateway, or set RELAY_URL.")
    api_key = os.environ.get("RELAY_API_KEY") if api_key is None else api_key
    return Calls(url, api_key, patience)


def open_client() -> httpx2.Client:
    import httpx2

    return httpx2.Client()


def open_async_client() -> httpx2.AsyncClient:
    import httpx2

    return httpx2.AsyncClient()


def sent(http: httpx2.Client, request: Request) -> Reply | Lost:
    import httpx2

    try:
        return _reply(http.request(**_arguments(request)))
    except httpx2.RequestError as error:
        return Lost(error)


async def async_sent(http: httpx2.AsyncClient, request: Request) -> Reply | Lost:
    import httpx2

    try:
        return _reply(await http.request(**_arguments(request)))
    except httpx2.RequestError as error:
        return Lost(error)


async def async_pause(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def _arguments(request: Request) -> dict[str, Any]:
    """A redirect is not followed: it could lead the API key to another host."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.body,
        "timeout": request.timeout,
        "follow_redirects": False,
    }


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)
