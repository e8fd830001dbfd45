"""Decide over HTTP, as an approver does."""

from hashlib import sha256
from typing import Any

import httpx2

from gateway.admin.keys import KeyRequest
from tests.support.gateways import Relay
from tests.support.keyed import BY, Keyed


async def key_of(keyed: Keyed, role: str, subject: str | None = None, *, live: bool = True) -> str:
    """Made, and known to the gateway."""
    wanted = KeyRequest("test", role, subject=subject, live=live)
    new = await (await keyed.services()).keys.create_key("default", wanted, actor=BY)
    await keyed.look()
    return new.secret


async def client_of(
    keyed: Keyed, role: str, subject: str | None = None, *, live: bool = True
) -> Relay:
    return keyed.client(await key_of(keyed, role, subject, live=live))


async def digest_of(approver: Relay, preview_id: str) -> str:
    """Computed from what is shown, as an approver does."""
    wire = (await approver.get(f"/approvals/{preview_id}")).json()["wire"]
    return f"sha256:{sha256((wire['head'] + wire['body']).encode()).hexdigest()}"


async def decide(
    approver: Relay, preview_id: str, decision: str = "approve", **given: str
) -> httpx2.Response:
    digest = given.pop("digest", "") or await digest_of(approver, preview_id)
    body: dict[str, Any] = {"decision": decision, "digest": digest, **given}
    return await approver.post(f"/approvals/{preview_id}/decision", json=body)


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
