"""A channel hears of a held preview and of its ending, over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support.deciding import client_of, code, decide
from tests.support.gateways import until
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.notices import message, types
from tests.support.target import Target, listening, status
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { approvals = 1, within = "1h", remind = "1ms" }
"""
CANARIES = ("body-canary", "header-canary", "query-canary")


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    given = {"policy": POLICY, "public_url": "https://relay.example"}
    async with keyed_gateway(valkey.url, tmp_path / "data", **given) as opened:
        yield opened


def approved_ones() -> float:
    labels = {"action": "webhook.save", "state": "approved"}
    return REGISTRY.get_sample_value("relay_approvals_total", labels) or 0.0


async def arrived(channel: Target, count: int) -> None:
    async def enough() -> bool:
        return len(channel.deliveries) >= count

    await until(enough)


async def test_a_channel_gets_the_request_the_reminder_and_the_decision(
    keyed: Keyed, target: Target
) -> None:
    """With a link to a page, and nothing of the body, the headers' values and the query."""
    ended = approved_ones()
    async with listening() as channel:
        made = await keyed.relay.post("/channels", json={"name": "duty", "url": channel.url})
        assert made.status_code == 201
        agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
        url = f"{target.url}?token=query-canary"
        headers = {"Authorization": "header-canary"}
        preview = (await agent.preview(url, {"secret": "body-canary"}, headers=headers)).json()
        preview_id, page = preview["preview_id"], preview["approval"]["url"]
        assert page == f"https://relay.example/studio/approvals/{preview_id}"
        pending = await agent.execute(preview_id, "order-1", wait=0)
        assert pending.json()["approval"] == preview["approval"]
        await arrived(channel, 2)
        await decide(ann, preview_id)
        await arrived(channel, 3)
        assert (await decide(ann, preview_id)).json()["state"] == "approved"
    assert approved_ones() == ended + 1
    kinds = ["approval.approved", "approval.reminder", "approval.requested"]
    assert sorted(types(channel.deliveries)) == kinds
    for delivery in channel.deliveries:
        data = message(delivery)["data"]
        assert (data["id"], data["url"], data["digest"]) == (
            *(preview_id, page),
            preview["effect"]["digest"],
        )
        assert data["warnings"] == preview["warnings"] != []
        text = delivery.body.decode() + str(delivery.headers)
        assert [canary for canary in CANARIES if canary in text] == []


async def test_a_broken_channel_delays_no_preview(keyed: Keyed, target: Target) -> None:
    async with listening() as channel:
        channel.answer = status(500)
        await keyed.relay.post("/channels", json={"name": "duty", "url": channel.url})
        agent = await client_of(keyed, "operator")
        await agent.preview_id(target.url)
        await arrived(channel, 1)
        assert (await agent.preview(target.url)).status_code == 200


@pytest.mark.parametrize("studio", [True, False])
async def test_the_page_of_an_approval_is_no_verb(
    valkey: Valkey, tmp_path: Path, target: Target, studio: bool
) -> None:
    """It is the same for every id and for callers without a key, and decides nothing. Without
    Studio it has no script and says which command decides.
    """
    async with keyed_gateway(
        valkey.url, tmp_path / "data", policy=POLICY, studio_enabled=studio
    ) as keyed:
        agent, stranger = await client_of(keyed, "operator"), keyed.client()
        preview_id = await agent.preview_id(target.url)
        page = await stranger.get(f"/studio/approvals/{preview_id}")
        other = await stranger.get("/studio/approvals/none")
        assert (page.status_code, page.text) == (200, other.text)
        assert ("relay approvals approve" in page.text, "script" in page.text) == (
            not studio,
            studio,
        )
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert (await stranger.head(f"/studio/approvals/{preview_id}")).status_code == 200
        posted = await stranger.post(f"/studio/approvals/{preview_id}")
        assert code(posted) == (405, "method_not_allowed")
        shown = (await agent.get(f"/approvals/{preview_id}")).json()
        assert shown["state"] == "pending"
