"""A workspace keeps a credential, sends requests as it, and never sees it again."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from stores.redis.client import Store
from stores.sql import connections
from tests.support.deciding import client_of, code, decide
from tests.support.gateways import Relay, until
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.services import audited
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey

CANARY = "canary-token-9d41"
POLICY = """
[[rule]]
name = "as the crm"
when = { connections = ["crm"] }
need = { from = ["role:approver"] }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data") as opened:
        yield opened


async def connected(relay: Relay, target: Target, label: str = "crm", **given: Any) -> str:
    host = target.url.removesuffix("/hook")
    wanted = {"label": label, "kind": "bearer", "secret": CANARY, "hosts": [host], **given}
    made = await relay.post("/connections", json=wanted)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def previewed(relay: Relay, target: Target, connection: str, **params: Any) -> Any:
    asked = {"url": target.url, "connection": connection, "body": {"a": 1}, **params}
    made: httpx2.Response = await relay.post(
        "/actions/preview", json={"action": "http.request", "params": asked}
    )
    return made


async def preview_id(relay: Relay, target: Target, connection: str) -> str:
    made = await previewed(relay, target, connection)
    assert made.status_code == 200, made.text
    return str(made.json()["preview_id"])


async def test_a_request_is_sent_as_a_connection(keyed: Keyed, target: Target) -> None:
    """The preview names the account; the secret is in the request on the wire alone."""
    connection = await connected(keyed.relay, target)
    made = (await previewed(keyed.relay, target, "crm")).json()
    credential = made["effect"]["credential"]
    assert (credential["connection"], credential["account"]) == (connection, "crm")
    assert "Authorization" in made["effect"]["added_when_sent"]
    run = await keyed.relay.execute(made["preview_id"])
    assert run.json()["status"] == "success"
    assert CANARY not in str(made) + run.text
    [delivery] = target.deliveries
    assert delivery.header("Authorization") == f"Bearer {CANARY}"
    names = {name.lower() for name, _ in delivery.headers}
    assert not names & {"webhook-id", "webhook-signature", "traceparent", "tracestate"}


async def test_the_last_use_is_shown(keyed: Keyed, target: Target) -> None:
    connection = await connected(keyed.relay, target)
    assert (await keyed.relay.get(f"/connections/{connection}")).json()["used_at"] is None
    await keyed.relay.execute(await preview_id(keyed.relay, target, connection))
    await keyed.state["key_cache"].write_used()
    assert (await keyed.relay.get(f"/connections/{connection}")).json()["used_at"]


async def test_another_connection_of_the_same_name_is_another_account(
    keyed: Keyed, target: Target
) -> None:
    """What was previewed as the first one is not sent as the second one."""
    first = await connected(keyed.relay, target)
    held = await preview_id(keyed.relay, target, "crm")
    await keyed.relay.delete(f"/connections/{first}")
    await connected(keyed.relay, target)
    refused = await keyed.relay.execute(held)
    assert code(refused) == (409, "connection_outdated")
    assert refused.json()["safe_to_retry"] is True
    assert target.connections == 0
    run = await keyed.relay.execute(await preview_id(keyed.relay, target, "crm"))  # the control
    assert run.json()["status"] == "success"


async def test_a_secret_goes_to_no_other_host(keyed: Keyed, target: Target) -> None:
    """Not even to another port of the host; nothing is previewed."""
    await connected(keyed.relay, target, hosts=["http://127.0.0.1:9"])
    assert code(await previewed(keyed.relay, target, "crm")) == (409, "connection_outdated")
    assert target.connections == 0


async def test_a_connection_of_another_workspace_is_unknown(keyed: Keyed, target: Target) -> None:
    """Its id is answered like one that never was."""
    await keyed.workspace("team")
    stranger = keyed.client(await keyed.key("admin", workspace="team"))
    connection = await connected(keyed.relay, target)
    answers = [
        await previewed(stranger, target, which)
        for which in (connection, "6b3c1d0e-6f6c-4d0a-9f3e-0a1b2c3d4e5f")
    ]
    assert [code(answer) for answer in answers] == [(422, "invalid_params")] * 2
    assert {answer.json()["detail"] for answer in answers} == {"This workspace has no connection."}


async def test_a_connection_that_ended_sends_nothing(keyed: Keyed, target: Target) -> None:
    """The answer says what to do."""
    connection = await connected(keyed.relay, target)
    held = await preview_id(keyed.relay, target, connection)
    async with (await keyed.state["database"].open()).begin() as opened:
        assert await connections.mark_needs_reauth(opened, connection, seen=1)
    await keyed.look()
    refused = await keyed.relay.execute(held)
    assert code(refused) == (409, "connection_needs_reauth")
    assert code(await previewed(keyed.relay, target, connection)) == code(refused)
    assert target.connections == 0


async def test_a_deletion_reaches_every_gateway(
    keyed: Keyed, valkey: Valkey, target: Target, tmp_path: Path
) -> None:
    """Within five seconds, without a request to it."""
    connection = await connected(keyed.relay, target)
    async with keyed_gateway(valkey.url, tmp_path / "data") as other:
        await other.look()
        held = await preview_id(other.relay, target, connection)
        await keyed.relay.delete(f"/connections/{connection}")

        async def gone() -> bool:
            return not other.state["key_cache"].connections("default")

        await until(gone, patience=5.0)
        assert code(await other.relay.execute(held)) == (409, "connection_outdated")
    assert target.connections == 0


async def test_an_approver_sees_as_whom_it_is_sent(
    valkey: Valkey, store: Store, target: Target, tmp_path: Path
) -> None:
    """In the approval, the audit and the receipt. A request without it is not asked about."""
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=POLICY) as keyed:
        ann = await client_of(keyed, "approver", "ann")
        connection = await connected(keyed.relay, target)
        held = await preview_id(keyed.relay, target, connection)
        shown = (await ann.get(f"/approvals/{held}")).json()
        assert (shown["connection"], shown["account"]) == (connection, "crm")
        [listed] = (await ann.get("/approvals")).json()["approvals"]
        assert (listed["connection"], listed["account"]) == (connection, "crm")
        assert (await decide(ann, held)).status_code == 200
        run = (await keyed.relay.execute(held)).json()
        free = (await keyed.relay.execute(await keyed.relay.preview_id(target.url))).json()
        await shipped(store, keyed.state)
        receipts = [
            (await keyed.relay.get(path)).json()
            for path in (f"/runs/{run['run_id']}/receipt", f"/approvals/{held}/receipt")
        ]
        for receipt in map(payload, receipts):
            assert (receipt["connection"], receipt["account"]) == (connection, "crm")
        other = payload((await keyed.relay.get(f"/runs/{free['run_id']}/receipt")).json())
        assert not {"connection", "account"} & other.keys()
        database = await keyed.state["database"].open()
        entries = [it for it in await audited(database) if it.preview_id == held]
    recorded = {it.event: (it.connection, it.account) for it in entries}
    events = ("approval.requested", "approval.decided", "run.intended")
    assert [recorded[event] for event in events] == [(connection, "crm")] * 3


def payload(envelope: Any) -> dict[str, Any]:
    return dict(msgspec.json.decode(base64.b64decode(envelope["payload"])))
