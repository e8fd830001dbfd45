"""A reservation spends one request of the quota if it opens a run, and nothing otherwise."""

from datetime import timedelta

import pytest

from stores.redis import names
from stores.redis.limits import Limited, Quota, Rates, Slots
from stores.redis.outbox import Outbox
from stores.redis.previews import Live, NewPreview, NoPreview, Previews, Spent
from stores.redis.reservations import Expired, KeyTaken, Reservation, Reserved, ReserveResult
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable, Scripts
from tests.support.reservations import LEASE, reservation

TEN = Rates(per_key=10, per_workspace=20)
ONE = Rates(per_key=1)
BUCKETS = (names.bucket("w", "execute", "k-1"), names.bucket("w", "execute"))


def principal(run_id: str, key: str, preview_id: str, rates: Rates = TEN) -> Reservation:
    return Reservation("w", key, preview_id, run_id, principal="k-1", rates=rates)


async def everything(scripts: Scripts) -> dict[bytes | str, bytes | None]:
    client = scripts._client
    return {key: await client.dump(key) for key in await client.keys()}


def left(answer: ReserveResult) -> tuple[str, int]:
    assert answer.quota
    return answer.quota[:2]


async def test_only_an_opened_run_spends_quota(runs: Runs, scripts: Scripts) -> None:
    """Sent twice, in flight, replayed, spent, without a preview, expired: each answer has what is
    left, and spends nothing.
    """
    first = principal("run-1", "order-1", "p-1")
    answers = [await runs.reserve(first, lease=LEASE), await runs.reserve(first, lease=LEASE)]
    buckets = [await scripts._client.get(bucket) for bucket in BUCKETS]
    answers.append(await runs.reserve(principal("run-2", "order-1", "p-1"), lease=LEASE))
    await runs.settle(first, state="success", doc=b"{}")
    for key, preview_id in [
        ("order-1", "p-1"),
        ("order-1", "gone"),
        ("order-2", "p-1"),
        ("order-2", "gone"),
    ]:
        answers.append(await runs.reserve(principal("run-2", key, preview_id), lease=LEASE))
    await scripts._client.delete(names.run("w", "run-1"))
    answers.append(await runs.reserve(principal("run-2", "order-1", "p-1"), lease=LEASE))
    answers.append(await runs.reserve(principal("run-2", "order-2", "p-1"), lease=LEASE))

    kinds = [Reserved, Reserved, KeyTaken, KeyTaken, KeyTaken, Spent, NoPreview, Expired, Expired]
    assert [type(answer) for answer in answers] == kinds
    assert [left(answer) for answer in answers] == [("key", 9)] * len(answers)
    assert [await scripts._client.get(bucket) for bucket in BUCKETS] == buckets


async def test_a_reserve_that_arrives_after_the_end_opens_no_run(runs: Runs) -> None:
    """A settled or interrupted run is answered to its own reservation as to any other."""
    first, second = reservation("run-1"), reservation("run-2", key="order-2", preview_id="p-2")
    await runs.reserve(first, lease=LEASE)
    await runs.settle(first, state="success", doc=b"{}")
    await runs.reserve(second, lease=timedelta(0))
    await Outbox(runs._scripts).collect("w", limit=1)

    again = [await runs.reserve(one, lease=LEASE) for one in (first, second)]
    assert [answer.run.id for answer in again if isinstance(answer, KeyTaken)] == ["run-1", "run-2"]


async def test_without_limits_no_answer_has_a_quota(runs: Runs, scripts: Scripts) -> None:
    """And no bucket is created."""
    for key, preview_id in [("order-1", "p-1"), ("order-1", "p-1"), ("2", "p-1"), ("3", "gone")]:
        answer = await runs.reserve(principal("run", key, preview_id, Rates()), lease=LEASE)
        assert answer.quota is None
    assert not await scripts._client.exists(*BUCKETS)


@pytest.mark.parametrize(
    ("rates", "slots", "bound"),
    [
        (Rates(1, 0), Slots(), "key"),
        (Rates(0, 1), Slots(), "workspace"),
        (Rates(5, 5), Slots(1, 0), "runs"),
        (Rates(5, 5), Slots(0, 1), "target"),
    ],
)
async def test_a_limited_reservation_leaves_no_trace(
    runs: Runs, previews: Previews, scripts: Scripts, rates: Rates, slots: Slots, bound: str
) -> None:
    """No run, reservation, slot, intent or quota. The preview lives, and can run later."""
    for name in ("p-1", "p-2"):
        await previews.save("w", NewPreview(name, name.encode(), b"{}", target="a.example:443"))
    first = principal("run-1", "order-1", "p-1", rates)._replace(slots=slots)
    await runs.reserve(first, lease=LEASE)
    before = await everything(scripts)

    second = principal("run-2", "order-2", "p-2", rates)._replace(slots=slots)
    for _ in range(2):
        refused = await runs.reserve(second, lease=LEASE)
        assert isinstance(refused, Limited)
        assert refused.bound == bound
        assert timedelta(0) < refused.retry_in <= timedelta(minutes=1)
        assert left(refused)[1] == max(rates) - 1
    assert await everything(scripts) == before
    assert isinstance(await previews.find("w", "p-2"), Live)

    await runs.release(first)
    await scripts._client.delete(*BUCKETS)
    assert isinstance(await runs.reserve(second, lease=LEASE), Reserved)


async def test_a_replay_is_answered_with_an_empty_bucket(runs: Runs) -> None:
    """A caller without quota can still learn the outcome of a run."""
    await runs.reserve(principal("run-1", "order-1", "p-1", ONE), lease=LEASE)
    answer = await runs.reserve(principal("run-2", "order-1", "p-1", ONE), lease=LEASE)
    assert isinstance(answer, KeyTaken)
    assert left(answer) == ("key", 0)
    assert isinstance(
        await runs.reserve(principal("run-3", "order-2", "p-2", ONE), lease=LEASE), Limited
    )


async def test_a_reservation_after_its_release_spends_nothing(runs: Runs, scripts: Scripts) -> None:
    """Its release came first: there is no run to pay for."""
    late = principal("run-1", "order-1", "p-1")
    await runs.release(late)
    with pytest.raises(RedisUnavailable):
        await runs.reserve(late, lease=LEASE)
    assert not await scripts._client.exists(*BUCKETS)


async def test_a_reservation_without_a_principal_spends_the_workspace_quota(
    runs: Runs, scripts: Scripts
) -> None:
    """The bucket of its verb; previews have another one."""
    answer = await runs.reserve(reservation()._replace(rates=Rates(0, 5)), lease=LEASE)
    assert isinstance(answer, Reserved)
    assert isinstance(answer.quota, Quota)
    assert left(answer) == ("workspace", 4)
    assert await scripts._client.exists(BUCKETS[1])
    assert not await scripts._client.exists(names.bucket("w", "preview"))
