"""One gateway ships at a time; who cannot go on leaves it to another."""

import asyncio
from datetime import timedelta

import pytest

from gateway.audit.shipper import BACK_OFF, BATCH, LEAD
from stores.audit.walk import Verified
from stores.redis import names
from tests.support.observed import Lines, lines
from tests.support.shipping import KEY, NEWER, Audit, audit, later, numbered

__all__ = ["audit", "lines"]


async def test_two_that_ship_at_once_ship_each_entry_once(audit: Audit) -> None:
    """Both lead, as when a lead has run out in the midst of a turn; the order is kept."""
    audit.outbox.sole = True
    await audit.record(2 * BATCH + 100)
    shippers = [audit.shipper() for _ in range(3)]
    while await audit.waits():  # a turn ends after a second, and a slow machine needs more
        await asyncio.gather(*(shipper.turn() for shipper in shippers))

    assert await audit.sources() == numbered(2 * BATCH + 100)
    assert isinstance(await audit.verified(), Verified)


async def test_only_one_leads(audit: Audit) -> None:
    """Another ships nothing until the first leaves; it knows what waits."""
    first, second = audit.shipper(), audit.shipper()
    await first.turn()
    await audit.record(3)
    await second.turn()
    assert (await audit.sources(), second.backlog.entries) == ([], 3)
    assert 0 < await audit.client.pttl(names.LEADER) <= LEAD / timedelta(milliseconds=1)

    await first.leave()
    await second.turn()
    assert await audit.sources() == numbered(3)


async def test_who_dies_as_leader_is_followed(audit: Audit) -> None:
    """Once its lead has run out; what the dead one had read and not written is not lost."""
    audit.database.gate.clear()
    audit.database.asked.clear()
    await audit.record(3)
    dying = asyncio.create_task(audit.shipper().turn())
    await audit.database.asked.wait()
    dying.cancel()
    await asyncio.wait({dying})
    audit.database.gate.set()
    second = audit.shipper()
    await second.turn()
    assert await audit.sources() == []

    await audit.client.delete(names.LEADER)
    await second.turn()
    assert await audit.sources() == numbered(3)


async def test_a_leader_that_wakes_late_writes_nothing_twice(audit: Audit) -> None:
    """It has a batch in hand that another has shipped meanwhile, and more."""
    audit.outbox.sole = True
    await audit.record(3)
    audit.database.gate.clear()
    audit.database.asked.clear()
    late = asyncio.create_task(audit.shipper().turn())
    await audit.database.asked.wait()
    await _shipped_by_another(audit)
    audit.database.gate.set()
    await late

    assert await audit.sources() == numbered(5)
    assert isinstance(await audit.verified(), Verified)


async def _shipped_by_another(audit: Audit) -> None:
    audit.database.gate.set()
    await audit.record(2)
    await audit.shipper().turn()


async def test_who_cannot_reach_the_database_lets_another_lead(audit: Audit) -> None:
    """At once, and stands aside for a while, in which it says why."""
    first, second = audit.shipper(), audit.shipper()
    audit.database.away = True
    await audit.record(3)
    await first.turn()
    audit.database.away = False
    await first.turn()
    assert await audit.sources() == []
    assert first.check().detail.endswith(": DatabaseUnavailable")
    await second.turn()
    assert await audit.sources() == numbered(3)


async def test_who_cannot_sign_lets_another_lead(audit: Audit, lines: Lines) -> None:
    """Though nothing waits: the heads are all that shows a chain that was cut."""
    await audit.record(1)
    await audit.shipper().turn()
    await audit.client.delete(names.LEADER)
    signed = len(lines.of("audit.head"))
    first, second = audit.shipper(audit.database.other(away=True)), audit.shipper()
    await first.turn()
    assert first.check().detail.endswith(": DatabaseUnavailable")
    await second.turn()
    assert len(lines.of("audit.head")) > signed


async def test_what_fails_again_is_told_again(
    audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    """When another has led well in between."""
    database = audit.database.other(away=True)
    failing, other = audit.shipper(database), audit.shipper()
    await audit.record(1)
    for _ in range(2):
        await failing.turn()
        await other.turn()
        later(failing, BACK_OFF)
        await failing.turn()
        await other.leave()
        await audit.record(1)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.count("audit.not_shipped") == 2


async def test_who_lacks_the_newest_audit_key_lets_another_lead(audit: Audit) -> None:
    """Keys are changed gateway by gateway: one that has the new one can go on."""
    knowing = audit.shipper(audit.database.other(keys=(NEWER, KEY)))
    lacking = audit.shipper()
    await audit.record(1)
    await knowing.turn()
    await knowing.leave()
    await audit.record(2)
    await lacking.turn()
    assert lacking.check().detail.endswith(": BrokenChain")
    await knowing.turn()
    assert (await audit.sources(), await audit.waits()) == (numbered(3), 0)
