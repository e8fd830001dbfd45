"""The shipper moves the audit into the database: in order, each entry once, despite failures."""

import asyncio
from datetime import timedelta

import pytest

from gateway.audit.backlog import LATE
from gateway.audit.shipper import BATCH, PACE, PAUSE_MAX
from stores.audit.walk import Verified
from stores.audit_entries import NOWHERE
from stores.redis.server.health import Check
from tests.support.shipping import Audit, audit, numbered

__all__ = ["audit"]


async def test_one_turn_ships_every_entry(audit: Audit) -> None:
    """Several batches of a workspace, and entries without a workspace, in their order; the chain
    verifies.
    """
    await audit.record(2 * BATCH + 1)
    await audit.record(1, NOWHERE)
    shipper = audit.shipper()
    await shipper.turn()

    assert await audit.sources() == numbered(2 * BATCH + 1)
    assert await audit.verified() == Verified("w", 2 * BATCH + 1, 2 * BATCH + 1)
    assert await audit.verified(NOWHERE) == Verified(NOWHERE, 1, 1)
    assert await audit.waits() == await audit.waits(NOWHERE) == 0
    assert shipper.check() == Check("audit", "ok", "0 entries wait")


async def test_an_entry_that_was_written_but_not_removed_is_recognised(audit: Audit) -> None:
    """Redis goes away between the two steps. The next turn removes it and writes new entries."""
    shipper = audit.shipper()
    await audit.record(3)
    audit.outbox.lost = True
    await shipper.turn()
    assert (await audit.sources(), await audit.waits()) == (numbered(3), 3)

    audit.outbox.lost = False
    await audit.record(2)
    await shipper.turn()
    assert (await audit.sources(), await audit.waits()) == (numbered(5), 0)
    assert isinstance(await audit.verified(), Verified)


async def test_entries_wait_while_the_database_is_away(audit: Audit) -> None:
    """/ready names the error. Turns become rarer, and return to their pace once it is back."""
    shipper = audit.shipper()
    await audit.record(3, ago=2 * LATE)
    audit.database.away = True
    pauses = []
    for _ in range(5):
        await shipper.turn()
        pauses.append(shipper.pause // PACE)
    assert pauses == [2, 4, 8, 8, 8]
    assert shipper.pause == PAUSE_MAX
    name, verdict, detail = shipper.check()
    assert (name, verdict) == ("audit", "warning")
    assert detail == "3 entries wait, the oldest 60 s: DatabaseUnavailable"

    audit.database.away = False
    await shipper.turn()
    assert await audit.sources() == numbered(3)
    assert (shipper.check(), shipper.pause) == (Check("audit", "ok", "0 entries wait"), PACE)


async def test_a_flooded_workspace_delays_no_other(audit: Audit) -> None:
    """Each workspace gets one batch in turn."""
    await audit.record(2 * BATCH + 1)
    await audit.record(1, "x")
    await audit.shipper().turn()
    assert audit.outbox.batches == ["w", "x", "w", "w"]


async def test_a_trickle_is_shipped_once_a_turn(audit: Audit) -> None:
    """Entries that arrive while a batch is written wait for the next turn, a second later."""
    shipper = audit.shipper()
    audit.outbox.refilled = ["w"]
    await audit.record(BATCH - 1)
    for turns in range(1, 4):
        await shipper.turn()
        assert (audit.outbox.batches, shipper.pause) == (["w"] * turns, PACE)
        assert await audit.waits() == BATCH - 1


@pytest.mark.slow
async def test_a_workspace_that_stays_flooded_delays_nothing(audit: Audit) -> None:
    """A turn ends after a second, with heads signed and entries left. The next turn starts at once,
    with all workspaces.
    """
    shipper = audit.shipper()
    audit.outbox.refilled = ["w", "x"]
    await audit.record(BATCH)
    await audit.record(BATCH, "x")
    async with asyncio.timeout(20):
        await shipper.turn()
    assert shipper.pause == timedelta(0)
    assert shipper._maintenance._heads_at > 0
    audit.outbox.refilled = ["w"]
    await shipper.turn()
    assert await audit.waits("x") == 0
    audit.outbox.refilled = []
    await shipper.turn()
    assert (await audit.waits(), shipper.pause) == (0, PACE)


async def test_an_old_backlog_is_a_warning(audit: Audit) -> None:
    """Also if nothing fails, because it may be that no gateway gets to ship it."""
    shipper = audit.shipper()
    audit.database.shipped = ("w", "x")
    await audit.record(1, ago=LATE - timedelta(seconds=5))
    await shipper.turn()
    assert shipper.check().verdict == "ok"
    await audit.record(1, "x", ago=LATE + timedelta(seconds=1))
    await shipper.turn()
    assert shipper.check() == Check("audit", "warning", "2 entries wait, the oldest 31 s")


async def test_a_broken_chain_stops_no_other(
    audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    """Its entries wait. It is named once in the log, and in /ready as long as it lasts."""
    shipper = audit.shipper()
    await audit.record(1)
    await shipper.turn()
    await audit.break_chain()
    for _ in range(2):
        await audit.record(2)
        await audit.record(2, "x")
        await shipper.turn()
        assert shipper.pause == PACE

    assert (len(await audit.sources()), await audit.waits()) == (1, 4)
    assert (len(await audit.sources("x")), await audit.waits("x")) == (4, 0)
    assert shipper.check().detail.endswith(": BrokenChain")
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (warning.getMessage(), vars(warning)["fields"]) == (
        "audit.not_shipped",
        {"error": "BrokenChain", "workspace": "w"},
    )

    await audit.mend_chain()
    await shipper.turn()
    assert (len(await audit.sources()), await audit.waits()) == (5, 0)
    assert shipper.check().verdict == "ok"
