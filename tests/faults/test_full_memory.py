"""When Redis has no memory left, nothing new starts, and what has started is ended and shipped."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from stores.audit_entries import Entry
from stores.redis import names
from stores.redis.client import Store, open_store
from stores.redis.limits import Granted, Limits, Rates, Slots
from stores.redis.outbox import Outbox
from stores.redis.previews import Live, NewPreview, Previews
from stores.redis.reservations import KeyTaken, Reservation, Reserved, Run, Settled
from stores.redis.runs import Runs
from stores.redis.scripts import RedisUnavailable
from tests.support.reservations import LEASE
from tests.support.valkey import Valkey

RATES = Rates(per_key=10, per_workspace=10)
ENTRY = Entry(event="run.ended", principal="k-1", status="success")
ENDING = msgspec.json.encode(ENTRY)
SENT, UNSENT, DEAD, LATE = (
    Reservation("w", f"order-{n}", f"p-{n}", f"run-{n}", intent=ENDING, slots=Slots(10, 10))
    for n in range(4)
)


@pytest.fixture
async def full(own_valkey: Valkey, tmp_path: Path) -> AsyncIterator[Store]:
    """Three runs are in flight, one of them dead, and the memory has just been used up."""
    async with open_store(own_valkey.url, tmp_path) as store:
        previews, runs = Previews(store.scripts), Runs(store.scripts)
        for reservation in (SENT, UNSENT, DEAD, LATE):
            await previews.save(
                "w", NewPreview(reservation.preview_id, b"doc", b"{}", target="a.example:443")
            )
        for reservation, lease in ((SENT, LEASE), (UNSENT, LEASE), (DEAD, timedelta(0))):
            assert isinstance(await runs.reserve(reservation, lease=lease), Reserved)
        await store.client.config_set("maxmemory", 1)
        yield store


async def test_nothing_new_starts(full: Store) -> None:
    """Each preview, run, quota and entry is refused and leaves nothing. The slot of a dead run,
    which is freed without memory, lets no new run start.
    """
    previews, runs = Previews(full.scripts), Runs(full.scripts)
    limits, outbox = Limits(full.scripts), Outbox(full.scripts)
    before = {key: await full.client.dump(key) for key in await full.client.keys()}
    refused = await asyncio.gather(
        runs.reserve(LATE, lease=LEASE),
        runs.reserve(LATE._replace(rates=RATES, principal="k-1"), lease=LEASE),
        previews.save("w", NewPreview("p-9", b"doc", b"{}")),
        limits.spend("w", "k-1", "preview", RATES),
        outbox.record("w", [("source", ENTRY)]),
        return_exceptions=True,
    )
    assert all(isinstance(it, RedisUnavailable) and "OOM" in str(it) for it in refused)
    assert {key: await full.client.dump(key) for key in await full.client.keys()} == before


async def test_running_runs_end(full: Store) -> None:
    """One run is settled with its answer, another is released."""
    previews, runs = Previews(full.scripts), Runs(full.scripts)
    settled = await runs.settle(SENT, state="success", doc=b"answer", ending=ENDING)
    assert isinstance(settled, Settled)
    await runs.release(UNSENT, ending=ENDING)

    run = await runs.inspect("w", SENT.run_id)
    assert isinstance(run, Run)
    assert run.doc == b"answer"
    assert isinstance(await previews.find("w", UNSENT.preview_id), Live)
    assert not await full.client.exists(names.reservation("w", UNSENT.key))
    assert await full.client.xlen(names.outbox("w")) == 5


async def test_retries_are_answered(full: Store) -> None:
    """Reading the outcome of a run needs no memory, with and without limits."""
    runs, again = Runs(full.scripts), SENT._replace(run_id="again", rates=RATES)
    assert isinstance(await runs.reserve(again, lease=LEASE), KeyTaken)
    assert await Limits(full.scripts).spend("w", "k-1", "preview", Rates()) == Granted(None)


async def test_the_outbox_is_shipped(full: Store) -> None:
    """Dead runs are ended, and removed entries free memory."""
    outbox = Outbox(full.scripts)
    first = await outbox.collect("w", limit=500)
    assert [entry.status for _, entry in first.entries] == ["success"] * 3 + ["unknown"]
    assert (await outbox.collect("w", shipped=first.ids, limit=500)).total == 0
