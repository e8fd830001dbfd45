"""A workspace has a policy of its own beside the operator's; the strictest of both holds."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.telemetry import metrics
from stores.redis.client import Store
from stores.sql import policies
from stores.sql.policies import PolicyRow
from tests.support.deciding import client_of, code, decide
from tests.support.gateways import Relay
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey

FLOOR = """
[[rule]]
name = "floor"
when = { methods = ["POST"] }
need = { approvals = 1 }
"""
OWN = """
[[rule]]
name = "two"
when = { hosts = ["127.0.0.1"] }
need = { approvals = 2, from = ["role:approver"] }
[[test]]
name = "loopback takes two"
given = { action = "webhook.save", method = "PUT", url = "http://127.0.0.1/" }
expect = { approvals = 2 }
"""


@pytest.fixture
async def keyed(valkey: Valkey, tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_gateway(valkey.url, tmp_path / "data", policy=FLOOR) as opened:
        yield opened


async def put(relay: Relay, text: str, version: int | None = None) -> httpx2.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await relay.put("/policy", json={"text": text}, headers=headers)


async def preview(relay: Relay, target: Target, method: str = "POST") -> Any:
    asked = {"action": "webhook.save", "params": {"url": target.url, "method": method, "body": 1}}
    return (await relay.post("/actions/preview", json=asked)).json()


async def test_the_strictest_of_both_policies_holds(keyed: Keyed, target: Target) -> None:
    """Each asks where only it has a rule; the preview names the rules of both."""
    agent = await client_of(keyed, "operator")
    assert (await preview(agent, target))["approval"]["rules"] == ["floor"]
    changed = await put(keyed.relay, OWN)
    assert (changed.status_code, changed.json()["version"]) == (200, 1)
    both = (await preview(agent, target))["approval"]
    assert (both["rules"], both["needed"]) == (["floor", "two"], 2)
    assert (await preview(agent, target, "PUT"))["approval"]["rules"] == ["two"]
    await put(keyed.relay, 'default = "deny"', 1)
    assert (await preview(agent, target, "PUT"))["code"] == "policy_denied"
    await put(keyed.relay, "", 2)
    assert (await preview(agent, target, "PUT"))["approval"] is None


async def test_no_change_of_another_is_lost(keyed: Keyed) -> None:
    """RFC 9110, 13.1.1, and RFC 6585, 3: what was seen is named, and only the newest is changed."""
    relay = keyed.relay
    empty = await relay.get("/policy")
    assert (empty.json()["version"], empty.headers["ETag"]) == (0, '"0"')
    assert empty.json()["operator_digest"].startswith("sha256:")
    assert (await put(relay, OWN, 0)).headers["ETag"] == '"1"'
    assert code(await put(relay, OWN, 0)) == (412, "policy_changed")
    assert code(await put(relay, OWN)) == (428, "precondition_required")
    assert (await put(relay, OWN + "\n", 1)).json()["version"] == 2
    shown = (await relay.get("/policy")).json()
    assert (shown["text"], shown["version"]) == (OWN + "\n", 2)
    wrong = await relay.put("/policy", json={"text": OWN}, headers={"If-Match": "2"})
    assert code(wrong) == (400, "invalid_request")


async def test_a_version_that_was_in_force_can_be_read(keyed: Keyed) -> None:
    """Also of a policy that was removed since; others are not there."""
    for number, text in enumerate((OWN, 'default = "deny"', "")):
        await put(keyed.relay, text, number)
    answers = [await keyed.relay.get("/policy", params={"version": it}) for it in (1, 2, 3)]
    assert [it.json()["text"] for it in answers] == [OWN, 'default = "deny"', ""]
    assert [it.headers["ETag"] for it in answers] == ['"1"', '"2"', '"3"']
    assert (await keyed.relay.get("/policy")).json()["version"] == 3
    for version, refusal in ((4, (404, "policy_version_not_found")), (0, (400, "invalid_request"))):
        asked = await keyed.relay.get("/policy", params={"version": version})
        assert code(asked) == refusal


WRONG = {
    "a test that fails": (OWN.replace("approvals = 2 }\n", "approvals = 1 }\n"), "/test/0"),
    "no TOML": ("[[rule]", None),
    "an unknown matcher": (OWN.replace("hosts", "host"), "/rule/0/when/host"),
    "a quorum that cannot be met": (
        OWN.replace('["role:approver"]', '["subject:ann"]'),
        "/rule/0/need/approvals",
    ),
}


@pytest.mark.parametrize(("text", "pointer"), WRONG.values(), ids=[*WRONG])
async def test_a_policy_that_cannot_be_meant_is_refused(
    keyed: Keyed, text: str, pointer: str | None
) -> None:
    """With the place that is wrong; the one before stays in force."""
    await put(keyed.relay, OWN)
    refused = await put(keyed.relay, text, 1)
    assert code(refused) == (422, "policy_refused")
    if pointer:
        assert [it["pointer"] for it in refused.json()["errors"]] == [pointer]
    assert (await keyed.relay.get("/policy")).json()["text"] == OWN


async def test_a_text_has_at_most_64_kib(keyed: Keyed) -> None:
    """Counted in bytes."""
    longest = "#" + "x" * (64 * 1024 - 1)
    assert (await put(keyed.relay, longest)).status_code == 200
    assert code(await put(keyed.relay, longest + "x", 1)) == (400, "invalid_request")
    assert code(await put(keyed.relay, longest[:-1] + "é", 1)) == (422, "policy_refused")


async def test_explain_says_which_rules_match(keyed: Keyed, target: Target) -> None:
    """Of facts or of a preview, by the policy in force or by one that is tried; nothing is kept."""
    await put(keyed.relay, OWN)
    facts = {"action": "webhook.save", "method": "POST", "url": target.url}
    explained = (await keyed.relay.post("/policy/explain", json={"facts": facts})).json()
    assert (explained["operator"]["rules"], explained["workspace"]["rules"]) == (["floor"], ["two"])
    assert [need["approvals"] for need in explained["needs"]] == [1, 2]
    of = {"action": "webhook.save", "params": {"url": target.url, "method": "GET"}}
    tried = {"preview": of, "text": 'default = "deny"'}
    denied = (await keyed.relay.post("/policy/explain", json=tried)).json()
    assert (denied["denied_by"], denied["needs"]) == (["default"], [])
    odd = {"action": "webhook.save", "params": {"url": "https://[", "method": "GET"}}
    forbidden = await keyed.relay.post("/policy/explain", json={"preview": odd})
    assert code(forbidden) == (422, "target_forbidden")
    for wrong in ({}, {"facts": facts, "preview": of}, {"facts": facts | {"url": "https://["}}):
        refused = await keyed.relay.post("/policy/explain", json=wrong)
        assert code(refused) == (400, "invalid_request")
    assert not target.deliveries


async def test_hidden_characters_are_a_warning_to_policies(keyed: Keyed) -> None:
    """In a preview and in an explanation; as for every warning, a rule may deny them."""
    await put(keyed.relay, '[[rule]]\nname = "r"\nwhen = { warned = true }\ndeny = true')
    agent = await client_of(keyed, "operator")
    for body, denied_by in (("pay ann", []), ("pay \u200bann", ["r"])):
        params = {"url": "https://127.0.0.1/hook", "method": "PUT", "body": body}
        asked = {"action": "webhook.save", "params": params}
        answer = (await agent.post("/actions/preview", json=asked)).json()
        assert (answer.get("code") == "policy_denied") is bool(denied_by), answer
        explained = await keyed.relay.post("/policy/explain", json={"preview": asked})
        assert explained.json()["denied_by"] == denied_by


async def test_a_stricter_policy_is_judged_again_at_execute(keyed: Keyed, target: Target) -> None:
    """On what was approved, and on what was previewed before there was a rule."""
    agent, ann = await client_of(keyed, "operator"), await client_of(keyed, "approver", "ann")
    approved, free = await preview(agent, target), await preview(agent, target, "PUT")
    await decide(ann, approved["preview_id"])
    await put(keyed.relay, OWN)
    for each in (approved, free):
        outdated = await agent.execute(each["preview_id"])
        assert code(outdated) == (409, "approval_outdated")
        assert "The rule 'two' needs 2 approvals" in outdated.json()["detail"]
    assert not target.deliveries


async def test_a_change_is_audited_with_both_digests(keyed: Keyed, store: Store) -> None:
    first = (await put(keyed.relay, OWN)).json()["digest"]
    second = (await put(keyed.relay, OWN + "\n", 1)).json()["digest"]
    await shipped(store, keyed.state)
    entries = (await keyed.relay.get("/audit", params={"event": "policy.changed"})).json()[
        "entries"
    ]
    assert [it["detail"] for it in entries] == [f"{first} to {second}", f"none to {first}"]


async def test_a_policy_that_fails_denies(keyed: Keyed, target: Target) -> None:
    """Such as one that a newer release has written; the failure is counted. What was previewed
    before is not sent either.
    """
    agent = await client_of(keyed, "operator")
    earlier = await preview(agent, target, "PUT")
    database = await keyed.state["database"].open()
    async with database.begin() as connection:
        await policies.add(connection, PolicyRow("default", 1, "sha256:x", "newer = 1", "cli", 1))
    await keyed.look()
    before = metrics.policy_errors._value.get()
    assert (await preview(agent, target))["code"] == "policy_denied"
    assert metrics.policy_errors._value.get() == before + 1
    refused = await agent.execute(earlier["preview_id"])
    assert code(refused) == (409, "approval_outdated")
    assert "The policy cannot be judged" in refused.json()["detail"]
    assert not target.deliveries


async def test_a_policy_is_of_one_workspace(keyed: Keyed, target: Target) -> None:
    await put(keyed.relay, 'default = "deny"')
    await keyed.workspace("other")
    other = keyed.client(await keyed.key("operator", workspace="other"))
    assert (await preview(other, target, "PUT"))["approval"] is None
