"""Copies of Studio that are broken in one place, and answers that lost a protection."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
from playwright.async_api import BrowserContext, Route

from gateway.studio.pages import web


def turns_red(broken: object) -> AbstractContextManager[object]:
    """The check inside fails if and only if something is broken."""
    return pytest.raises(AssertionError) if broken else nullcontext()


def copy_of_web(pattern: str, new: str) -> dict[str, bytes]:
    """The scripts of Studio, with one change; there is something to change."""
    texts = {name: it.decode() for name, it in web().files.items() if name.endswith(".js")}
    changed = {name: re.sub(pattern, new, text) for name, text in texts.items()}
    assert changed != texts, f"nothing in web/ is like {pattern}"
    return {name: text.encode() for name, text in changed.items()}


async def serve_copy(context: BrowserContext, files: dict[str, bytes]) -> None:
    async def served(route: Route) -> None:
        name = route.request.url.partition(f"/studio/a/{web().version}/")[2]
        answer = await route.fetch()
        await route.fulfill(response=answer, body=files[name])

    await context.route(re.compile(r"/studio/a/.*\.js$"), served)


async def with_header(
    context: BrowserContext, path: str, name: str, change: Callable[[str], str]
) -> None:
    """Where what answers this path has this header, it has another value."""

    async def served(route: Route) -> None:
        answer = await route.fetch()
        headers = dict(answer.headers)
        if name in headers:
            headers[name] = change(headers[name])
            assert headers != answer.headers
        await route.fulfill(response=answer, headers=headers)

    await context.route(f"**{path}", served)
