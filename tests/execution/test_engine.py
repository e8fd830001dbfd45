"""The engine: what it refuses to prepare, and who runs when those before give back."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from gateway import problems
from gateway.effects import Effect
from gateway.execution.engine import Engine
from gateway.execution.runner import Runner
from gateway.outcomes import NotSent, TargetRefused
from stores.redis import names
from stores.redis.client import Store, open_store
from stores.redis.limits import Quota, Rates
from tests.support.approvals import unasked
from tests.support.credentials import credentials
from tests.support.engines import (
    ASKING,
    NO_WAIT,
    SUCCESS,
    FlakyRuns,
    Scripted,
    engine,
    params,
    scripted,
)
from tests.support.gateways import until
from tests.support.held import scripts_run
from tests.support.valkey import Valkey

LONG = timedelta(seconds=30)
NOT_SENT = NotSent("The target refused the connection.")


class Forbidding(Scripted):
    async def inspect(self, effect: Effect, workspace: str) -> TargetRefused | tuple[str, ...]:
        return TargetRefused("Not there.")


class Worried(Scripted):
    async def inspect(self, effect: Effect, workspace: str) -> TargetRefused | tuple[str, ...]:
        return ("Think twice.",)


async def previewed(engine: Engine) -> str:
    made = await engine.preview(ASKING, "webhook.save", params("http://target.de/"))
    return str(msgspec.json.decode(made.document)["preview_id"])


def status(answer: Any) -> str:
    return str(msgspec.json.decode(answer.document)["status"])


async def test_a_refused_target_is_not_kept(store: Store) -> None:
    """There is no preview of what may not be sent."""
    with pytest.raises(problems.TargetForbidden, match="Not there"):
        await previewed(engine(store, Forbidding()))

    assert await store.client.dbsize() == 0


class Counted(Scripted):
    """Counts the targets that are looked at. `accepted`: without resolving a name."""

    def __init__(self, *, accepted: bool) -> None:
        super().__init__()
        self.accepted, self.inspected = accepted, 0

    def known(self, effect: Effect) -> bool:
        return self.accepted

    async def inspect(self, effect: Effect, workspace: str) -> TargetRefused | tuple[str, ...]:
        self.inspected += 1
        return ()


@pytest.mark.parametrize(("accepted", "inspected"), [(False, 1), (True, 2)])
async def test_a_preview_beyond_the_quota_resolves_no_name(
    store: Store, accepted: bool, inspected: int
) -> None:
    """And is not kept. A target that needs no resolving may be looked at."""
    egress = Counted(accepted=accepted)
    limited, asked = replace(ASKING, previews=Rates(1, 0)), params("http://target.de/")
    making = engine(store, egress)
    made = await making.preview(limited, "webhook.save", asked)
    assert made.quota
    assert made.quota.left == 0
    with pytest.raises(problems.RateLimited) as refused:
        await making.preview(limited, "webhook.save", asked)
    assert isinstance(refused.value.quota, Quota)
    assert egress.inspected == inspected
    assert len(await store.client.keys("relay:{w}:preview:*")) == 1


async def test_a_preview_warns_of_the_effect_and_of_its_way(store: Store) -> None:
    """What the action says comes first, then what egress says."""
    asked = Raw(b'{"url": "http://target.de/", "headers": {"Cookie": "a=b"}}')
    made = await engine(store, Worried()).preview(ASKING, "webhook.save", asked)

    warnings = msgspec.json.decode(made.document)["warnings"]
    assert warnings == ["The preview stores the header Cookie in clear text.", "Think twice."]


async def test_waiters_for_a_released_run_execute_once(store: Store) -> None:
    """The first could not send; of twenty duplicates one sends and all get its answer."""
    egress = Scripted(NOT_SENT, SUCCESS)
    ours = engine(store, egress)
    preview_id = await previewed(ours)
    first = asyncio.create_task(ours.execute(ASKING, preview_id, key="order-1", wait=LONG))
    await egress.begun.wait()
    duplicates = [
        asyncio.create_task(ours.execute(ASKING, preview_id, key="order-1", wait=LONG))
        for _ in range(20)
    ]
    egress.gate.set()

    with pytest.raises(problems.TargetUnreachable):
        await first
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*duplicates)
    assert [status(answer) for answer in answers] == ["success"] * 20
    assert len({answer.run_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 19
    assert len(egress.sent) == 2


async def test_another_process_takes_a_run_that_was_given_back(
    store: Store, valkey: Valkey, tmp_path: Path
) -> None:
    """It hears of it at once, and has a way to the target that the first had not."""
    egress = Scripted(NOT_SENT)
    ours = engine(store, egress)
    preview_id = await previewed(ours)
    async with open_store(valkey.url, tmp_path) as elsewhere:
        theirs = engine(elsewhere, scripted(SUCCESS))
        first = asyncio.create_task(ours.execute(ASKING, preview_id, key="order-1", wait=LONG))
        await egress.begun.wait()
        before = scripts_run(valkey)

        async def listening() -> bool:
            # It has asked for the key and, once it could hear of the end, for the run.
            return scripts_run(valkey) == before + 2

        waiter = asyncio.create_task(theirs.execute(ASKING, preview_id, key="order-1", wait=LONG))
        await until(listening)
        egress.gate.set()

        with pytest.raises(problems.TargetUnreachable):
            await first
        async with asyncio.timeout(5):
            answer = await waiter
    assert (status(answer), answer.replayed) == ("success", False)


async def test_a_duplicate_waits_for_the_record(store: Store) -> None:
    """The caller of the run has its answer already; a duplicate gets it when it is stored."""
    runs = FlakyRuns(store, settle=1)
    executing = Runner(
        runs=runs,
        egress=scripted(SUCCESS),
        credentials=credentials(),
        action_timeout=LONG,
        approvals=unasked(store.scripts),
    )
    ours = engine(store, scripted(), executing)
    preview_id = await previewed(ours)

    first = await ours.execute(ASKING, preview_id, key="order-1", wait=LONG)
    assert (first.expires_at_ms, runs.calls["settle"]) == (None, 1)
    async with asyncio.timeout(5):
        duplicate = await ours.execute(ASKING, preview_id, key="order-1", wait=LONG)

    assert (duplicate.document, duplicate.replayed) == (first.document, True)
    assert runs.calls["settle"] == 2


async def test_a_run_whose_lease_has_ended_is_not_waited_for(store: Store) -> None:
    """It is unknown, whatever its process still does: the duplicate says so at once."""
    egress = Scripted(SUCCESS)
    ours = engine(store, egress)
    preview_id = await previewed(ours)
    first = asyncio.create_task(ours.execute(ASKING, preview_id, key="order-1", wait=LONG))
    await egress.begun.wait()
    [run_key] = await store.client.keys(names.run_prefix("w") + "*")
    await store.client.hset(run_key, "lease_until", 1)

    duplicate = await ours.execute(ASKING, preview_id, key="order-1", wait=NO_WAIT)
    egress.gate.set()

    assert (status(duplicate), duplicate.replayed) == ("unknown", True)
    assert (await first).document == duplicate.document
    assert len(egress.sent) == 1
