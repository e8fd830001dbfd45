"""An approval counts while the very key that gave it is valid, or the key that replaced it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = { methods = ["POST"] }
need = { from = ["role:approver"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as opened:
        yield opened


async def make(maker: Relay, role: str, subject: str, **more: str) -> dict[str, Any]:
    made = await maker.post("/keys", json={"name": "k", "role": role, "subject": subject} | more)
    answer: dict[str, Any] = made.json()
    return answer


async def client_of(keyed: Keyed, role: str, subject: str) -> tuple[Relay, str]:
    made = await make(keyed.relay, role, subject)
    return keyed.client(made["secret"]), made["key"]["id"]


async def held(agent: Relay, target: Target) -> tuple[str, str]:
    params = {"url": target.url, "body": 1}
    preview = (
        await agent.post("/actions/preview", json={"action": "webhook.save", "params": params})
    ).json()
    return preview["preview_id"], preview["effect"]["digest"]


async def approve(approver: Relay, preview: tuple[str, str]) -> tuple[int, str]:
    preview_id, digest = preview
    answer = await approver.post(
        f"/approvals/{preview_id}/decision", json={"decision": "approve", "digest": digest}
    )
    return answer.status_code, answer.json().get("state") or answer.json()["code"]


@pytest.mark.parametrize(
    ("other", "more"),
    [
        ("approver", {}),
        ("admin", {}),
        ("approver", {"kind": "test"}),
        (None, {}),
    ],
)
async def test_a_revoked_key_is_not_replaced_by_another_of_its_subject(
    keyed: Keyed, target: Target, other: str | None, more: dict[str, str]
) -> None:
    agent, _ = await client_of(keyed, "operator", "agent")
    ann, key_id = await client_of(keyed, "approver", "ann")
    if other:
        await make(keyed.relay, other, "ann", **more)
    preview = await held(agent, target)
    assert await approve(ann, preview) == (200, "approved")
    assert (await keyed.relay.delete(f"/keys/{key_id}")).status_code == 200
    answer = await agent.execute(preview[0], "order-1")
    assert answer.json()["code"] == "approval_outdated"
    assert not target.deliveries


@pytest.mark.parametrize(
    ("revoke_old", "revoke_new", "status"),
    [(False, False, 200), (False, True, 409), (True, False, 409)],
)
async def test_a_rotated_key_counts_as_the_one_that_replaced_it(
    keyed: Keyed, target: Target, revoke_old: bool, revoke_new: bool, status: int
) -> None:
    """Unless either was revoked: a leaked key is revoked, and what it approved does not count."""
    agent, _ = await client_of(keyed, "operator", "agent")
    ann, key_id = await client_of(keyed, "approver", "ann")
    preview = await held(agent, target)
    await approve(ann, preview)
    if revoke_old:
        rotated = await keyed.relay.post(f"/keys/{key_id}/rotate", json={})
    else:
        rotated = await keyed.relay.post(f"/keys/{key_id}/rotate", json={"overlap_hours": 0})
    for ends, which in ((revoke_old, key_id), (revoke_new, rotated.json()["key"]["id"])):
        if ends:
            await keyed.relay.delete(f"/keys/{which}")
    assert (await agent.execute(preview[0], "order-1")).status_code == status
