"""What a page does wrong is found by what watches every browser test."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Route, expect

from gateway.studio.pages import HEADERS
from tests.support.browsing import EVERYWHERE, Watched
from tests.support.target import Target

# What a page must not do, and the words of the complaint.
WRONGS = {
    "console.error('broken')": "broken",
    "setTimeout(() => missing(), 0)": "missing is not defined",
    "void Promise.reject(new Error('left alone'))": "left alone",
    "try { document.body.innerHTML = '<b>b</b>' } catch {}": "policy: require-trusted-types-for",
    "document.body.setAttribute('style', 'color: red')": "policy: style-src-attr",
    "void fetch('http://127.0.0.1:9/').catch(() => 0)": "policy: connect-src",
    "void Object.assign(new Image(), {src: 'http://127.0.0.1:9/'})": "policy: img-src",
}


@pytest.fixture
async def page(watched: Watched) -> AsyncIterator[Page]:
    """Its complaints are expected."""
    page = await watched.page()
    await page.goto("/studio/approvals")
    await expect(page.get_by_label("API key")).to_be_visible()
    assert watched.complaints == []
    yield page
    watched.complaints.clear()


async def find(watched: Watched, words: str) -> None:
    """Complaints of several pages arrive in any order."""
    async with asyncio.timeout(20):
        while not any(words in it for it in watched.complaints):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("wrong", WRONGS)
async def test_a_wrong_is_found(page: Page, watched: Watched, wrong: str) -> None:
    await page.evaluate(f"() => {{ {wrong} }}")
    await find(watched, WRONGS[wrong])


async def test_another_origin_is_found(page: Page, watched: Watched, target: Target) -> None:
    """Also where a page opens it in a window of its own."""
    await page.evaluate("(url) => { open(url) }", target.url)
    await target.arrived.wait()
    await find(watched, f"asked {target.url}")


@pytest.mark.parametrize("name", [*HEADERS, *EVERYWHERE])
async def test_a_missing_header_is_found(page: Page, watched: Watched, name: str) -> None:
    async def without(route: Route) -> None:
        answer = await route.fetch()
        left = {key: it for key, it in answer.headers.items() if key != name.lower()}
        await route.fulfill(response=answer, headers=left)

    await page.route("**/studio/approvals", without)
    await page.reload()
    await find(watched, f"/studio/approvals came without {name}")


async def test_a_missing_file_is_found(page: Page, watched: Watched) -> None:
    await page.evaluate("void fetch('/studio/a/0/main.js')")
    await find(watched, "/studio/a/0/main.js answered 404")
