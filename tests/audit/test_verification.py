"""A running gateway verifies its chains: what is new often, the whole chain once a day."""

from pathlib import Path

import pytest

from gateway.audit.verification import WHOLE, Verifier
from gateway.config.settings import Settings
from gateway.database import LazyDatabase, exists
from stores.sql.database import Database
from tests.support.observed import Lines, lines
from tests.support.shipping import Audit, audit

__all__ = ["audit", "lines"]


async def change(database: Database, seq: int) -> None:
    async with database.begin() as connection:
        await connection.execute(
            "UPDATE audit SET principal = 'other' WHERE workspace = 'w' AND seq = $1", seq
        )


@pytest.fixture
async def verifier(audit: Audit) -> Verifier:
    """One whose gateway has shipped three entries and verified them."""
    await audit.record(3)
    await audit.shipper().turn()
    verifier = Verifier(audit.database)
    assert verifier.found("w").state == "never"
    await verifier.turn()
    assert verifier.found("w")[:2] == ("ok", 3)
    return verifier


async def test_a_changed_entry_is_found_at_the_next_check(
    audit: Audit, verifier: Verifier, lines: Lines
) -> None:
    """With its number, and of this workspace alone."""
    await audit.record(2)
    await audit.shipper().turn()
    await change(await audit.database.open(), 5)
    await verifier.turn()
    found = verifier.found("w")
    assert found[:2] == ("broken", 5)
    assert "entry 5 is not as it was signed" in found.detail
    assert verifier.found("default").state == "ok"
    assert [line["seq"] for line in lines.of("audit.broken")] == [5]


async def test_the_whole_chain_is_verified_once_a_day(audit: Audit, verifier: Verifier) -> None:
    """Until then, a check goes on where the last one ended."""
    await change(await audit.database.open(), 1)
    for _ in range(WHOLE - 1):
        await verifier.turn()
    assert verifier.found("w")[:2] == ("ok", 3)
    await verifier.turn()
    assert verifier.found("w")[:2] == ("broken", 1)


async def test_a_check_does_not_create_a_database(tmp_path: Path) -> None:
    """A gateway that has never used one has nothing to verify."""
    settings = Settings(data_dir=tmp_path)
    async with LazyDatabase(settings) as database:
        await Verifier(database).turn()
    assert not exists(settings)
