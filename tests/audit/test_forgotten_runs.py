"""A run that Redis has lost ends as unknown in the database, once no outcome can come any more."""

from datetime import timedelta
from time import time

import pytest

from gateway.audit.maintenance import HEADS_PACE
from stores.redis.previews import NewPreview, Previews
from stores.redis.reservations import Reserved
from stores.redis.runs import RUN_TTL
from stores.sql.runs import RunRow, find_run
from tests.support.chains import ended, intended
from tests.support.reservations import ORIGIN, reservation
from tests.support.shipping import LEASE, SECOND, Audit, audit, later

__all__ = ["audit"]


def ms(ago: timedelta) -> int:
    return round((time() - ago.total_seconds()) * 1000)


async def row(audit: Audit, run_id: str = "r") -> RunRow:
    database = await audit.database.open()
    async with database.connect() as connection:
        found = await find_run(connection, "w", run_id)
    assert found
    return found


async def intend(audit: Audit, ago: timedelta) -> None:
    """An intent in the database, of a run that Redis does not have."""
    database = await audit.database.open()
    async with database.begin() as connection:
        entries = [("r:run.intended", intended("r", at=ms(ago)))]
        await audit.database.chain().append(connection, "w", entries)


@pytest.mark.parametrize(
    ("ago", "status"), [(LEASE + SECOND, "unknown"), (LEASE - 5 * SECOND, "running")]
)
async def test_a_run_that_redis_lost_ends_after_its_lease(
    audit: Audit, ago: timedelta, status: str
) -> None:
    """As unknown, by an entry of the audit. A real outcome that comes later changes nothing."""
    await intend(audit, ago)
    shipper = audit.shipper()
    await shipper.turn()
    found = await row(audit)
    forgotten = status == "unknown"
    assert (found.status, found.reason) == (status, "forgotten" if forgotten else None)
    assert found.duration_ms is None
    await audit.outbox.record("w", [("late", ended("r", at=ms(SECOND)))])
    later(shipper, HEADS_PACE)
    await shipper.turn()
    assert (await row(audit)).status == ("unknown" if forgotten else "success")
    assert len(await audit.sources()) == 2


async def test_a_run_that_redis_has_is_not_ended(audit: Audit) -> None:
    """However old it is: its own gateway or its lease ends it."""
    await Previews(audit.runs._scripts).save("w", NewPreview("p-1", b"{}", ORIGIN))
    assert isinstance(await audit.runs.reserve(reservation("r"), lease=RUN_TTL), Reserved)
    await intend(audit, LEASE + SECOND)
    await audit.shipper().turn()
    assert (await row(audit)).status == "running"


async def test_an_outcome_that_waits_comes_first(audit: Audit) -> None:
    """While entries wait, a run is ended only if they are younger than its loss."""
    await intend(audit, LEASE + SECOND)
    maintenance = audit.shipper()._maintenance
    for ago, status in ((HEADS_PACE, "running"), (HEADS_PACE, "running"), (SECOND, "unknown")):
        await audit.client.delete("relay:{w}:outbox")
        await audit.record(1, ago=ago)
        await maintenance._end_forgotten("w")
        assert (await row(audit)).status == status


async def test_a_loss_that_was_just_seen_is_not_final(audit: Audit) -> None:
    await intend(audit, LEASE + SECOND)
    maintenance = audit.shipper()._maintenance
    await audit.record(1)
    for status in ("running", "unknown"):
        await maintenance._end_forgotten("w")
        assert (await row(audit)).status == status
