"""A person that a proxy signs in approves; whether that still counts is asked again at execute."""

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stores.redis import names
from stores.redis.client import Store
from tests.flows.test_people_behind_a_proxy import knows_its_keys, person
from tests.support.deciding import client_of, code, decide
from tests.support.gateways import Relay
from tests.support.issuer import ROLES, Issuer, issuing
from tests.support.keyed import Keyed, keyed_gateway
from tests.support.shipping import shipped
from tests.support.target import Target
from tests.support.valkey import Valkey

POLICY = """
[[rule]]
name = "posts"
when = {{ methods = ["POST"] }}
need = {{ from = ["{approver}"] }}
"""


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as opened:
        yield opened


@asynccontextmanager
async def trusting(
    valkey: Valkey, folder: Path, issuer: Issuer, approver: str = "role:approver", **given: Any
) -> AsyncIterator[Keyed]:
    """A gateway whose policy asks for this approver; several of one folder are replicas."""
    policy, settings = POLICY.format(approver=approver), issuer.trusted(**given)
    async with keyed_gateway(valkey.url, folder, policy=policy, **settings) as opened:
        await knows_its_keys(opened)
        yield opened


async def approved(keyed: Keyed, issuer: Issuer, agent: Relay, target: Target) -> str:
    """A preview that ann has approved."""
    preview_id = await agent.preview_id(target.url)
    answer = await decide(person(keyed, issuer), preview_id)
    assert answer.json()["state"] == "approved", answer.text
    return preview_id


async def test_a_person_approves(
    valkey: Valkey, tmp_path: Path, issuer: Issuer, target: Target, store: Store
) -> None:
    """The receipt and the audit name the subject."""
    subject = f"oidc:{issuer.url}|ann"
    async with trusting(valkey, tmp_path, issuer, f"subject:{subject}") as keyed:
        agent = await client_of(keyed, "operator", "agent")
        other = await agent.preview_id(target.url)
        bob = person(keyed, issuer, sub="bob")
        assert code(await decide(bob, other)) == (403, "forbidden")
        run = (await agent.execute(await approved(keyed, issuer, agent, target))).json()
        assert run["approval"]["approvers"] == [subject]
        await shipped(store, keyed.state)
        receipt = (await agent.get(f"/runs/{run['run_id']}/receipt")).json()
        assert subject in b64decode(receipt["payload"]).decode()
        entries = (await keyed.relay.get("/audit?event=approval.decided")).json()["entries"]
        assert [it["principal"] for it in entries] == [subject]


async def test_a_person_approves_no_own_request(
    valkey: Valkey, tmp_path: Path, issuer: Issuer, target: Target
) -> None:
    """Nor with a key that the person has made."""
    async with trusting(valkey, tmp_path, issuer, "role:admin") as keyed:
        ann = person(keyed, issuer, groups=["admins"])
        preview_id = await ann.preview_id(target.url)
        assert code(await decide(ann, preview_id)) == (403, "own_request")
        made = await ann.post("/keys", json={"name": "k", "role": "admin", "subject": "ben"})
        await keyed.look()
        own = keyed.client(made.json()["secret"])
        assert code(await decide(own, preview_id)) == (403, "own_request")
        other = person(keyed, issuer, sub="ben", groups=["admins"])
        assert (await decide(other, preview_id)).json()["state"] == "approved"


async def test_a_person_and_a_key_of_that_subject_are_one_identity(
    valkey: Valkey, tmp_path: Path, issuer: Issuer, target: Target
) -> None:
    async with trusting(valkey, tmp_path, issuer) as keyed:
        agent = await client_of(keyed, "operator", f"oidc:{issuer.url}|ann")
        preview_id = await agent.preview_id(target.url)
        assert code(await decide(person(keyed, issuer), preview_id)) == (403, "own_request")
        assert (await decide(person(keyed, issuer, sub="ben"), preview_id)).status_code == 200


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({}, True),
        ({"oidc_roles": {**ROLES, "others": "viewer"}}, True),
        ({"oidc_roles": {**ROLES, "approvers": "operator"}}, False),
        ({"oidc_roles": {**ROLES, "approvers": "admin"}}, False),
        ({"oidc_roles": {"staff": "approver"}}, False),
        ({"oidc_workspace": "other"}, False),
        ({"oidc_issuer": "https://another.example"}, False),
        ({"oidc_issuer": None}, False),
    ],
    ids=[
        *("the same", "more groups", "another role", "a role that is not asked for"),
        *("the group is gone", "another workspace", "another issuer", "no issuer"),
    ],
)
async def test_an_approval_counts_by_the_role_of_now(
    valkey: Valkey,
    tmp_path: Path,
    issuer: Issuer,
    target: Target,
    given: dict[str, Any],
    counts: bool,
) -> None:
    """The preview is executed on a gateway with these settings."""
    policy = tmp_path / "policy.toml"
    async with trusting(valkey, tmp_path, issuer) as keyed:
        agent = await client_of(keyed, "operator", "agent")
        preview_id = await approved(keyed, issuer, agent, target)
        settings = issuer.trusted(**given)
        async with keyed_gateway(valkey.url, tmp_path, approval_policy=policy, **settings) as other:
            elsewhere = other.client(agent.headers["Authorization"].split()[1])
            answer = await elsewhere.execute(preview_id, "order-1")
    if counts:
        assert answer.json()["status"] == "success"
    else:
        assert code(answer) == (409, "approval_outdated")
    assert len(target.deliveries) == counts


@pytest.mark.parametrize(("later_ms", "status"), [(0, 409), (60_000, 200)])
async def test_an_approval_counts_until_its_end(
    valkey: Valkey,
    tmp_path: Path,
    issuer: Issuer,
    target: Target,
    later_ms: int,
    status: int,
) -> None:
    """The end that was recorded with the decision, moved here to now or a minute later."""
    async with trusting(valkey, tmp_path, issuer) as keyed:
        agent = await client_of(keyed, "operator", "agent")
        preview_id = await approved(keyed, issuer, agent, target)
        async with valkey.async_client() as redis:
            preview = names.preview("default", preview_id)
            kept: Any = await redis.hget(preview, "granted")
            granted = msgspec.json.decode(kept)
            seconds, micros = await redis.time()
            (decider,) = granted["deciders"]
            assert decider["groups"] == ["approvers"]
            now_ms = seconds * 1000 + micros // 1000
            assert now_ms + 3_500_000 < decider["until"] < now_ms + 3_700_000
            decider["until"] = now_ms + later_ms
            await redis.hset(preview, "granted", msgspec.json.encode(granted))
        answer = await agent.execute(preview_id, "order-1")
    assert answer.status_code == status, answer.text
