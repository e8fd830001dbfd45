"""The outbox has an intent and one outcome of each run, and forgets nothing before it is
shipped.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from stores.audit_entries import RELAY, Entry
from stores.redis import names
from stores.redis.outbox import Outbox, Waiting
from stores.redis.reservations import Lost, Settled
from stores.redis.runs import Runs
from stores.redis.scripts import Scripts
from tests.support.reservations import LEASE, found, reservation
from tests.support.valkey import separate_scripts

NO_LEASE = timedelta(0)
OUTBOX = names.outbox("w")
INTENT = msgspec.json.encode(Entry(event="run.intended", principal="k-1", run_id="run-1"))
INTERRUPTED = Entry(
    event="run.ended",
    principal=RELAY,
    run_id="run-1",
    preview_id="p-1",
    action="webhook.save",
    provider="independent",
    status="unknown",
    reason="interrupted",
)
ORDER = reservation()._replace(intent=INTENT)


def ending(status: str) -> bytes:
    return msgspec.json.encode(Entry(event="run.ended", principal="k-1", status=status))


@pytest.fixture
def outbox(scripts: Scripts) -> Outbox:
    return Outbox(scripts)


async def waiting(outbox: Outbox, shipped: Sequence[bytes] = ()) -> Waiting:
    return await outbox.collect("w", shipped=shipped, limit=500)


async def events(outbox: Outbox) -> list[tuple[str, str]]:
    """Event and status of all entries that wait, in order."""
    return [(it.event, it.status) for _, it in (await waiting(outbox)).entries]


async def settle(runs: Runs, status: str = "success") -> Settled | Lost:
    return await runs.settle(ORDER, state=status, doc=b"{}", ending=ending(status))


async def release(runs: Runs) -> None:
    await runs.release(ORDER, ending=ending("not_sent"))


async def test_a_run_opens_with_its_intent(runs: Runs, outbox: Outbox) -> None:
    """At the start of the run, with the fields of its preview and a source of its own. Sent twice,
    it is one entry.
    """
    for _ in range(2):
        await runs.reserve(ORDER, lease=LEASE)
    _, [(source, entry)], total, oldest, *_ = await waiting(outbox)
    assert source == "run-1:run.intended"
    assert entry == Entry(
        event="run.intended",
        principal="k-1",
        run_id="run-1",
        at=(await found(runs)).started_at_ms,
        action="webhook.save",
        provider="independent",
    )
    assert total == 1
    assert timedelta(0) <= oldest < timedelta(seconds=10)


async def test_a_run_has_one_outcome(runs: Runs, outbox: Outbox) -> None:
    """The first ending counts. A repeated or late one adds no entry."""
    await runs.reserve(ORDER, lease=LEASE)
    await settle(runs)
    await settle(runs, "failed")
    await release(runs)
    assert await events(outbox) == [("run.intended", ""), ("run.ended", "success")]


async def test_a_released_run_has_one_outcome(runs: Runs, outbox: Outbox) -> None:
    """A release leaves intent and outcome, however often it is sent, and whatever follows."""
    await runs.reserve(ORDER, lease=LEASE)
    await release(runs)
    await release(runs)
    await settle(runs)
    assert await events(outbox) == [("run.intended", ""), ("run.ended", "not_sent")]
    _, [_, (_, given_back)], *_ = await waiting(outbox)
    assert (given_back.action, given_back.provider) == ("webhook.save", "independent")


async def test_a_run_that_never_opened_has_no_entry(runs: Runs, outbox: Outbox) -> None:
    """Its reservation was refused, came after its release, or never came."""
    await release(runs)
    await settle(runs)
    for _ in range(2):
        await runs.reserve(ORDER._replace(run_id="run-2", preview_id="gone"), lease=LEASE)
    assert await events(outbox) == []


async def test_a_run_without_an_ending_is_interrupted_once(runs: Runs, outbox: Outbox) -> None:
    """Once its lease is over it stays unknown: a late ending gets Lost and adds no entry."""
    await runs.reserve(ORDER, lease=NO_LEASE)
    assert await settle(runs) == Lost()
    _, [_, (_, given_up)], *_ = await waiting(outbox)
    assert given_up.at >= (await found(runs)).started_at_ms
    assert msgspec.structs.replace(given_up, at=0) == INTERRUPTED
    for _ in range(2):
        assert await settle(runs) == Lost()
        await release(runs)
        assert await events(outbox) == [("run.intended", ""), ("run.ended", "unknown")]
    run = await found(runs)
    assert (run.interrupted, run.state) == (True, "interrupted")


async def test_a_late_release_leaves_the_outcome_unknown(runs: Runs, outbox: Outbox) -> None:
    """A release after the lease adds no entry; the one outcome is `unknown`."""
    await runs.reserve(ORDER, lease=NO_LEASE)
    await release(runs)
    assert await events(outbox) == [("run.intended", ""), ("run.ended", "unknown")]
    assert (await found(runs)).interrupted


@pytest.mark.parametrize("first", ["collect", "release"])
async def test_racing_endings_leave_one_outcome(
    runs: Runs, outbox: Outbox, scripts: Scripts, first: str
) -> None:
    """Ten that collect, a late settle and a late release: one outcome, which is that of the run."""
    await runs.reserve(ORDER, lease=NO_LEASE)
    ends = [settle(Runs(separate_scripts(scripts))), release(Runs(separate_scripts(scripts)))]
    collects = [waiting(Outbox(separate_scripts(scripts))) for _ in range(10)]
    await asyncio.gather(*(ends + collects if first == "release" else collects + ends))

    assert await events(outbox) == [("run.intended", ""), ("run.ended", "unknown")]
    assert (await found(runs)).interrupted


async def test_a_run_in_flight_is_left_alone(runs: Runs, outbox: Outbox) -> None:
    """Collecting ends no run within its lease, and none of another workspace."""
    await runs.reserve(ORDER, lease=LEASE)
    assert await events(outbox) == [("run.intended", "")]
    await outbox.collect("v", limit=500)
    assert (await found(runs)).in_flight
    assert isinstance(await settle(runs), Settled)


async def test_dead_runs_are_ended_in_batches(outbox: Outbox, scripts: Scripts) -> None:
    """500 at a time, the oldest first, also those whose record has expired."""
    await scripts._client.zadd(names.in_flight("w"), {f"run-{n}": n for n in range(501)})
    assert (await outbox.collect("w", limit=1)).total == 500
    second = await outbox.collect("w", limit=1000)
    assert [it.run_id for _, it in second.entries] == [f"run-{n}" for n in range(501)]
    assert not await scripts._client.exists(names.in_flight("w"), names.run("w", "run-0"))


async def test_exactly_the_shipped_entries_are_removed(outbox: Outbox, scripts: Scripts) -> None:
    """Entries that came in between stay, in order. Removing twice removes no more."""
    await outbox.record("w", [(str(n), Entry(event="e", principal="p")) for n in range(6)])
    batch = await outbox.collect("w", limit=3)
    assert [source for source, _ in batch.entries] == ["0", "1", "2"]
    assert batch.total == 6
    for _ in range(2):
        rest = await waiting(outbox, [batch.ids[0], batch.ids[2]])
        assert [source for source, _ in rest.entries] == ["1", "3", "4", "5"]
        assert rest.total == 4


async def test_no_id_is_used_twice(outbox: Outbox, scripts: Scripts) -> None:
    """An empty outbox remembers its last id, also if the server's clock was set back."""
    ahead = "9999999999999-5"
    fields = {"source": "s", "at": 1, "entry": b'{"event":"e","principal":"p"}'}
    await scripts._client.xadd(OUTBOX, fields, id=ahead)  # type: ignore[arg-type]
    empty = await waiting(outbox, [ahead.encode()])
    assert (empty.ids, empty.total, empty.oldest) == ([], 0, timedelta(0))
    assert await scripts._client.exists(OUTBOX)
    assert await scripts._client.pttl(OUTBOX) == -1

    await outbox.record("w", [("s", Entry(event="e", principal="p"))])
    assert (await waiting(outbox)).ids == [b"9999999999999-6"]


async def test_an_entry_recorded_twice_has_one_source(outbox: Outbox) -> None:
    """The shipper sees two ids, one source and the unchanged entry."""
    entry = Entry(event="key.created", at=5, principal="k-1", address="::1", count=3)
    for _ in range(2):
        await outbox.record("w", [("source-1", entry)])
    found = await waiting(outbox)
    assert len(set(found.ids)) == 2
    assert found.entries == [("source-1", entry)] * 2


@pytest.mark.parametrize(("ago", "at_least"), [(3600, 3600), (0, 0), (-3600, 0)])
async def test_the_age_is_that_of_the_oldest_entry(
    outbox: Outbox, scripts: Scripts, ago: int, at_least: int
) -> None:
    """From the time of the entry on the server's clock; never negative."""
    seconds, _ = await scripts._client.time()
    for age in (ago, 0):
        entry = Entry(event="e", at=(int(seconds) - age) * 1000, principal="p")
        await outbox.record("w", [(str(age), entry)])
    found = await waiting(outbox)
    assert timedelta(0) <= found.oldest - timedelta(seconds=at_least) < timedelta(seconds=10)
