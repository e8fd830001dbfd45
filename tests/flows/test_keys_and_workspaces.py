"""A key is one caller's name for one intent: it never finds another's answer."""

from collections.abc import AsyncIterator
from itertools import permutations

import msgspec
import pytest

from gateway.access.principal import Principal
from gateway.execution.engine import Engine
from gateway.problems import PreviewNotFound, RunNotFound
from stores.redis.client import Store
from tests.support.engines import NO_WAIT, params, sending_engine
from tests.support.gateways import Relay
from tests.support.target import Target

# Each is, wrongly handled, a part or the end of another one's key.
KEYS = ["1", "tenantA:1", ":1", "tenantA", "tenantA:", "*", "{1}", "11"]
WORKSPACES = ["a", "a:b", "b", "{}", "{a}", "a}", "a}:preview:x", "a}:run:x", "a%7D", "*"]


def actor(workspace: str) -> Principal:
    return Principal(workspace=workspace)


@pytest.fixture
async def engine(store: Store) -> AsyncIterator[Engine]:
    async with sending_engine(store) as opened:
        yield opened


async def previewed(engine: Engine, workspace: str, target: Target) -> str:
    made = await engine.preview(actor(workspace), "webhook.save", params(target.url))
    return str(msgspec.json.decode(made.document)["preview_id"])


async def test_each_key_gets_its_own_answer(relay: Relay, target: Target) -> None:
    """Keys that are a part or a pattern of each other are different keys."""
    runs = {key: await relay.execute(await relay.preview_id(target.url), key) for key in KEYS}

    assert len({run.json()["run_id"] for run in runs.values()}) == len(KEYS)
    assert len(target.deliveries) == len(KEYS)
    for key, run in runs.items():
        again = await relay.execute("expired-or-invalid", key)
        assert again.json()["run_id"] == run.json()["run_id"]


async def test_each_workspace_gets_its_own_answer(engine: Engine, target: Target) -> None:
    """One key in ten workspaces is ten intents, whatever the workspaces are called."""
    runs = {
        name: await engine.execute(
            actor(name),
            await previewed(engine, name, target),
            key="order-1",
            wait=NO_WAIT,
        )
        for name in WORKSPACES
    }

    assert not any(run.replayed for run in runs.values())
    assert len(target.deliveries) == len(WORKSPACES)
    for name, run in runs.items():
        again = await engine.execute(actor(name), "expired-or-invalid", key="order-1", wait=NO_WAIT)
        assert (again.replayed, again.run_id) == (True, run.run_id)


async def test_no_workspace_sees_the_preview_or_the_run_of_another(
    engine: Engine, target: Target
) -> None:
    """Ids of another workspace are ids of nothing."""
    previews = {name: await previewed(engine, name, target) for name in WORKSPACES}
    executed = await previewed(engine, "a", target)
    run_id = (await engine.execute(actor("a"), executed, key=None, wait=NO_WAIT)).run_id

    for ours, theirs in permutations(WORKSPACES, 2):
        with pytest.raises(PreviewNotFound):
            await engine.execute(actor(ours), previews[theirs], key=None, wait=NO_WAIT)
    for other in WORKSPACES[1:]:
        with pytest.raises(RunNotFound):
            await engine.find_run(actor(other), run_id)
    assert len(target.deliveries) == 1


async def test_an_id_cannot_reach_into_another_workspace(engine: Engine, target: Target) -> None:
    """An id that holds the end of a hash tag is an id, not a path."""
    previews, runs = "a}:preview:x", "a}:run:x"
    preview_id = await previewed(engine, previews, target)
    executed = await previewed(engine, runs, target)
    run = await engine.execute(actor(runs), executed, key=None, wait=NO_WAIT)

    with pytest.raises(PreviewNotFound):
        await engine.find_preview(actor("a"), f"x}}:preview:{preview_id}")
    with pytest.raises(RunNotFound):
        await engine.find_run(actor("a"), f"x}}:run:{run.run_id}")


async def test_without_a_key_the_preview_is_the_key(relay: Relay, target: Target) -> None:
    """A preview that is executed again without a key is a retry; with another key it is spent."""
    preview_id = await relay.preview_id(target.url)

    first = await relay.execute(preview_id)
    again = await relay.execute(preview_id)
    named = await relay.execute("expired-or-invalid", preview_id)
    other = await relay.execute(preview_id, "another-key")

    assert "Idempotent-Replayed" not in first.headers
    for replay in (again, named):
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.json()["run_id"] == first.json()["run_id"]
    assert (other.status_code, other.json()["code"]) == (409, "preview_already_executed")
    assert len(target.deliveries) == 1


async def test_previews_without_a_key_are_intents_of_their_own(
    relay: Relay, target: Target
) -> None:
    """Two equal previews, both executed without a key, are two deliveries."""
    first = await relay.execute(await relay.preview_id(target.url))
    second = await relay.execute(await relay.preview_id(target.url))

    assert first.json()["run_id"] != second.json()["run_id"]
    assert len(target.deliveries) == 2
