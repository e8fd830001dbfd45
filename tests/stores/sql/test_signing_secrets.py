"""A workspace has one newest secret; those before it overlap with it, and then end."""

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from stores.sql import signing_secrets, workspaces
from stores.sql.database import Database
from stores.sql.signing_secrets import SealedSecret

NOW = 1_000_000
DAY = 86_400_000

SECRET = SealedSecret("s-1", "default", b"\x00sealed", "k-1", NOW, "boss")


async def add(database: Database, secret: SealedSecret, *, now_ms: int = NOW) -> None:
    async with database.begin() as connection:
        await signing_secrets.add(connection, secret, overlap_ms=DAY, now_ms=now_ms)


async def usable(database: Database, now_ms: int) -> list[str]:
    async with database.connect() as connection:
        return [secret.id for secret in await signing_secrets.active(connection, now_ms)]


async def list_all(database: Database) -> list[SealedSecret]:
    async with database.connect() as connection:
        return await signing_secrets.list_all(connection, "default")


async def test_a_secret_comes_back_as_it_was(database: Database) -> None:
    await add(database, SECRET)
    assert await list_all(database) == [SECRET]


async def test_the_one_before_overlaps_and_then_ends(database: Database) -> None:
    """At the very millisecond; it stays in the list."""
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-2", created_at=NOW + 5), now_ms=NOW + 5)
    assert await usable(database, NOW + 5 + DAY - 1) == ["s-2", "s-1"]
    assert await usable(database, NOW + 5 + DAY) == ["s-2"]
    assert [secret.retires_at for secret in await list_all(database)] == [None, NOW + 5 + DAY]


async def test_a_third_does_not_lengthen_the_first(database: Database) -> None:
    """It ends when the second said, and not a day after the third."""
    for number in (1, 2, 3):
        await add(database, SECRET._replace(id=f"s-{number}"), now_ms=NOW + number)
    found = [(secret.id, secret.retires_at) for secret in await list_all(database)]
    assert found == [("s-3", None), ("s-2", NOW + 3 + DAY), ("s-1", NOW + 2 + DAY)]


async def test_a_shorter_overlap_ends_all_before(database: Database) -> None:
    """After a leak: none is used any more but the new one."""
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-2"))
    async with database.begin() as connection:
        leaked = SECRET._replace(id="s-3")
        await signing_secrets.add(connection, leaked, overlap_ms=0, now_ms=NOW)
    assert await usable(database, NOW) == ["s-3"]


async def test_the_newest_is_the_one_without_an_end_whatever_the_clocks_said(
    database: Database,
) -> None:
    """A gateway whose clock is behind adds a secret that looks older."""
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-0", created_at=NOW - 5000))
    assert await usable(database, NOW) == ["s-0", "s-1"]


async def test_of_two_added_at_once_one_has_no_end(database: Database) -> None:
    """So that all gateways sign with the same."""
    await asyncio.gather(*(add(database, SECRET._replace(id=f"s-{n}")) for n in range(4)))
    assert [secret.retires_at for secret in await list_all(database)].count(None) == 1


async def test_workspaces_share_no_secrets(database: Database) -> None:
    """A new one of another workspace retires none of ours."""
    async with database.begin() as connection:
        await workspaces.create(connection, "other", now_ms=NOW)
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-9", workspace="other"))
    assert await list_all(database) == [SECRET]
    assert sorted(await usable(database, NOW)) == ["s-1", "s-9"]


@pytest.mark.parametrize("wrong", [SECRET, SECRET._replace(id="s-2", workspace="unknown")])
async def test_a_secret_needs_a_new_id_and_a_workspace(
    database: Database, wrong: SealedSecret
) -> None:
    """What is refused retires nothing."""
    await add(database, SECRET)
    with pytest.raises(IntegrityError):
        await add(database, wrong)
    assert await list_all(database) == [SECRET]


async def test_a_resealed_secret_is_otherwise_the_same(database: Database) -> None:
    await add(database, SECRET)
    async with database.begin() as connection:
        await signing_secrets.reseal(connection, "s-1", sealed=b"anew", sealed_with="k-2")
    assert await list_all(database) == [SECRET._replace(sealed=b"anew", sealed_with="k-2")]


async def test_a_new_secret_raises_the_generation(database: Database) -> None:
    """By it the gateways know that what they keep is old."""
    await add(database, SECRET)
    async with database.connect() as connection:
        assert await workspaces.generation(connection) == 1
