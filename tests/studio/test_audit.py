"""The audit says whether it is whole, before anything else, and shows every entry."""

import shlex

from playwright.async_api import expect

from gateway.studio.pages import web
from stores.audit_entries import EVENTS
from stores.redis.client import Store
from tests.support.browsing import Watched, key_of, sign_in
from tests.support.keyed import Keyed
from tests.support.shipping import shipped
from tests.support.target import Target

PATH = "/studio/audit"


async def check(store: Store, keyed: Keyed) -> None:
    """What the gateway does every 15 minutes."""
    await shipped(store, keyed.state)
    await keyed.state["verifier"].turn()


async def change(keyed: Keyed, seq: int) -> None:
    """As a writer of the database can."""
    database = await keyed.state["database"].open()
    async with database.begin() as connection:
        await connection.execute("UPDATE audit SET principal = 'other' WHERE seq = $1", seq)


async def test_a_chain_that_holds_says_how_far(
    keyed: Keyed, watched: Watched, store: Store
) -> None:
    """Before the first check it says that there was none, and how to make one."""
    page = await watched.page()
    await sign_in(page, keyed.admin, PATH)
    await expect(page.locator("#chain")).to_contain_text("Never verified")
    await expect(page.locator("#chain")).to_contain_text("relay audit verify")
    await check(store, keyed)
    await page.reload()
    await expect(page.locator("#chain")).to_contain_text("Chain verified up to")
    await expect(page.get_by_text("Reading this is in the audit.")).to_be_visible()
    await shipped(store, keyed.state)
    await page.reload()
    await expect(page.get_by_text("audit.read").nth(1)).to_be_visible()


async def test_a_tampered_row_shows_as_broken(keyed: Keyed, watched: Watched, store: Store) -> None:
    """After the next check, as an alert that is first on the page."""
    page = await watched.page()
    await sign_in(page, keyed.admin, PATH)
    await check(store, keyed)
    await page.reload()
    await expect(page.locator("#chain")).to_contain_text("Chain verified up to")
    seq = (await keyed.relay.get("/audit/verification")).json()["seq"] + 1
    await key_of(keyed, "viewer", "vic")
    await shipped(store, keyed.state)
    await change(keyed, seq)
    await check(store, keyed)
    await page.reload()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text(f"Broken at {seq}: not as it was written.")
    first = page.locator("main > *").first
    assert await first.get_attribute("id") == await alert.get_attribute("id")
    await expect(page).to_have_title("Audit: the chain is broken · Relay Studio")


async def test_an_auditor_sees_this_page_and_nothing_else(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, await key_of(keyed, "auditor", "eve"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Audit")
    links = page.get_by_role("navigation").get_by_role("link")
    await expect(links).to_have_text(["Audit"])
    for path in ("runs", "actions", "admin/keys", "admin/policy"):
        await page.goto(f"/studio/{path}")
        await expect(page.get_by_role("alert")).to_be_visible()


async def test_entries_are_filtered_and_shown_whole(
    keyed: Keyed, watched: Watched, store: Store
) -> None:
    """Refusals are marked; the filter stays in the address, and the export has it."""
    viewer = keyed.client(await key_of(keyed, "viewer", "vic"))
    assert (await viewer.get("/keys")).status_code == 403
    await shipped(store, keyed.state)
    page = await watched.page()
    await sign_in(page, keyed.admin, PATH)
    await expect(page.locator("li.refused")).to_contain_text("Refused")
    await page.get_by_label("Event").select_option("request.refused")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator(".list > li")).to_have_count(1)
    await page.reload()
    await expect(page.get_by_label("Event")).to_have_value("request.refused")
    await page.locator(".list summary").click()
    details = page.locator(".list dl")
    for text in ("forbidden", "request_id", "mac", "address"):
        await expect(details).to_contain_text(text)
    await page.get_by_label("Event").select_option("run.ended")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_text("No entry is like this.")).to_be_visible()


async def test_the_export_is_a_command_that_runs(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    context = await watched.context(permissions=["clipboard-read", "clipboard-write"])
    page = await watched.page(context)
    await sign_in(page, keyed.admin, f"{PATH}?event=key.created&since=2026-01-01T00:00:00Z")
    await page.get_by_role("button", name="Copy the command").click()
    command = await page.evaluate("navigator.clipboard.readText()")
    words = shlex.split(command)
    assert words[:3] == ["relay", "audit", "export"]
    assert words[3:] == [
        *("--workspace", "default", "--event", "key.created"),
        *("--since", "2026-01-01T00:00:00Z", ">", "audit.jsonl"),
    ]


async def test_the_filter_offers_every_event(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await page.goto("/studio")
    address = f"/studio/a/{web().version}/views/audit.js"
    assert await page.evaluate(f"import('{address}').then((it) => it.EVENTS)") == EVENTS
