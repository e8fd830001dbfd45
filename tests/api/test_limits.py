"""A caller sees its limits and what is left of them, and how often a run was the answer again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.admin.keys import KeyRequest
from stores.redis.client import Store
from tests.support.gateways import Relay
from tests.support.held import held
from tests.support.keyed import BY, Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    limits = {"preview_limit": 60, "execute_limit": 30, "runs_at_once": 8}
    async with keyed_gateway(valkey.url, tmp_path, **limits, runs_at_once_per_target=5) as opened:
        yield opened


async def test_limits_and_what_is_left(keyed: Keyed, target: Target) -> None:
    """Reading them spends nothing."""
    one, other = [keyed.client(await keyed.key("operator")) for _ in range(2)]
    await one.preview(target.url)
    for _ in range(2):
        found = (await one.get("/limits")).json()
    assert found["previews"]["per_key"] == found["previews"]["per_workspace"] == 60
    assert (found["previews"]["per_key_left"], found["executes"]["per_key_left"]) == (59, 30)
    assert found["runs"] == {"total": 8, "per_target": 5, "in_flight": 0}
    of_other = (await other.get("/limits")).json()["previews"]
    assert (of_other["per_key_left"], of_other["per_workspace_left"]) == (60, 59)


async def test_a_run_in_flight_is_counted(keyed: Keyed, target: Target) -> None:
    run = await held(keyed.relay, target, "order-1")
    assert (await keyed.relay.get("/limits")).json()["runs"]["in_flight"] == 1
    run.gate.open.set()
    await run.end()
    assert (await keyed.relay.get("/limits")).json()["runs"]["in_flight"] == 0


async def test_without_rates_none_is_shown(valkey: Valkey, tmp_path: Path) -> None:
    async with keyed_gateway(valkey.url, tmp_path, rate_limit_enabled=False) as unlimited:
        found = (await unlimited.relay.get("/limits")).json()
    assert set(found["previews"].values()) == set(found["executes"].values()) == {None}


async def replays(relay: Relay, run_id: str) -> tuple[int, bool]:
    """How many, and whether there is a time of the last."""
    answer = (await relay.get(f"/runs/{run_id}/replays")).json()
    return answer["count"], answer["last_at"] is not None


async def test_replays_of_a_run_are_counted(keyed: Keyed, target: Target) -> None:
    """Neither its execution, nor reading it, nor a request that is refused is one."""
    relay = keyed.relay
    preview_id = await relay.preview_id(target.url)
    run_id = (await relay.execute(preview_id, "k")).json()["run_id"]
    await relay.get(f"/runs/{run_id}")
    assert (await relay.execute(await relay.preview_id(target.url), "k")).status_code == 422
    assert (await relay.execute(preview_id, "other")).status_code == 409
    assert await replays(relay, run_id) == (0, False)
    for _ in range(3):
        again = await relay.execute(preview_id, "k")
        assert again.headers["Idempotent-Replayed"] == "true"
    assert await replays(relay, run_id) == (3, True)
    assert len(target.deliveries) == 1


async def test_a_run_under_way_has_no_replays(keyed: Keyed, target: Target) -> None:
    run = await held(keyed.relay, target, "order-1")
    refused = await keyed.relay.execute("any", "order-1", wait=0)
    assert refused.status_code == 409
    run.gate.open.set()
    ended = await run.end()
    assert await replays(keyed.relay, ended.json()["run_id"]) == (0, False)


async def test_replays_are_forgotten_with_the_answer(
    keyed: Keyed, target: Target, store: Store
) -> None:
    relay = keyed.relay
    run_id = (await relay.execute(await relay.preview_id(target.url))).json()["run_id"]
    await shipped(store, keyed.state)
    await store.client.delete(f"relay:{{default}}:run:{run_id}")
    found = (await relay.get(f"/runs/{run_id}/replays")).json()
    assert (found["count"], found["last_at"]) == (None, None)


async def test_runs_of_a_requester_are_listed(keyed: Keyed, target: Target, store: Store) -> None:
    """Of all keys of the subject, also one that was revoked."""
    keys = (await keyed.services()).keys
    ran: dict[str, list[str]] = {"ann": [], "ben": []}
    for subject in ("ann", "ben", "ann"):
        wanted = KeyRequest("test", "operator", subject=subject)
        new = await keys.create_key("default", wanted, actor=BY)
        await keyed.look()
        agent = keyed.client(new.secret)
        run = (await agent.execute(await agent.preview_id(target.url))).json()
        ran[subject].insert(0, run["run_id"])
    await keys.revoke_key("default", new.key.id, actor=BY)
    await shipped(store, keyed.state)
    for subject, expected in ran.items():
        found = (await keyed.relay.get("/runs", params={"requester": subject})).json()["runs"]
        assert [it["run_id"] for it in found] == expected
    assert (await keyed.relay.get("/runs?requester=eve")).json()["runs"] == []
