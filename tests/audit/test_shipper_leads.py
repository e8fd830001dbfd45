"""One gateway ships at a time; a leader that fails gives up the lead."""

import asyncio
from datetime import timedelta

import pytest

from gateway.audit.shipper import BACK_OFF, BATCH, LEAD
from stores.audit.walk import Verified
from stores.redis import names
from tests.support.observed import Lines, lines
from tests.support.shipping import KEY, NEWER, Audit, audit, later, numbered

__all__ = ["audit", "lines"]


async def test_concurrent_shippers_ship_each_entry_once(audit: Audit) -> None:
    """A lead may end during a turn, so that several lead. The order is kept."""
    audit.outbox.sole = True
    await audit.record(2 * BATCH + 100)
    shippers = [audit.shipper() for _ in range(3)]
    while await audit.waits():  # a turn ends after a second, and a slow machine needs more
        await asyncio.gather(*(shipper.turn() for shipper in shippers))

    assert await audit.sources() == numbered(2 * BATCH + 100)
    assert isinstance(await audit.verified(), Verified)


async def test_only_one_gateway_leads(audit: Audit) -> None:
    """Another one ships nothing until the first leaves, and knows the backlog."""
    first, second = audit.shipper(), audit.shipper()
    await first.turn()
    await audit.record(3)
    await second.turn()
    assert (await audit.sources(), second.backlog.entries) == ([], 3)
    assert 0 < await audit.client.pttl(names.LEADER) <= LEAD / timedelta(milliseconds=1)

    await first.leave()
    await second.turn()
    assert await audit.sources() == numbered(3)


async def test_a_dead_leader_is_replaced(audit: Audit) -> None:
    """Once its lead has ended. The batch that it had read is not lost."""
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


async def test_a_leader_that_resumes_late_writes_nothing_twice(audit: Audit) -> None:
    """Another gateway has shipped its batch, and more, in the meantime."""
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


async def test_a_leader_without_its_database_gives_up_the_lead(audit: Audit) -> None:
    """At once. It backs off for a while, and /ready names the error."""
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


async def test_a_leader_that_cannot_sign_heads_gives_up_the_lead(
    audit: Audit, lines: Lines
) -> None:
    """Even if no entry waits, because only signed heads reveal a truncated chain."""
    await audit.record(1)
    await audit.shipper().turn()
    await audit.client.delete(names.LEADER)
    signed = len(lines.of("audit.head"))
    first, second = audit.shipper(audit.database.other(away=True)), audit.shipper()
    await first.turn()
    assert first.check().detail.endswith(": DatabaseUnavailable")
    await second.turn()
    assert len(lines.of("audit.head")) > signed


async def test_a_failure_is_logged_again_after_another_gateway_led(
    audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway that only follows counts as recovered."""
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
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert messages.count("audit.not_shipped") == 2


async def test_a_leader_without_the_newest_audit_key_gives_up_the_lead(audit: Audit) -> None:
    """Keys are rotated gateway by gateway: one that has the new key can continue."""
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
