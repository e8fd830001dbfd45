"""People at their browsers: a robot that asks, approvers that look and decide."""

from typing import Any

from playwright.async_api import Page

from tests.support.browsing import Watched, key_of, sign_in
from tests.support.gateways import Relay
from tests.support.keyed import Keyed


class Desk:
    """`robot`: an operator whose POSTs the policy holds."""

    def __init__(self, keyed: Keyed, watched: Watched, robot: Relay) -> None:
        self.keyed, self.watched, self.robot = keyed, watched, robot

    async def held(self, url: str, body: Any = None, **params: Any) -> dict[str, Any]:
        """What the preview of a POST says. `body`: None for a small one."""
        made = await self.robot.preview(url, {"a": 1} if body is None else body, **params)
        assert made.status_code == 200, made.text
        document: dict[str, Any] = made.json()
        return document

    async def held_text(self, url: str, body: str) -> str:
        """The id of a preview whose body is this very text of JSON."""
        params = f'{{"url": "{url}", "body": {body}}}'
        content = f'{{"action": "webhook.save", "params": {params}}}'
        headers = {"Content-Type": "application/json"}
        made = await self.robot.post("/actions/preview", content=content.encode(), headers=headers)
        assert made.status_code == 200, made.text
        preview_id: str = made.json()["preview_id"]
        return preview_id

    async def person(
        self,
        name: str = "ann",
        path: str = "/studio/approvals",
        *,
        role: str = "approver",
        **given: Any,
    ) -> Page:
        """A page of a browser of their own."""
        page = await self.watched.page(await self.watched.context(**given))
        await sign_in(page, await key_of(self.keyed, role, name), path)
        return page


async def typed_host(page: Page) -> None:
    """What the page asks for before Approve is on: targets of tests are not encrypted."""
    await page.locator("#digest", has_text="is what is shown").wait_for()
    await page.locator("#host").fill("127.0.0.1")
