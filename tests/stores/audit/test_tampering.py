"""Verification finds every change by a database writer without a key, at the first bad entry."""

import asyncio
from random import Random

import pytest

from stores.audit.chain import Chain
from stores.audit.retention import remove_before
from stores.audit.signatures import SignedHead
from stores.audit.verify import checkpoint, verify
from stores.audit.walk import SENTENCES, Broken, ChainWalk, Evidence, Verified
from stores.sql.database import Database
from tests.support.chains import CHAIN, NOON, append, day, head, rows
from tests.support.tamperings import TAMPERINGS, Stored

# On each of two databases.
ROUNDS = 5000
REMOVED, LAST = 6, 30


async def chain_of_30(database: Database) -> Stored:
    """Entries 7 to 30, after a removal, and heads in the log from before and after it."""
    await append(database, day(LAST))
    macs = {row.seq: row.mac for row in await rows(database)}
    logged = [CHAIN.signed_head("w", n, macs[n], NOON) for n in (3, REMOVED, 13, 14, 22, LAST)]
    moments = {"cutoff_ms": NOON + (REMOVED + 1) * 1000, "now_ms": NOON}
    assert await remove_before(database, CHAIN, "w", **moments) == REMOVED
    async with database.connect() as connection:
        left = await checkpoint(connection, "w")
    return Stored(await rows(database), await head(database), left, logged)


def verdict(stored: Stored, chain: Chain = CHAIN) -> Verified | Broken:
    walk = ChainWalk(chain, "w", Evidence(*stored[1:]))
    return walk.begin() or walk.check(stored.rows) or walk.end()


async def test_every_tampering_is_found(database: Database) -> None:
    """10,000 random ones on the rows of both databases; each is named at the first bad entry."""
    stored, rng = await chain_of_30(database), Random(7)
    assert verdict(stored) == Verified("w", entries=LAST - REMOVED, last=LAST)
    for number in range(ROUNDS):
        tamper = TAMPERINGS[number % len(TAMPERINGS)]
        tampered, seq, reason = tamper(rng, stored)
        assert verdict(tampered) == ("w", seq, reason), (number, tamper.__name__)
    assert verdict(stored) == Verified("w", entries=LAST - REMOVED, last=LAST)


async def test_the_wrong_key_verifies_nothing(database: Database) -> None:
    stored, wrong = await chain_of_30(database), Chain([b"w" * 32])
    assert verdict(stored, wrong) == Broken("w", REMOVED, "checkpoint")
    begun = stored._replace(checkpoint=None, rows=[], logged=[])
    assert verdict(begun, wrong) == Broken("w", 0, "head")


STATEMENTS = [
    ("UPDATE audit SET entry = entry || ' ' WHERE seq = 9", 9, "edited"),
    ("UPDATE audit SET status = 'failed' WHERE seq = 9", 9, "edited"),
    ("UPDATE audit SET at = at - 1 WHERE seq = 9", 9, "edited"),
    ("UPDATE audit SET workspace = 'other' WHERE seq = 9", 9, "missing"),
    ("UPDATE audit SET seq = 31 WHERE seq = 30", 30, "missing"),
    ("DELETE FROM audit WHERE seq = 9", 9, "missing"),
    ("DELETE FROM audit WHERE seq > 9", 10, "cut"),
    ("DELETE FROM audit", 7, "cut"),
    ("UPDATE audit_heads SET seq = 29", 30, "head"),
    ("DELETE FROM audit_heads", 30, "head"),
    ("UPDATE audit_checkpoints SET seq = 7", 7, "checkpoint"),
    ("DELETE FROM audit_checkpoints", 1, "missing"),
]


@pytest.mark.parametrize(("statement", "seq", "reason"), STATEMENTS)
async def test_tampering_in_the_database_is_found(
    database: Database, statement: str, seq: int, reason: str
) -> None:
    stored = await chain_of_30(database)
    heads = stored.logged
    assert await verify(database, CHAIN, "w", heads=heads) == Verified("w", 24, LAST)
    async with database.begin() as connection:
        await connection.execute(statement)
    for page in (5, 1000):
        assert (await verify(database, CHAIN, "w", page=page)) == ("w", seq, reason)


async def test_only_the_log_reveals_a_deleted_chain(database: Database) -> None:
    """Without heads from the log an empty chain is valid."""
    stored = await chain_of_30(database)
    async with database.begin() as connection:
        for table in ("audit", "audit_heads", "audit_checkpoints"):
            await connection.execute(f"DELETE FROM {table}")
    assert await verify(database, CHAIN, "w") == Verified("w", entries=0, last=0)
    assert await verify(database, CHAIN, "w", heads=stored.logged) == Broken("w", 1, "cut")


async def test_a_restarted_chain_differs_from_the_log(database: Database) -> None:
    stored = await chain_of_30(database)
    async with database.begin() as connection:
        for table in ("audit", "audit_heads", "audit_checkpoints"):
            await connection.execute(f"DELETE FROM {table}")
    await append(database, day(40, first=2))
    assert await verify(database, CHAIN, "w") == Verified("w", entries=40, last=40)
    assert await verify(database, CHAIN, "w", heads=stored.logged) == Broken("w", 3, "cut")


def forged(head: SignedHead) -> SignedHead:
    return head._replace(signature=bytes(32))


async def test_heads_in_the_log_must_be_signed(database: Database) -> None:
    """An unsigned one is named and ignored. Heads of other workspaces do not matter."""
    stored = await chain_of_30(database)
    wrong = [forged(stored.logged[-1]), forged(stored.logged[2]._replace(mac=bytes(32)))]
    assert await verify(database, CHAIN, "w", heads=wrong) == Broken("w", 13, "log")
    foreign = [forged(each)._replace(workspace="other") for each in stored.logged]
    assert await verify(database, CHAIN, "w", heads=foreign) == Verified("w", 24, LAST)


async def test_a_chain_verifies_while_it_grows(database: Database) -> None:
    """Concurrent appends and removals do not look like tampering."""
    await append(database, day(40))

    async def grow() -> None:
        for n in range(41, 61):
            await append(database, day(1, first=n))
            moments = {"cutoff_ms": NOON + n * 500, "now_ms": NOON}
            await remove_before(database, CHAIN, "w", **moments)

    growing = asyncio.create_task(grow())
    seen = []
    while not growing.done():
        match await verify(database, CHAIN, "w", page=3):
            case Verified(_, entries, last):
                seen.append((last, entries))
            case Broken() as broken:
                raise AssertionError(broken.sentence)
    await growing
    assert len(set(seen)) > 1


async def test_progress_is_reported(database: Database) -> None:
    await append(database, day(7))
    told: list[int] = []
    await verify(database, CHAIN, "w", progress=told.append, page=3)
    assert told == [3, 3, 1]


def test_every_reason_is_a_sentence() -> None:
    for reason in SENTENCES:
        assert "7" in Broken("w", 7, reason).sentence
