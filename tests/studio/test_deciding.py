"""Decisions of several people on one approval: what each sees, and what they cannot do."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.support.deciding import client_of, decide
from tests.support.desk import Desk, typed_host
from tests.support.gateways import until
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "payments"
when = { methods = ["POST"], paths = ["/hook"] }
need = { approvals = 2, from = ["role:approver", "role:admin"], reason = "deny" }
[[rule]]
name = "quick"
when = { methods = ["POST"], paths = ["/quick"] }
need = { approvals = 1, within = "4s" }
[[rule]]
name = "ann only"
when = { methods = ["POST"], paths = ["/ann"] }
need = { approvals = 1, from = ["subject:ann"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path, policy=POLICY) as opened:
        yield opened


async def test_two_approvers_approve(desk: Desk, target: Target) -> None:
    """The first sees that one is missing, then who was the second, and gets the receipt."""
    preview = await desk.held(target.url)
    path = f"/studio/approvals/{preview['preview_id']}"
    ann, ben = await desk.person("ann", path), await desk.person("ben", path)
    await typed_host(ann)
    await ann.locator("#approve").dblclick()
    await expect(ann.get_by_text("1 of 2 approved")).to_be_visible()
    await expect(ann.locator("#approve")).to_have_count(0)
    await typed_host(ben)
    await ben.locator("#approve").click()
    await expect(ann.locator("#state")).to_contain_text("Approved by ann and ben.", timeout=20_000)
    await expect(ann.locator("#state")).to_contain_text("robot may send it until")
    await until(lambda: _recorded(desk, preview["preview_id"]))
    async with ann.expect_download() as download:
        await ann.get_by_role("button", name="Download the receipt").click()
    kept = await (await download.value).path()
    receipt = json.loads(await asyncio.to_thread(kept.read_text))
    assert set(receipt) >= {"payload", "signatures"}


async def _recorded(desk: Desk, preview_id: str) -> bool:
    answer = await desk.keyed.relay.get(f"/approvals/{preview_id}/receipt")
    return answer.status_code == 200


async def test_two_tabs_race(desk: Desk, target: Target) -> None:
    """The one that comes too late reads by whom it was decided."""
    preview_id = (await desk.held(target.url))["preview_id"]
    ben = await desk.person("ben", f"/studio/approvals/{preview_id}")
    await typed_host(ben)
    ann = await client_of(desk.keyed, "approver", "ann")
    await ben.route("**/decision", lambda route: _after(route, ann, preview_id))
    await ben.locator("#approve").click()
    await expect(ben.get_by_role("alert")).to_contain_text("came too late: denied by ann")
    await expect(ben.locator("#state")).to_contain_text("Denied by ann")
    await expect(ben.get_by_text("The program of robot gets approval_denied")).to_be_visible()


async def _after(route: Route, other: object, preview_id: str) -> None:
    await decide(other, preview_id, "deny", reason="no")  # type: ignore[arg-type]
    await route.continue_()


async def test_a_denial_needs_the_reason_that_the_rule_asks_for(desk: Desk, target: Target) -> None:
    """The field has the focus, and nothing is sent before."""
    preview_id = (await desk.held(target.url))["preview_id"]
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    await page.locator("#deny").click()
    await expect(page.locator("#reason")).to_be_focused()
    await expect(page.get_by_text("The policy asks for a reason.")).to_be_visible()
    await page.keyboard.type("Not this month.")
    await page.locator("#deny").click()
    await expect(page.locator("#state")).to_contain_text("Denied by ann")
    await expect(page.get_by_text("Not this month.")).to_be_visible()


async def test_the_digest_of_what_is_in_the_document_is_sent(desk: Desk, target: Target) -> None:
    """Not the stored one. The gateway refuses it, and the page shows what differs."""
    preview_id = (await desk.held(target.url, {"amount": 107}))["preview_id"]
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    await typed_host(page)
    await page.evaluate("document.querySelector('#body .row').firstChild.data = '{\"amount\":701}'")
    await page.locator("#approve").click()
    await expect(page.get_by_role("alert")).to_contain_text("not the bytes that are stored")
    await expect(page.locator("#difference .removed")).to_have_text('- {"amount":701}')
    await expect(page.locator("#difference .added")).to_have_text('+ {"amount":107}')
    await expect(page.locator("#body")).to_have_text('{"amount":107}')
    await expect(page.locator("#approve")).to_be_enabled()


async def test_an_approver_is_revoked_while_looking(desk: Desk, target: Target) -> None:
    """The sign-in stands over the page; what was typed stays, and the same path comes back."""
    preview_id = (await desk.held(target.url))["preview_id"]
    page = await desk.person(path=f"/studio/approvals/{preview_id}")
    await typed_host(page)
    await page.locator("#reason").fill("looked at")
    key_id = (await page.evaluate("fetch('/session').then((it) => it.json())"))["key"]
    await desk.keyed.relay.delete(f"/keys/{key_id}")
    await desk.keyed.look()
    # The page may have noticed by itself, and have covered the button.
    await page.locator("#approve").dispatch_event("click")
    await expect(page.get_by_role("dialog", name="Sign in again")).to_be_visible()
    await expect(page.locator("#reason")).to_have_value("looked at")
    state = (await desk.keyed.relay.get(f"/approvals/{preview_id}")).json()["state"]
    assert state == "pending"


async def test_nothing_can_be_decided_after_the_last_second(desk: Desk, target: Target) -> None:
    preview = await desk.held(target.url.replace("/hook", "/quick"))
    page = await desk.person(path=f"/studio/approvals/{preview['preview_id']}")
    await expect(page.locator("#deny")).to_have_count(0)
    ends = datetime.fromisoformat(preview["approval"]["decide_by"]).timestamp()
    assert abs(await page.evaluate("Date.now()") / 1000 - ends) < 3
    await expect(page.locator("#state")).to_contain_text("Nobody decided in time.")


async def test_a_decision_that_does_not_count_says_whom_to_ask(desk: Desk, target: Target) -> None:
    preview = await desk.held(target.url.replace("/hook", "/ann"))
    page = await desk.person("ben", f"/studio/approvals/{preview['preview_id']}")
    await expect(page.get_by_text("Ask ann.")).to_be_visible()
    await expect(page.locator("#approve")).to_have_count(0)


async def test_approve_and_send(desk: Desk, target: Target) -> None:
    """For those who may execute, and where one approval is missing; once, however often clicked."""
    preview_id = (await desk.held(target.url, {"n": 1}))["preview_id"]
    path = f"/studio/approvals/{preview_id}"
    boss = await desk.person("boss", path, role="admin")
    await typed_host(boss)
    await expect(boss.locator("#approve-and-send")).to_have_count(0)
    await decide(await client_of(desk.keyed, "approver", "ann"), preview_id)
    await boss.locator("#approve-and-send").dblclick(timeout=20_000)
    await expect(boss.get_by_role("heading", level=1)).to_contain_text("Sent once")
    assert [it.body for it in target.deliveries] == [b'{"n":1}']


async def test_an_approval_is_withdrawn(desk: Desk, target: Target) -> None:
    """Before it is used. The next one that waits is a click away."""
    first = (await desk.held(target.url))["preview_id"]
    await desk.held(target.url)
    for name in ("ann", "ben"):
        await decide(await client_of(desk.keyed, "approver", name), first)
    page = await desk.person("cid", f"/studio/approvals/{first}")
    await page.get_by_role("button", name="Withdraw").click()
    await expect(page.locator("#state")).to_contain_text("withdrawn")
    await page.get_by_role("link", name="Next: 1 more").click()
    await expect(page.locator("#deny")).to_be_visible()
