"""What will be sent: as it is, formatted, compared, and quickly."""

import pytest
from playwright.async_api import Page, expect

from tests.support.desk import Desk, typed_host
from tests.support.keyed import Keyed
from tests.support.target import Target

SIZE = 256 * 1024 - 200


async def test_the_order_of_headers_and_the_members_stay(desk: Desk, target: Target) -> None:
    """Names that look like numbers too, and a member that stands twice."""
    typed = '{"b": 1, "a": 1.0, "a": 12345678901234567890}'
    preview_id = await desk.held_text(target.url, typed)
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    await expect(page.locator("#body")).to_have_text(typed)
    head = await page.locator("#head").inner_text()
    assert head.startswith(f"POST {target.url}\nAccept: */*\n")
    await page.get_by_role("tab", name="Formatted").click()
    await expect(page.locator("#formatted")).to_contain_text('  "a": 1.0,')
    notes = page.get_by_role("tabpanel").get_by_role("listitem")
    await expect(notes).to_contain_text(["twice", "12345678901234567000"])


async def test_a_request_without_a_body_has_no_format(desk: Desk, target: Target) -> None:
    preview_id = await desk.held_text(target.url, "1")
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    await expect(page.get_by_role("tab")).to_have_text(
        ["As it is", "Formatted", "Diff to last approved"]
    )
    params = {"url": target.url, "method": "POST"}
    asked = {"action": "webhook.save", "params": params}
    empty = (await desk.robot.post("/actions/preview", json=asked)).json()["preview_id"]
    await page.goto(f"/studio/approvals/{empty}")
    await expect(page.get_by_role("tab")).to_have_text(["As it is", "Diff to last approved"])
    await typed_host(page)


async def test_approve_is_off_where_the_bytes_are_not_shown(desk: Desk, target: Target) -> None:
    """Under another tab, until the first one is chosen again with the arrow keys."""
    page = await desk.person(
        path=f"/studio/approvals/{(await desk.held(target.url))['preview_id']}"
    )
    await typed_host(page)
    await expect(page.locator("#approve")).to_be_enabled()
    await page.get_by_role("tab", name="As it is").press("ArrowRight")
    await expect(page.get_by_role("tab", name="Formatted")).to_be_focused()
    await expect(page.locator("#approve")).to_be_disabled()
    await expect(page.locator("#off")).to_contain_text("As it is")
    await page.get_by_role("tab", name="Formatted").press("Home")
    await expect(page.locator("#approve")).to_be_enabled()


async def test_nothing_was_approved_before(desk: Desk, target: Target) -> None:
    page = await desk.person(
        path=f"/studio/approvals/{(await desk.held(target.url))['preview_id']}"
    )
    await page.get_by_role("tab", name="Diff").click()
    await expect(page.get_by_role("tabpanel")).to_contain_text("None is kept")


async def test_copying_takes_the_text(desk: Desk, target: Target) -> None:
    """Not the boxes that stand for hidden characters."""
    preview = await desk.held(target.url, "a\u202eb")
    path = f"/studio/approvals/{preview['preview_id']}"
    page = await desk.person(path=path, permissions=["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy what will be sent").click()
    await expect(page.get_by_text("Copied")).to_be_visible()
    wire = preview["effect"]["wire"]
    assert await page.evaluate("navigator.clipboard.readText()") == wire["head"] + wire["body"]


async def test_a_hidden_character_has_a_name(desk: Desk, target: Target) -> None:
    """A screen reader gets it; all of them are counted."""
    preview = await desk.held(target.url, "a\u202eb\u00a0c")
    page = await desk.person(path=f"/studio/approvals/{preview['preview_id']}")
    boxes = page.locator("#body").get_by_role("img")
    await expect(boxes).to_have_text(["U+202E", "U+00A0"])
    await expect(boxes.first).to_have_accessible_name(
        "hidden character U+202E, right-to-left override"
    )
    await expect(page.get_by_text("2 hidden characters")).to_be_visible()


async def cpu(page: Page, preview_id: str) -> float:
    """Seconds of the page's main thread, which other programs of the machine do not count in."""
    line = await page.context.new_cdp_session(page)
    await line.send("Performance.enable", {"timeDomain": "threadTicks"})

    async def spent() -> float:
        metrics = (await line.send("Performance.getMetrics"))["metrics"]
        return float({it["name"]: it["value"] for it in metrics}["TaskDuration"])

    before = await spent()
    await page.locator(f"a[href$='{preview_id}']").click()
    # Not `expect`: it describes the whole page whenever it has to wait.
    await page.locator("#digest", has_text="is what is shown here").wait_for()
    return await spent() - before


KINDS = {
    "letters": '"' + "a" * SIZE + '"',
    "hebrew": '"' + "\u05d0\u05d1\u05d2\u05d3\u200f " * (SIZE // 12) + '"',
    "feeds": "[" + "\n" * SIZE + "1]",
    "members": "{" + "\n".join(f'"{n}": "x",' for n in range(9000)) + '"a": 1}',
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_largest_body_is_shown_within_a_second(
    desk: Desk, target: Target, kind: str
) -> None:
    """All of it: the digest is computed from the rows that stand in the document."""
    preview_id = await desk.held_text(target.url, KINDS[kind])
    assert await cpu(await desk.person(), preview_id) < 1


async def test_a_body_of_hidden_characters_is_shown(desk: Desk, target: Target) -> None:
    """The worst case, 87,000 boxes, takes longer; the page stays usable."""
    preview_id = await desk.held_text(target.url, '"' + "\u200b" * (SIZE // 3) + '"')
    assert await cpu(await desk.person(), preview_id) < 3


async def test_a_host_is_shown_in_both_spellings(desk: Desk, keyed: Keyed, target: Target) -> None:
    preview = await desk.held("https://xn--80ak6aa92e.com/pay")
    page = await desk.person(path=f"/studio/approvals/{preview['preview_id']}")
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        "POST to \u0430\u0440\u0440\u04cf\u0435.com (xn--80ak6aa92e.com)"
    )
    await expect(page.locator("#host")).to_have_count(0)
    await expect(page.locator("#approve")).to_be_enabled()
