"""The policy is written on a page that shows what is wrong at its line, and loses no change."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway.studio.pages import web
from tests.support.browsing import Watched, chromium, sign_in
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.valkey import Valkey

PATH = "/studio/admin/policy"
RULE = """\
default = "allow"

[[rule]]
name = "deletes"
when = { methods = ["DELETE"] }
need = { approvals = 2, within = "1h" }

[[test]]
name = "a delete takes two"
given = { action = "webhook.save", method = "DELETE", url = "https://a.example/" }
expect = { approvals = 2 }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def watched(keyed: Keyed) -> AsyncIterator[Watched]:
    async with chromium() as browser:
        found = Watched(browser, keyed.url)
        yield found
        assert found.complaints == []


async def opened(keyed: Keyed, watched: Watched) -> Page:
    page = await watched.page()
    await sign_in(page, keyed.admin, PATH)
    return page


async def save(page: Page, text: str) -> None:
    await page.locator("#policy").fill(text)
    await page.get_by_role("button", name="Save", exact=True).click()


async def test_a_policy_is_saved_and_compared_with_one_before(
    keyed: Keyed, watched: Watched
) -> None:
    page = await opened(keyed, watched)
    await expect(page.get_by_text("This workspace has no policy yet")).to_be_visible()
    await save(page, RULE)
    await expect(page.get_by_text("Version 1, saved")).to_be_visible()
    other = RULE.replace('"1h"', '"2h"')
    await save(page, other)
    await expect(page.get_by_text("Version 2, saved")).to_be_visible()
    assert (await keyed.relay.get("/policy")).json()["text"] == other
    await page.get_by_label("Compare with version").select_option("1")
    await expect(page.locator("#difference .removed")).to_contain_text('within = "1h"')
    await expect(page.locator("#difference .added")).to_contain_text('within = "2h"')
    await page.get_by_role("button", name="Take the text of version 1").click()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Version 3, saved")).to_be_visible()
    assert (await keyed.relay.get("/policy")).json()["text"] == RULE


WRONG = {
    "no TOML": (RULE.replace("[[rule]]", "[[rule]"), 3),
    "a wrong member": (RULE.replace("within", "whithin"), 6),
    "a rule that cannot be meant": (RULE.replace('"1h"', '"1 hour"'), 6),
    "a red test": (RULE.replace("expect = { approvals = 2 }", "expect = { approvals = 1 }"), 8),
}


@pytest.mark.parametrize(("text", "line"), WRONG.values(), ids=[*WRONG])
async def test_what_is_wrong_stands_at_its_line(
    keyed: Keyed, watched: Watched, text: str, line: int
) -> None:
    """It is not saved, the text stays, and the line is selected by a click."""
    page = await opened(keyed, watched)
    await save(page, text)
    await expect(page.locator("#refused")).to_be_focused()
    await expect(page.locator(".numbers .bad")).to_have_text(str(line))
    await page.locator("#refused a").click()
    selected = await page.evaluate("getSelection().toString()")
    assert selected == text.split("\n")[line - 1]
    await expect(page.locator("#policy")).to_have_value(text)
    assert (await keyed.relay.get("/policy")).json()["version"] == 0


async def test_what_another_person_saved_is_not_lost(keyed: Keyed, watched: Watched) -> None:
    """412 in plain words, with the lines that differ; a second save is refused until it is seen."""
    page = await opened(keyed, watched)
    theirs = RULE.replace("deletes", "theirs")
    await keyed.relay.put("/policy", json={"text": theirs})
    for _ in range(2):
        await save(page, RULE)
        await expect(page.locator("#refused")).to_contain_text("version 1 was saved meanwhile")
        await expect(page.locator("#refused .removed")).to_contain_text("theirs")
    assert (await keyed.relay.get("/policy")).json()["text"] == theirs
    await page.get_by_role("button", name="I have seen version 1").click()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Version 2, saved")).to_be_visible()
    assert (await keyed.relay.get("/policy")).json()["text"] == RULE


async def test_a_policy_is_explained_before_it_is_saved(keyed: Keyed, watched: Watched) -> None:
    """Facts in, rules and the requirement out; of the policy in force, or of the text above."""
    page = await opened(keyed, watched)
    explain = page.get_by_role("button", name="Explain")
    await page.get_by_label("Method").fill("DELETE")
    await explain.click()
    await expect(page.locator("#explained")).to_contain_text("Needs no approval.")
    await page.locator("#policy").fill(RULE)
    await explain.click()
    await expect(page.locator("#explained")).to_contain_text("Needs approval within 1 hour")
    await expect(page.locator("#explained")).to_contain_text("The workspace: rules deletes.")
    await page.locator("#policy").fill('default = "deny"')
    await explain.click()
    await expect(page.locator("#explained")).to_contain_text("Denied by")
    assert (await keyed.relay.get("/policy")).json()["version"] == 0


LINES = {
    "/rule/0/need/within": 6,
    "/rule/0/need/from/1": 6,
    "/rule/0/when/methods/0": 5,
    "/rule/0": 3,
    "/rule/0/unknown": 3,
    "/rule/1/name": 0,
    "/test/0": 8,
    "/test/0/expect": 11,
    "/default": 1,
    "": 0,
}


async def test_a_pointer_leads_to_a_line(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await page.goto("/studio")
    ask = f"""async (given) => {{
      const {{ lineOf }} = await import("/studio/a/{web().version}/policy.js");
      return given[1].map((pointer) => lineOf(given[0], pointer));
    }}"""
    assert await page.evaluate(ask, [RULE, [*LINES]]) == [*LINES.values()]
