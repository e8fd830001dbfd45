"""Each screen has no finding of axe-core, light and dark, narrow and wide."""

import re
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.browsing import Watched, key_of, loaded, sign_in
from tests.support.keyed import Keyed
from tests.support.screens import SCREENS, fill, routes
from tests.support.target import Target

# axe-core 4.11.0 as published on npm.
AXE = Path(__file__).parent.parent / "data" / "axe-core" / "axe.min.js"
PUBLISHED = "e9e5863c33a874f09bc01acd9234b7e3c871479f5eef8802fa582544465e6d01"


async def findings(page: Page) -> list[str]:
    await page.evaluate(AXE.read_text() + "; 0")
    found = await page.evaluate("axe.run()")
    return [f"{it['id']}: {[node['html'] for node in it['nodes']]}" for it in found["violations"]]


def test_axe_is_as_published() -> None:
    assert sha256(AXE.read_bytes()).hexdigest() == PUBLISHED


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_screen_has_a_finding(
    keyed: Keyed, watched: Watched, target: Target, scheme: str, width: int
) -> None:
    """Nor does one scroll sideways."""
    ids = await fill(keyed, target)
    viewport = {"width": width, "height": 800}
    page = await watched.page(await watched.context(color_scheme=scheme, viewport=viewport))
    await page.goto("/studio/approvals")
    await expect(page.get_by_label("API key")).to_be_visible()
    found = {"sign-in": await findings(page)}
    await sign_in(page, keyed.admin)
    for name, path in SCREENS.items():
        await page.goto(path.format(**ids))
        await loaded(page)
        found[name] = await findings(page)
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, name
    assert {name: it for name, it in found.items() if it} == {}


def test_every_screen_is_looked_at() -> None:
    """Each path of the router is one of the table."""
    paths = [it.partition("?")[0].format_map(defaultdict(lambda: "id")) for it in SCREENS.values()]
    assert routes()
    assert [it for it in routes() if not any(re.fullmatch(it, path) for path in paths)] == []


async def test_a_finding_is_found(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin)
    await page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    assert await findings(page) != []


async def test_an_approval_needs_no_pointer(keyed: Keyed, watched: Watched, target: Target) -> None:
    """From the sign-in to the decision, with the keyboard alone."""
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url)).json()["preview_id"]
    page = await watched.page()
    await page.goto("/studio/approvals")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.type(await key_of(keyed, "approver", "ann"))
    await page.keyboard.press("Enter")
    await expect(page.locator(f"a[href$='{preview_id}']")).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#digest")).to_contain_text("is what is shown here")
    for name, text in (("host", "127.0.0.1"), ("reason", "looked at")):
        while await page.evaluate("document.activeElement.id") != name:
            await page.keyboard.press("Tab")
        await page.keyboard.type(text)
    await page.keyboard.press("Tab")
    await expect(page.locator("#approve")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_contain_text("Approved")
