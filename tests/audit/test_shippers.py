"""Several gateways ship at once: each entry once, in order, and none stops another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit.shipper import BATCH
from stores.audit.chain import Chain
from stores.audit.walk import Verified
from stores.redis.client import Store
from tests.support.shipping import KEY, NEWER, Audit, audit, audited, numbered

__all__ = ["audit"]


@pytest.fixture
async def anywhere(store: Store, tmp_path: Path, database_url: str) -> AsyncIterator[Audit]:
    """The audit on SQLite and on PostgreSQL."""
    async with audited(store, tmp_path, database_url) as opened:
        yield opened


async def test_concurrent_shippers_ship_each_entry_once(anywhere: Audit) -> None:
    """In order, of every workspace."""
    for workspace in ("w", "x"):
        await anywhere.record(2 * BATCH + 100, workspace)
    shippers = [anywhere.shipper() for _ in range(3)]
    while await anywhere.waits() or await anywhere.waits("x"):  # a turn ends after a second
        await asyncio.gather(*(shipper.turn() for shipper in shippers))
    assert {shipper.check().verdict for shipper in shippers} == {"ok"}
    for workspace in ("w", "x"):
        assert len(set(await anywhere.sources(workspace))) == 2 * BATCH + 100
        assert await anywhere.sources(workspace) == sorted(await anywhere.sources(workspace))
        assert isinstance(await anywhere.verified(workspace), Verified)


async def test_a_workspace_that_another_gateway_ships_is_skipped(
    store: Store, tmp_path: Path, postgres_url: str
) -> None:
    """Without waiting and without a warning. As a control, an append would wait."""
    async with audited(store, tmp_path, postgres_url) as audit:
        await audit.record(2)
        await audit.shipper().turn()
        shipper, chain = audit.shipper(), Chain([KEY])
        database = await audit.database.open()
        async with database.begin() as connection:
            await chain.locked_head(connection, "w")
            await audit.record(2)
            await audit.record(2, "x")
            await shipper.turn()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), database.begin() as waiting:
                    await chain.locked_head(waiting, "w")
        assert (await audit.waits(), await audit.waits("x")) == (2, 0)
        assert (shipper.check().verdict, shipper.backlog.entries) == ("ok", 2)
        await shipper.turn()
        assert (await audit.waits(), len(await audit.sources())) == (0, 4)


async def test_a_shipper_that_dies_loses_no_entry(audit: Audit) -> None:
    """The batch that it had read is shipped by another."""
    audit.database.gate.clear()
    audit.database.asked.clear()
    await audit.record(3)
    dying = asyncio.create_task(audit.shipper().turn())
    await audit.database.asked.wait()
    dying.cancel()
    await asyncio.wait({dying})
    audit.database.gate.set()
    await audit.shipper().turn()
    assert await audit.sources() == numbered(3)


async def test_a_shipper_that_resumes_late_writes_nothing_twice(audit: Audit) -> None:
    """Another gateway has shipped its batch, and more, in the meantime."""
    await audit.record(3)
    audit.database.gate.clear()
    audit.database.asked.clear()
    late = asyncio.create_task(audit.shipper().turn())
    await audit.database.asked.wait()
    audit.database.gate.set()
    await audit.record(2)
    await audit.shipper(audit.database.other()).turn()
    await late
    assert await audit.sources() == numbered(5)
    assert isinstance(await audit.verified(), Verified)


async def test_a_gateway_without_its_database_stops_no_other(audit: Audit) -> None:
    """Its own /ready names the error."""
    first, second = audit.shipper(audit.database.other(away=True)), audit.shipper()
    await audit.record(3)
    await first.turn()
    assert first.check().detail.endswith(": DatabaseUnavailable")
    await second.turn()
    assert await audit.sources() == numbered(3)


async def test_a_failure_is_logged_again_after_a_success(
    audit: Audit, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = audit.shipper()
    for away in (True, True, False, True):
        audit.database.away = away
        await audit.record(1)
        await shipper.turn()
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert messages.count("audit.not_shipped") == 2


async def test_a_gateway_without_the_newest_audit_key_stops_no_other(audit: Audit) -> None:
    """Keys are rotated gateway by gateway: one that has the new key can continue."""
    knowing = audit.shipper(audit.database.other(keys=(NEWER, KEY)))
    lacking = audit.shipper()
    await audit.record(1)
    await knowing.turn()
    await audit.record(2)
    await lacking.turn()
    assert lacking.check().detail.endswith(": BrokenChain")
    await knowing.turn()
    assert (await audit.sources(), await audit.waits()) == (numbered(3), 0)
