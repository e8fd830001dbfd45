"""A real Chromium. What a page of it does wrong fails its test."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    Response,
    Route,
    async_playwright,
    expect,
)

from gateway.admin.keys import KeyRequest
from gateway.http.middleware import ALWAYS
from gateway.studio.pages import HEADERS
from tests.support.keyed import BY, Keyed

# root has no sandbox; a page whose answer a test has changed may ask loopback too.
FLAGS = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
REFUSED = "Failed to load resource"
LISTEN = """
addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective}`));
addEventListener('unhandledrejection', (e) => console.error(`unhandled: ${e.reason}`));
"""
EVERYWHERE = {name.decode(): value.decode() for name, value in ALWAYS if name != b"cache-control"}
# Two cores may serve several browsers, gateways and stores at once.
expect.set_options(timeout=20_000)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One for each test: over a shared one, requests of windows that open are missed at times."""
    path = shutil.which("chromium")
    assert path, "install chromium, as .ci/run does"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


class Watched:
    """`complaints`: errors on consoles, reports of the policy, rejections that are not handled,
    requests to other origins, answers without the headers, files that did not come. Statuses that
    the API answers are no complaint; a page shows them.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self.url = browser, url
        self.complaints: list[str] = []

    async def context(self, **given: Any) -> BrowserContext:
        """All pages of it are watched, also those that open others."""
        context = await self._browser.new_context(**{"base_url": self.url, **given})
        await context.add_init_script(LISTEN)
        context.on("console", lambda it: self._console(it.type, it.text))
        context.on("weberror", lambda it: self.complaints.append(str(it.error)))
        context.on("request", lambda it: self._request(it.url))
        context.on("response", self._response)
        context.set_default_timeout(20_000)
        return context

    async def page(self, context: BrowserContext | None = None) -> Page:
        return await (context or await self.context()).new_page()

    def _console(self, kind: str, text: str) -> None:
        if kind == "error" and not text.startswith(REFUSED):
            self.complaints.append(text)

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", "data:")):
            self.complaints.append(f"asked {url}")

    def _response(self, response: Response) -> None:
        path = response.url.removeprefix(self.url)
        if not path.startswith("/"):
            return
        wanted = EVERYWHERE | (HEADERS if path.startswith("/studio") else {})
        for name, value in wanted.items():
            if response.headers.get(name.lower()) != value:
                self.complaints.append(f"{path} came without {name}")
        if path.startswith("/studio/a/") and response.status not in (200, 304):
            self.complaints.append(f"{path} answered {response.status}")


async def sign_in(page: Page, key: str, path: str = "/studio/approvals") -> None:
    await page.goto(path)
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Sign out").wait_for()


async def loaded(page: Page) -> None:
    """What the screen asks for has come."""
    await expect(page.locator("main")).to_have_attribute("aria-busy", "false")


async def key_of(keyed: Keyed, role: str, subject: str) -> str:
    wanted = KeyRequest("test", role, subject=subject)
    new = await (await keyed.services()).keys.create_key("default", wanted, actor=BY)
    await keyed.look()
    return new.secret


async def approve(page: Page) -> str:
    """On the page of an approval; the digest that it sends."""
    shown = expect(page.locator("#digest"))
    # 256 KiB of hidden characters take a loaded machine long.
    await shown.to_contain_text("is what is shown here", timeout=60_000)
    if await page.locator("#host").count():
        await page.locator("#host").fill("127.0.0.1")
    async with page.expect_request("**/decision") as sent:
        await page.locator("#approve").click()
    await expect(page.locator("#state")).to_contain_text("Approved", timeout=60_000)
    return str(json.loads((await sent.value).post_data or "")["digest"])


async def altered(page: Page, address: str, change: Callable[[dict[str, Any]], None]) -> None:
    """What stands between the gateway and the page changes the JSON that Relay answers there."""

    async def lie(route: Route) -> None:
        answer = await route.fetch()
        if "json" not in answer.headers["content-type"]:
            await route.fulfill(response=answer)
            return
        document = await answer.json()
        change(document)
        await route.fulfill(response=answer, json=document)

    await page.route(address, lie)
