"""Keys, secrets and channels are administered by people who see what they do."""

from playwright.async_api import Page, expect

from gateway.access.roles import ROLES
from gateway.studio.pages import web
from tests.support.browsing import Watched, key_of, sign_in
from tests.support.keyed import Keyed
from tests.support.target import Target, status

KEYS = "/studio/admin/keys"


async def make_key(page: Page, name: str, role: str = "viewer") -> str:
    """The text of the key, still shown."""
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("Role").select_option(role)
    await page.get_by_role("button", name="Make the key").click()
    return str(await page.locator("#secret").text_content())


async def gone_from(page: Page, secret: str) -> None:
    """Neither in the document nor in what the browser keeps."""
    await page.get_by_role("button", name="I have kept it").click()
    await expect(page.locator("#secret")).to_have_count(0)
    kept = "JSON.stringify([history.state, location.href, {...localStorage}, {...sessionStorage}])"
    assert secret not in await page.content() + str(await page.evaluate(kept))


async def test_a_new_key_is_shown_once(keyed: Keyed, watched: Watched) -> None:
    """With fewer scopes and days where these are chosen; the clipboard gets it by a click alone."""
    context = await watched.context(permissions=["clipboard-read", "clipboard-write"])
    page = await watched.page(context)
    await sign_in(page, keyed.admin, KEYS)
    await page.evaluate("navigator.clipboard.writeText('before')")
    await page.get_by_label("Person or program").fill("ann")
    await page.get_by_label("Role").select_option("approver")
    await page.get_by_text("Fewer scopes").click()
    await page.get_by_label("previews:read").uncheck()
    await page.get_by_label("Ends after days").fill("7")
    secret = await make_key(page, "of ann", "approver")
    assert await page.evaluate("navigator.clipboard.readText()") == "before"
    await page.get_by_role("button", name="Copy the key").click()
    assert await page.evaluate("navigator.clipboard.readText()") == secret
    await gone_from(page, secret)
    [row] = [it for it in (await keyed.relay.get("/keys")).json()["keys"] if it["name"] == "of ann"]
    left = ["actions:read", "approvals:decide", "approvals:read", "connections:read", "runs:read"]
    assert row["scopes"] == left
    ends = page.get_by_role("listitem").filter(has_text="of ann").locator(".soon")
    await expect(ends).to_contain_text("ends soon: 6 days left")


async def test_only_what_ends_within_two_weeks_is_marked(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin, KEYS)
    for days, marked in ((14, 1), (15, 0)):
        await page.get_by_label("Ends after days").fill(str(days))
        await gone_from(page, await make_key(page, f"for {days} days"))
        row = page.get_by_role("listitem").filter(has_text=f"for {days} days")
        await expect(row.locator(".soon")).to_have_count(marked)


async def test_a_key_is_rotated_with_an_overlap(keyed: Keyed, watched: Watched) -> None:
    """The new one is shown once; the old one names it."""
    old = await key_of(keyed, "viewer", "robot")
    page = await watched.page()
    await sign_in(page, keyed.admin, KEYS)
    row = page.get_by_role("listitem").filter(has_text="robot").first
    await row.get_by_label("Hours in which the old key still works").fill("2")
    await row.get_by_role("button", name="Rotate").click()
    secret = str(await page.locator("#secret").text_content())
    await gone_from(page, secret)
    await expect(page.get_by_text("replaced by")).to_be_visible()
    await keyed.look()
    for key in (old, secret):
        assert (await keyed.client(key).get("/runs")).status_code == 200


async def test_a_key_is_revoked_by_its_name(keyed: Keyed, watched: Watched) -> None:
    old = await key_of(keyed, "viewer", "robot")
    page = await watched.page()
    await sign_in(page, keyed.admin, KEYS)
    row = page.get_by_role("listitem").filter(has_text="robot")
    await row.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("Nothing is revoked")).to_be_visible()
    assert (await keyed.client(old).get("/runs")).status_code == 200
    await row.get_by_label("to revoke it").fill("test")
    await row.get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("revoked")
    assert (await keyed.client(old).get("/runs")).status_code == 401


async def test_the_last_admin_stays(keyed: Keyed, watched: Watched) -> None:
    """And the page says why."""
    page = await watched.page()
    await sign_in(page, keyed.admin, KEYS)
    await expect(page.get_by_text("You are signed in with this key.")).to_be_visible()
    await page.get_by_label("to revoke it").fill("first")
    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("alert")).to_contain_text("create another one first")


async def test_roles_and_scopes_are_those_of_the_gateway(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    await page.goto("/studio")
    address = f"/studio/a/{web().version}/views/admin/roles.js"
    found = await page.evaluate(f"import('{address}').then((it) => it.ROLES)")
    assert {role: set(it["scopes"]) for role, it in found.items()} == ROLES


async def test_a_new_secret_is_shown_once(keyed: Keyed, watched: Watched) -> None:
    """The list says which one signs until when."""
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/admin/secrets")
    await expect(page.get_by_text("no secret of its own yet")).to_be_visible()
    for _ in range(2):
        await page.get_by_role("button", name="Make a secret").click()
        secret = str(await page.locator("#secret").text_content())
        assert secret.startswith("whsec_")
        await gone_from(page, secret)
    await expect(page.get_by_text("signs until a newer one is made")).to_have_count(1)
    await expect(page.get_by_text("signs beside the newer one: 23 hours left")).to_have_count(1)


async def test_a_channel_is_added_tested_and_deleted(
    keyed: Keyed, watched: Watched, target: Target
) -> None:
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/admin/channels")
    await expect(page.get_by_text("No channel yet")).to_be_visible()
    await page.get_by_label("Name", exact=True).fill("duty")
    await page.get_by_label("URL").fill(target.url)
    await page.get_by_role("button", name="Add the channel").click()
    await expect(page.get_by_text("not used in the last 30 days")).to_be_visible()
    row = page.get_by_role("main").get_by_role("listitem").filter(has_text="duty")
    await row.get_by_role("button", name="Send a test").click()
    await expect(row).to_contain_text("answered 200")
    target.answer = status(500)
    await row.get_by_role("button", name="Send a test").click()
    await expect(row).to_contain_text("It answered 500.")
    await row.get_by_label("to delete it").fill("duty")
    await row.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No channel yet")).to_be_visible()
    assert len(target.deliveries) == 2


async def test_only_what_the_scopes_allow_is_shown(keyed: Keyed, watched: Watched) -> None:
    page = await watched.page()
    secret = await keyed.key("admin", scopes=("keys:manage", "runs:read"))
    await sign_in(page, secret, "/studio/admin")
    links = page.get_by_role("main").get_by_role("link")
    await expect(links).to_have_text(["Keys", "Limits"])


async def test_limits_are_shown_and_not_changed(keyed: Keyed, watched: Watched) -> None:
    """What is left of what is granted; the page says who changes them."""
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/admin/limits")
    found = (await keyed.relay.get("/limits")).json()
    for name, rate in (("Previews", found["previews"]), ("Executes", found["executes"])):
        cells = page.get_by_role("row").filter(has_text=f"{name} a minute").get_by_role("cell")
        left = [f"{rate[f'{it}_left']} of {rate[it]}" for it in ("per_key", "per_workspace")]
        await expect(cells).to_have_text(left)
    total = found["runs"]["total"]
    await expect(page.get_by_text(f"0 of {total} runs are under way")).to_be_visible()
    await expect(page.get_by_text("relay workspaces limits")).to_be_visible()
    await expect(page.get_by_role("main").locator("input, button, select")).to_have_count(0)
