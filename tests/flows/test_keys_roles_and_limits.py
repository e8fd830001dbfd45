"""Make a key, be refused, be limited, read the audit; and a replay asks for the same scope."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stores.redis.client import Store
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path, execute_limit=2) as opened:
        yield opened


async def made(admin: Relay, role: str, **wanted: Any) -> str:
    """A key, which is shown this once."""
    answer = await admin.post("/keys", json={"name": f"{role} of the shop", "role": role, **wanted})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def test_a_key_does_what_its_role_may(keyed: Keyed, target: Target) -> None:
    """An operator previews and executes; a viewer looks, and is refused; without one, nothing."""
    operator = keyed.client(await made(keyed.relay, "operator"))
    viewer = keyed.client(await made(keyed.relay, "viewer"))
    preview_id = await operator.preview_id(target.url)

    run = await operator.execute(preview_id, "order-1")
    assert run.json()["status"] == "success"
    assert (await viewer.get(run.headers["Location"])).json()["status"] == "success"

    refused = await viewer.preview(target.url)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert refused.json()["detail"] == "The key lacks the scope actions:preview."
    assert (await keyed.client().get(run.headers["Location"])).status_code == 401


async def test_a_test_key_tries_out_what_a_live_one_does(keyed: Keyed, target: Target) -> None:
    """A developer executes with a test key only."""
    outcomes = {}
    for kind in ("live", "test"):
        developer = keyed.client(await made(keyed.relay, "developer", kind=kind))
        run = await developer.execute(await developer.preview_id(target.url))
        outcomes[kind] = run.status_code
    assert outcomes == {"live": 403, "test": 200}


async def test_a_key_that_was_revoked_opens_nothing(keyed: Keyed) -> None:
    """From the next request on."""
    operator = keyed.client(await made(keyed.relay, "operator"))
    assert (await operator.get("/actions")).status_code == 200
    newest = (await keyed.relay.get("/keys")).json()["keys"][0]
    assert (await keyed.relay.delete(f"/keys/{newest['id']}")).status_code == 200
    assert (await operator.get("/actions")).status_code == 401


async def test_requests_above_the_limit_are_refused_with_a_time(
    keyed: Keyed, target: Target
) -> None:
    """Each answer says what is left; a 429 sent nothing, and a replay costs nothing."""
    operator = keyed.client(await made(keyed.relay, "operator"))
    ids = [await operator.preview_id(target.url) for _ in range(3)]
    answers = [
        await operator.execute(preview_id, f"order-{number}")
        for number, preview_id in [*enumerate(ids), (0, ids[0])]
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert [answer.headers["RateLimit"].split(";")[:2] for answer in answers] == [
        ['"key"', "r=1"],
        ['"key"', "r=0"],
        ['"key"', "r=0"],
        ['"key"', "r=0"],
    ]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 30
    assert answers[3].headers["Idempotent-Replayed"] == "true"
    assert len(target.deliveries) == 2


async def test_the_audit_names_the_key_of_each_change(
    keyed: Keyed, target: Target, store: Store
) -> None:
    """Newest first: an intent before it is sent, its outcome, and who was refused."""
    operator = keyed.client(await made(keyed.relay, "operator"))
    auditor = keyed.client(await made(keyed.relay, "auditor"))
    run = (await operator.execute(await operator.preview_id(target.url))).json()
    assert (await auditor.get("/actions")).status_code == 403
    await shipped(store, keyed.state)

    entries = (await auditor.get("/audit", params={"limit": 3})).json()["entries"]
    assert [entry["event"] for entry in entries] == [
        "request.refused",
        "run.ended",
        "run.intended",
    ]
    assert {entry.get("run_id") for entry in entries[1:]} == {run["run_id"]}
    assert [entry["seq"] for entry in entries] == sorted(
        (entry["seq"] for entry in entries), reverse=True
    )
    refused = await auditor.get("/audit", params={"status": "forbidden"})
    assert [entry["reason"] for entry in refused.json()["entries"]] == [
        "The key lacks the scope actions:read"
    ]


async def test_a_replay_needs_the_scope_to_execute(keyed: Keyed, target: Target) -> None:
    """A key that may not execute, or no longer, gets no answer of a run by its Idempotency-Key."""
    operator = keyed.client(await made(keyed.relay, "operator"))
    preview_id = await operator.preview_id(target.url)
    run = (await operator.execute(preview_id, "order-1")).json()
    operators = (await keyed.relay.get("/keys")).json()["keys"][0]["id"]
    others = [
        keyed.client(await made(keyed.relay, role)) for role in ("viewer", "auditor", "developer")
    ]
    await keyed.relay.delete(f"/keys/{operators}")

    answers = [await client.execute(preview_id, "order-1") for client in (*others, operator)]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 401]
    for answer in answers:
        assert "Idempotent-Replayed" not in answer.headers
        assert run["run_id"] not in answer.text
    replay = await keyed.relay.execute(preview_id, "order-1")
    assert replay.headers["Idempotent-Replayed"] == "true"


async def test_one_key_in_two_workspaces_is_two_intents(keyed: Keyed, target: Target) -> None:
    """Each gets its own answer, never that of the other."""
    await keyed.workspace("other")
    other = keyed.client(await keyed.key("operator", workspace="other"))
    preview_id = await keyed.relay.preview_id(target.url)
    ours = (await keyed.relay.execute(preview_id, "order-1")).json()

    early = await other.execute(preview_id, "order-1")
    assert (early.status_code, early.json()["code"]) == (404, "preview_not_found")
    theirs = await other.execute(await other.preview_id(target.url), "order-1")
    assert "Idempotent-Replayed" not in theirs.headers
    for client, run in ((keyed.relay, ours), (other, theirs.json())):
        replay = await client.execute("gone", "order-1")
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.json()["run_id"] == run["run_id"]
    assert ours["run_id"] != theirs.json()["run_id"]
    assert len(target.deliveries) == 2
