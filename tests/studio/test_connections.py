"""Each provider has a card that says whether this gateway can use it."""

from typing import Any

from playwright.async_api import expect

from gateway.actions.action import Action
from gateway.actions.webhook import WebhookParams, webhook_save
from tests.support.browsing import Watched, sign_in
from tests.support.keyed import Keyed


async def test_each_provider_has_a_card(keyed: Keyed, watched: Watched) -> None:
    prepare = webhook_save(default_url=None).prepare
    for name, enabled in (("acme", False), ("other", True)):
        given: dict[str, Any] = {"title": f"Try {name}", "enabled": enabled, "prepare": prepare}
        made = Action(name=f"{name}.try", provider=name, params=WebhookParams, **given)
        keyed.state["engine"].actions[made.name] = made
    page = await watched.page()
    await sign_in(page, keyed.admin, "/studio/connections")
    cards = page.locator(".card")
    await expect(cards).to_have_count(7)
    states = {
        "No provider": "Ready: these actions need no account.",
        "Acme": "Not configured. The operator of this gateway sets it up.",
        "Other": "Ready to use.",
        "GitHub": "Not configured. The operator of this gateway sets it up.",
    }
    for name, words in states.items():
        card = cards.filter(has=page.get_by_role("heading", name=name))
        await expect(card).to_contain_text(words)
    await cards.get_by_role("link", name="Try other").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Try other")
