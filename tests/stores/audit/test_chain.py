"""The audit chain has an order, no gap and no duplicate, and is signed from end to end."""

import asyncio
from itertools import pairwise

import msgspec
import pytest

from stores.audit.chain import BrokenChain, Chain
from stores.audit.signatures import Head
from stores.audit.verify import verify
from stores.audit.walk import Broken, Verified
from stores.audit_entries import Entry
from stores.sql.database import Database
from stores.sql.tables import AUDIT
from tests.support.chains import CHAIN, KEY, append, day, entry, head, rows


async def test_entries_are_numbered_in_their_order(database: Database) -> None:
    """From 1, across batches, separately for each workspace."""
    assert await append(database, day(3)) == 3
    assert await append(database, day(2), workspace="other") == 2
    assert await append(database, day(2, first=4)) == 2
    assert [(row.seq, row.source) for row in await rows(database)] == [
        (n, f"{n}-0") for n in range(1, 6)
    ]
    assert [row.seq for row in await rows(database, "other")] == [1, 2]


async def test_a_source_is_kept_once(database: Database) -> None:
    """Also if a source comes twice in a batch, or in a repeated batch. The first entry stays."""
    first, second, third = day(3)
    assert await append(database, [first, second, (first[0], entry("audit.read"))]) == 2
    assert await append(database, [first, second]) == 0
    assert await append(database, [second, third]) == 1
    assert [row.recorded.event for row in await rows(database)] == ["run.intended"] * 3
    assert [row.seq for row in await rows(database)] == [1, 2, 3]


async def test_a_large_batch_is_recognised(database: Database) -> None:
    many = [(str(n), entry()) for n in range(1500)]
    assert await append(database, many) == 1500
    assert await append(database, [*many, ("new", entry())]) == 1


async def test_an_empty_batch_starts_no_chain(database: Database) -> None:
    assert await append(database, []) == 0
    assert await verify(database, CHAIN, "w") == Verified("w", entries=0, last=0)


async def test_an_entry_is_read_as_it_was_written(database: Database) -> None:
    """With its position in the chain; the columns have the same values."""
    written = entry("request.refused", action="a\u0000\u202e'é", status="forbidden", count=7)
    await append(database, [("s", written)])
    (row,) = await rows(database)
    recorded = row.recorded
    assert {name: getattr(recorded, name) for name in Entry.__struct_fields__} == {
        name: getattr(written, name) for name in Entry.__struct_fields__
    }
    assert (recorded.workspace, recorded.seq, recorded.source) == ("w", 1, "s")
    assert (row.event, row.status, row.principal) == (
        written.event,
        written.status,
        written.principal,
    )
    assert row.at == written.at


def test_what_an_entry_does_not_have_is_not_written() -> None:
    """So that entries of older releases are written, and verified, as they were."""
    written = msgspec.json.encode(Entry(event="run.ended", principal="k", host="a.example"))
    assert written == b'{"event":"run.ended","principal":"k","host":"a.example"}'


@pytest.mark.parametrize(
    ("action", "column"), [("a" * 100, "a" * 100), ("a" * 101, "a" * 100), ("\0b", "b")]
)
async def test_a_column_holds_as_much_of_a_text_as_fits(
    database: Database, action: str, column: str
) -> None:
    """The entry keeps all of it, and the chain verifies."""
    await append(database, [("s", entry(action=action, run_id="r", event="run.ended"))])
    (row,) = await rows(database)
    assert (row.recorded.action, row.action) == (action, column)
    assert await verify(database, CHAIN, "w") == Verified("w", entries=1, last=1)


async def test_each_entry_is_bound_to_the_one_before(database: Database) -> None:
    """Its HMAC covers the HMAC before it. The head has the last one, and is signed."""
    await append(database, day(4))
    chain = await rows(database)
    assert CHAIN.verify_entry(bytes(32), chain[0].entry, chain[0].mac)
    for before, after in pairwise(chain):
        assert CHAIN.verify_entry(before.mac, after.entry, after.mac)
        assert not CHAIN.verify_entry(bytes(32), after.entry, after.mac)
    assert await head(database) == CHAIN.head("w", 4, chain[-1].mac)


