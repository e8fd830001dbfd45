"""Make the pictures of the README and of the guide anew: `make screenshots`.

A real gateway with made-up data, in a real browser; 1,280 pixels wide, at most 200 kB each.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Page

from tests.support.browsing import Watched, approve, chromium, key_of, loaded, sign_in
from tests.support.deciding import client_of
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import listening
from tests.support.valkey import Valkey

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "guides" / "pictures"
BYTES_MAX = 200_000
WIDTH = 1280
POLICY = """
[[rule]]
name = "payments"
when = { methods = ["POST"] }
need = { approvals = 1, from = ["role:approver"] }
"""
PAYMENTS = "https://api.bank.example/v1/payments"
INVOICE = {"amount": 107.00, "currency": "EUR", "to": "Lime Street Bakery", "invoice": "2026-118"}


async def ask(agent: Relay, url: str, body: object) -> str:
    answer = await agent.preview(url, body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["preview_id"])


async def take(page: Page, path: str, name: str) -> None:
    """One picture of what stands at this path."""
    await page.set_viewport_size({"width": WIDTH, "height": 640})
    await page.goto(path)
    await loaded(page)
    # As high as the page. What is outside of the window is not drawn, so the window is.
    height = await page.evaluate("document.documentElement.scrollHeight")
    await page.set_viewport_size({"width": WIDTH, "height": height})
    taken = await page.screenshot(path=FOLDER / name, animations="disabled")
    assert len(taken) <= BYTES_MAX, (name, len(taken))


async def pictures(keyed: Keyed, page: Page, receiver: str) -> None:
    agent = await client_of(keyed, "operator", "billing-agent")
    await ask(agent, "https://crm.example/contacts/99", {"phone": None})
    await ask(agent, f"{PAYMENTS}/8", {"amount": 19.90, "currency": "EUR"})
    payment = await ask(agent, f"{PAYMENTS}/7", {**INVOICE, "note": "urgent\u202efdp.exe"})
    await sign_in(page, await key_of(keyed, "approver", "ann"), f"/studio/approvals/{payment}")
    await page.locator("#digest", has_text="is what is shown here").wait_for()
    await take(page, f"/studio/approvals/{payment}", "approval.png")
    order = await ask(agent, receiver, {"order": 1042, "state": "paid"})
    await page.goto(f"/studio/approvals/{order}")
    await approve(page)
    run = (await agent.execute(order)).json()["run_id"]
    await agent.execute(order)
    await take(page, f"/studio/runs/{run}", "run.png")


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="relay-pictures-") as name:
        folder = Path(name)
        (folder / "policy.toml").write_text(POLICY)
        valkey = Valkey(folder)
        valkey.start()
        try:
            hosts = frozenset({"api.bank.example", "crm.example"})
            given = {"approval_policy": folder / "policy.toml", "egress_hosts": hosts}
            async with (
                keyed_gateway(valkey.url, folder / "data", **given) as keyed,
                listening() as receiver,
                chromium() as browser,
            ):
                watched = Watched(browser, keyed.url)
                context = await watched.context(
                    viewport={"width": WIDTH, "height": 800}, color_scheme="light"
                )
                await pictures(keyed, await watched.page(context), receiver.url)
                assert watched.complaints == []
        finally:
            valkey.stop()


if __name__ == "__main__":
    asyncio.run(main())
