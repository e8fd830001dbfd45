"""A gateway is killed between a decision and its notice, or while it sends it: another sends it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.deciding import decide
from tests.support.gateways import GatewayProcess, Relay, client, gateway_process, until
from tests.support.notices import types
from tests.support.target import Target, hang, listening, status
from tests.support.valkey import Valkey

POLICY = '[[rule]]\nname = "posts"\nwhen = { methods = ["POST"] }\nneed = {}'


@asynccontextmanager
async def keyed(process: GatewayProcess, root: str, body: dict[str, Any]) -> AsyncIterator[Relay]:
    """A client with a new key, which an admin makes."""
    async with client(process.url) as admin, client(process.url) as relay:
        admin.headers["Authorization"] = f"Bearer {root}"
        made = (await admin.post("/keys", json={"name": "k", **body})).json()
        relay.headers["Authorization"] = f"Bearer {made['secret']}"
        yield relay


async def first_admin(process: GatewayProcess, channel: Target) -> str:
    """Its key; the channel is created with it."""
    async with client(process.url) as relay:
        made = (await relay.post("/keys", json={"name": "root", "role": "admin"})).json()
        relay.headers["Authorization"] = f"Bearer {made['secret']}"
        created = await relay.post("/channels", json={"name": "duty", "url": channel.url})
        assert created.status_code == 201
        return str(made["secret"])


@pytest.mark.parametrize("killed", ["before the notice", "while it sends"])
async def test_a_decision_is_announced_by_another_gateway(
    valkey: Valkey, sqlite_url: str, target: Target, tmp_path: Path, killed: str
) -> None:
    """With the same `webhook-id` where the dead one had begun."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    env = {
        "REDIS_URL": valkey.url,
        "DATABASE_URL": sqlite_url,
        "RELAY_APPROVAL_POLICY": str(policy),
        "RELAY_KEY_PEPPER": "p" * 32,
        "RELAY_AUDIT_KEY": "a" * 32,
    }
    async with listening() as channel:

        async def approved() -> bool:
            return "approval.approved" in types(channel.deliveries)

        with gateway_process(env) as dying:
            root = await first_admin(dying, channel)
            async with (
                keyed(dying, root, {"role": "operator"}) as agent,
                keyed(dying, root, {"role": "approver"}) as ann,
            ):
                channel.answer = hang
                preview_id = await agent.preview_id(target.url)
                assert (await decide(ann, preview_id)).json()["state"] == "approved"
                if killed == "while it sends":
                    await until(approved)
                dying.kill()
        begun = len(channel.deliveries)
        channel.answer = status(200)
        with gateway_process(env):

            async def again() -> bool:
                return "approval.approved" in types(channel.deliveries[begun:])

            await until(again)
        ids = {it.header("webhook-id") for it in channel.deliveries if b"approved" in it.body}
        assert ids == {f"approval_{preview_id}_approved"}
