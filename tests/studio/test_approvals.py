"""A person decides in a browser on the very bytes that a receiver gets."""

import re

import pytest
from playwright.async_api import expect

from tests.support.browsing import Watched, key_of, sign_in
from tests.support.keyed import Keyed
from tests.support.target import Target

ODD = {"amount": 1.0, "note": "pay\u202efdp.exe", "7": "\u05d0\u200b", "line": "a\nb\r\tc"}


async def test_a_person_approves_what_is_sent(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """Hidden characters are named; Approve is off until the host is typed."""
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview = (await agent.preview(target.url, ODD, headers={"7": "a", "B": "b", "3": "c"})).json()
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    await page.locator(f"a[href$='{preview['preview_id']}']").click()
    await expect(page.locator("#digest")).to_contain_text("is what is shown here")
    await expect(page.locator("#digest code")).to_have_text(preview["effect"]["digest"])
    await expect(page.locator("#body")).to_contain_text("U+202E")
    key_id = (await keyed.relay.get(f"/approvals/{preview['preview_id']}")).json()["requester_key"]
    asked = page.get_by_text(re.compile(rf"asked by\s+robot\s+\(key {key_id}, operator\)"))
    await expect(asked).to_be_visible()
    approve = page.locator("#approve")
    await expect(approve).to_be_disabled()
    await page.locator("#host").fill("127.0.0.1")
    await approve.click()
    await expect(page.locator("#state")).to_contain_text("Approved")
    run = (await agent.execute(preview["preview_id"])).json()
    assert run["status"] == "success"
    assert target.deliveries[0].body.decode() == preview["effect"]["body"]


async def test_bytes_that_are_not_the_stored_ones_cannot_be_approved(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    """Whatever stands between the gateway and the page."""
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url, {"amount": 107})).json()["preview_id"]
    page = await watched.page()

    async def other(route: object) -> None:
        answer = await route.fetch()  # type: ignore[attr-defined]
        text = (await answer.text()).replace("107", "701")
        await route.fulfill(response=answer, body=text)  # type: ignore[attr-defined]

    await page.route(f"**/approvals/{preview_id}", other)
    await sign_in(page, await key_of(keyed, "approver", "ann"))
    await page.locator(f"a[href$='{preview_id}']").click()
    await expect(page.locator("#digest")).to_contain_text("is not what is shown here")
    await page.locator("#host").fill("127.0.0.1")
    await expect(page.locator("#approve")).to_be_disabled()


async def test_the_requester_cannot_decide(keyed: Keyed, watched: Watched, target: Target) -> None:
    """The page says why. Cancelling is possible."""
    secret = await key_of(keyed, "admin", "robot")
    preview_id = (await keyed.client(secret).preview(target.url)).json()["preview_id"]
    page = await watched.page()
    await sign_in(page, secret, f"/studio/approvals/{preview_id}")
    await expect(page.get_by_text("You asked for this yourself.")).to_be_visible()
    await expect(page.locator("#approve")).to_have_count(0)
    await page.get_by_role("button", name="Cancel this request").click()
    await expect(page.locator("#state")).to_contain_text("cancelled")


@pytest.mark.parametrize("letter", ["a", "\u05d0\u202e"])
async def test_the_largest_body_is_shown_whole(
    keyed: Keyed, watched: Watched, target: Target, letter: str
) -> None:
    """The digest is computed from the rows that stand in the document."""
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    body = letter * (200_000 // len(letter.encode()))
    answer = await agent.preview(target.url, body)
    assert answer.status_code == 200, answer.text
    page = await watched.page()
    preview_id = answer.json()["preview_id"]
    await sign_in(page, await key_of(keyed, "approver", "ann"), f"/studio/approvals/{preview_id}")
    await expect(page.locator("#digest")).to_contain_text("is what is shown here")


async def test_the_decision_of_one_shows_to_another(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    agent = keyed.client(await key_of(keyed, "operator", "robot"))
    preview_id = (await agent.preview(target.url)).json()["preview_id"]
    path = f"/studio/approvals/{preview_id}"
    ann, ben = [await watched.page(await watched.context()) for _ in range(2)]
    await sign_in(ann, await key_of(keyed, "approver", "ann"), path)
    await sign_in(ben, await key_of(keyed, "approver", "ben"), path)
    await ann.locator("#deny").click()
    await expect(ben.locator("#state")).to_contain_text("Denied", timeout=10_000)
