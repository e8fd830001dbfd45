"""What a page does wrong is found by what watches every browser test."""

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


async def find(page: Page, watched: Watched, words: str) -> None:
    """Complaints arrive in the order in which they were made."""
    async with page.expect_console_message(lambda it: it.text == "after it"):
        await page.evaluate("setTimeout(() => console.log('after it'), 100)")
    assert any(words in it for it in watched.complaints), watched.complaints


@pytest.mark.parametrize("wrong", WRONGS)
async def test_a_wrong_is_found(page: Page, watched: Watched, wrong: str) -> None:
    await page.evaluate(f"() => {{ {wrong} }}")
    await find(page, watched, WRONGS[wrong])


async def test_another_origin_is_found(page: Page, watched: Watched, target: Target) -> None:
    """Also where a page opens it in a window of its own."""
    await page.evaluate("(url) => { open(url) }", target.url)
    await target.arrived.wait()
    await find(page, watched, f"asked {target.url}")


@pytest.mark.parametrize("name", [*HEADERS, *EVERYWHERE])
async def test_a_missing_header_is_found(page: Page, watched: Watched, name: str) -> None:
    async def without(route: Route) -> None:
        answer = await route.fetch()
        left = {key: it for key, it in answer.headers.items() if key != name.lower()}
        await route.fulfill(response=answer, headers=left)

    await page.route("**/studio/approvals", without)
    await page.reload()
    await find(page, watched, f"/studio/approvals came without {name}")


async def test_a_missing_file_is_found(page: Page, watched: Watched) -> None:
    await page.evaluate("void fetch('/studio/a/0/main.js')")
    await find(page, watched, "/studio/a/0/main.js answered 404")
