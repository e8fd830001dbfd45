"""Every screen of Studio by its path, with data to show. A new screen is one row here."""

import re
from collections.abc import Mapping

from gateway.studio.pages import web
from tests.support.deciding import client_of, decide
from tests.support.keyed import Keyed
from tests.support.target import Target, status

# `{…}` is the id of what `fill` makes.
SCREENS = {
    "inbox": "/studio/approvals",
    "approval": "/studio/approvals/{held}",
    "approval, denied": "/studio/approvals/{denied}",
    "approval, unknown": "/studio/approvals/none",
    "runs": "/studio/runs",
    "runs, none": "/studio/runs?status=unknown",
    "run, sent": "/studio/runs/{sent}",
    "run, refused": "/studio/runs/{refused}",
    "actions": "/studio/actions",
    "action": "/studio/actions/webhook.save",
    "preview": "/studio/previews/{free}",
    "connections": "/studio/connections",
    "audit": "/studio/audit",
    "administration": "/studio/admin",
    "keys": "/studio/admin/keys",
    "secrets": "/studio/admin/secrets",
    "limits": "/studio/admin/limits",
    "policy": "/studio/admin/policy",
    "channels": "/studio/admin/channels",
    "not found": "/studio/nothing",
}
ROUTE = re.compile(r"\[/(\^\\/studio.*?\$)/,")


def routes() -> list[str]:
    """The patterns of paths that have a screen, as Studio's router writes them."""
    scripts = (it.decode() for name, it in web().files.items() if name.endswith(".js"))
    return [it.replace(r"\/", "/") for text in scripts for it in ROUTE.findall(text)]


async def fill(keyed: Keyed, target: Target) -> Mapping[str, str]:
    """Ids by their names in `SCREENS`: something in each state that a screen tells apart."""
    agent = await client_of(keyed, "operator", "robot")
    ann = await client_of(keyed, "approver", "ann")

    async def preview(note: str, method: str) -> str:
        made = await agent.preview(target.url, {"note": note, "7": 1.0}, method=method)
        return str(made.json()["preview_id"])

    async def run() -> str:
        return str((await agent.execute(await preview("now", "PUT"))).json()["run_id"])

    sent = await run()
    target.answer = status(422, "no\u202e".encode())
    refused = await run()
    target.answer = status(200)
    denied = await preview("not this", "POST")
    answer = await decide(ann, denied, "deny", reason="not today")
    assert answer.status_code == 200, answer.text
    held, free = await preview("pay\u202efdp.exe", "POST"), await preview("later", "PUT")
    return {"held": held, "denied": denied, "sent": sent, "refused": refused, "free": free}