async def test_a_rollback_removes_the_entries(database: Database) -> None:
    """A change and its entries happen together, or not at all."""

    async def fail() -> None:
        async with database.begin() as connection:
            await CHAIN.append(connection, "w", day(1))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await fail()
    assert await rows(database) == []


async def test_concurrent_appends_make_one_chain(database: Database) -> None:
    """20 tasks append 10 entries each, half of them the same: no gap, no duplicate."""

    async def appender(number: int) -> int:
        own = [(f"own-{number}-{n}", entry()) for n in range(5)]
        return await append(database, [*own, *day(5)])

    counts = await asyncio.gather(*map(appender, range(20)))
    chain = await rows(database)
    assert sum(counts) == len(chain) == 20 * 5 + 5
    assert [row.seq for row in chain] == list(range(1, 106))
    assert len({row.source for row in chain}) == 105
    assert await verify(database, CHAIN, "w") == Verified("w", entries=105, last=105)


async def test_a_chain_continues_with_a_new_key(database: Database) -> None:
    """The newest key signs and all verify. Without the old key the old entries do not verify."""
    rotated = Chain([b"n" * 32, KEY])
    await append(database, day(2))
    async with database.begin() as connection:
        await rotated.append(connection, "w", day(2, first=3))
    assert await verify(database, rotated, "w") == Verified("w", entries=4, last=4)
    assert await verify(database, CHAIN, "w") == Broken("w", 3, "edited")
    assert await verify(database, Chain([b"n" * 32]), "w") == Broken("w", 1, "edited")


async def test_a_chain_needs_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        Chain([])


async def test_a_forged_head_refuses_appends(database: Database) -> None:
    """An append would sign what was changed."""
    await append(database, day(5))
    third = (await rows(database))[2]
    forged = Head(third.seq, third.mac, (await head(database)).signature)
    async with database.begin() as connection:
        await connection.execute("DELETE FROM audit WHERE seq > 3")
        forge = "UPDATE audit_heads SET seq = $1, mac = $2, signature = $3"
        await connection.execute(forge, *forged)
    with pytest.raises(BrokenChain, match="relay audit verify"):
        await append(database, day(1, first=6))


async def test_a_chain_without_its_head_is_not_started_again(database: Database) -> None:
    await append(database, day(2))
    async with database.begin() as connection:
        await connection.execute("DELETE FROM audit_heads")
    with pytest.raises(BrokenChain):
        await append(database, day(1, first=3))


async def test_rows_after_the_head_refuse_appends(database: Database) -> None:
    await append(database, day(2))
    beyond = (await rows(database))[1]._replace(seq=3, source="forged")
    async with database.begin() as connection:
        await connection.insert(AUDIT, [beyond])
    with pytest.raises(BrokenChain):
        await append(database, day(1, first=3))


async def test_a_signature_is_valid_for_one_kind_only() -> None:
    """A head, a head in the log and a checkpoint of the same entry have different signatures."""
    mac = b"m" * 32
    signatures = {
        CHAIN.head("w", 1, mac).signature,
        CHAIN.signed_head("w", 1, mac, 0).signature,
        CHAIN.checkpoint("w", 1, mac, 0).signature,
        CHAIN.mac(bytes(32), ""),
    }
    assert len(signatures) == 4
    logged = CHAIN.signed_head("w", 1, mac, 5)
    assert CHAIN.verify_logged_head(logged)
    for forged in (
        logged._replace(workspace="x"),
        logged._replace(seq=2),
        logged._replace(mac=bytes(32)),
        logged._replace(at=6),
        logged._replace(signature=CHAIN.checkpoint("w", 1, mac, 5).signature),
    ):
        assert not CHAIN.verify_logged_head(forged)
