"""Three hundred held previews: twelve deciders race each other and executes, on two gateways."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from stores.redis import names
from tests.support.fleet import WORKSPACE, Site, gateways
from tests.support.forks import Forks
from tests.support.gateways import LIMITS
from tests.support.target import Target
from tests.support.wire import Answer, Connection, connected

PREVIEWS, DECIDERS, EXECUTES = 300, 12, 6
POLICY = "".join(
    f"""
[[rule]]
name = "{number}"
when = {{ paths = ["/{number}*"] }}
need = {{ approvals = {number}, from = ["role:approver"] }}
"""
    for number in (1, 2, 3)
)


class Caller(NamedTuple):
    """A connection to one of the gateways, with its own key."""

    connection: Connection
    bearer: str

    async def post(self, path: str, body: dict[str, Any], *headers: str) -> Answer:
        return await self.connection.post(path, body, self.bearer, *headers)


class Race(NamedTuple):
    """`deciders` and `agents`: every second one at the other gateway."""

    deciders: list[Caller]
    agents: list[Caller]

    async def preview(self, target: Target, number: int) -> tuple[str, str]:
        """The id and the digest of a preview that needs 1 to 3 approvals."""
        url = target.url.replace("/hook", f"/{1 + number % 3}")
        params = {"url": url, "body": {"key": number}}
        asked = {"action": "webhook.save", "params": params}
        made = (await self.agents[number % 2].post("/actions/preview", asked)).body
        return made["preview_id"], made["effect"]["digest"]

    async def run(self, target: Target, number: int) -> tuple[str, list[Answer], list[Answer]]:
        """Decide and execute at once; one decider in four denies."""
        preview_id, digest = await self.preview(target, number)
        chance = random.Random(number)
        decisions, executes = [], []
        for caller in self.deciders:
            decision = "deny" if chance.random() < 0.25 and number % 2 else "approve"
            body = {"decision": decision, "digest": digest}
            decisions.append(caller.post(f"/approvals/{preview_id}/decision", body))
        for caller in self.agents:
            headers = (f"Idempotency-Key: key-{number}", f"Prefer: wait={chance.choice((0, 5))}")
            asked = {"preview_id": preview_id}
            executes.append(caller.post("/actions/execute", asked, *headers))
        order = chance.sample(range(len(decisions + executes)), len(decisions + executes))
        racing = [*decisions, *executes]
        came = await asyncio.gather(*(racing[one] for one in order))
        answers = [came[order.index(one)] for one in range(len(racing))]
        return preview_id, answers[: len(decisions)], answers[len(decisions) :]


@pytest.fixture
async def race(each_site: Site, forks: Forks) -> AsyncIterator[Race]:
    file = each_site.folder / "policy.toml"
    file.write_text(POLICY)
    plenty = dict.fromkeys((*LIMITS, "RUNS_AT_ONCE", "RUNS_AT_ONCE_PER_TARGET"), "100000")
    env = each_site.env(RELAY_APPROVAL_POLICY=str(file), **plenty)
    approvers = [await each_site.key(role="approver") for _ in range(DECIDERS)]
    agent = await each_site.key()
    async with gateways(forks, env, env) as both, AsyncExitStack() as stack:

        async def caller(number: int, secret: str) -> Caller:
            connection = await stack.enter_async_context(connected(both[number % 2].url))
            return Caller(connection, f"Authorization: Bearer {secret}")

        yield Race(
            [await caller(number, key.secret) for number, key in enumerate(approvers)],
            [await caller(number, agent.secret) for number in range(EXECUTES)],
        )


def check(decided: list[Answer], executed: list[Answer]) -> str:
    """The one ending, on which all answers agree."""
    states = {answer.body["state"] for answer in decided if answer.status == 200} - {"pending"}
    assert len(states) == 1, states
    [state] = states
    for answer in decided:
        assert answer.status == 200 or answer.body["code"] == "approval_ended", answer.body
    runs = {answer.body["run_id"] for answer in executed if answer.status == 200}
    codes = {answer.body["code"] for answer in executed if answer.status != 200}
    assert len(runs) <= (state == "approved")
    other = "approval_denied" if state == "denied" else "run_in_progress"
    assert codes <= {"approval_pending", other}, codes
    return str(state)


@pytest.mark.timeout(180)
async def test_each_approval_has_one_ending(each_site: Site, race: Race, target: Target) -> None:
    """What was approved is sent at most once, what was denied is never sent, and the audit has one
    end of each.
    """
    ends: dict[str, str] = {}
    for number in range(PREVIEWS):
        preview_id, decided, executed = await race.run(target, number)
        ends[preview_id] = check(decided, executed)
    sent = Counter(json.loads(delivery.body)["key"] for delivery in target.deliveries)
    by_number = dict(enumerate(ends.values()))
    assert max(sent.values()) == 1
    assert {number for number in sent if by_number[number] == "denied"} == set()
    counted = Counter(ends.values())
    assert min(counted["approved"], counted["denied"]) > PREVIEWS / 10
    assert len(sent) > PREVIEWS / 10, "hardly any execute met an approval: this was no race"

    await each_site.shipped()
    books = [entry for entry in await each_site.books() if entry.event == "approval.decided"]
    last = [(entry.preview_id, entry.status) for entry in books if entry.status != "pending"]
    assert sorted(last) == sorted(ends.items())
    with each_site.valkey.client() as redis:
        assert redis.zcard(names.pending(WORKSPACE)) == 0
