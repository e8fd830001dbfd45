"""A workspace has one newest secret; older ones overlap with it and then retire."""

import asyncio

import pytest

from stores.sql import signing_secrets, workspaces
from stores.sql.database import Database
from stores.sql.drivers.errors import IntegrityError
from stores.sql.signing_secrets import SealedSecret

NOW = 1_000_000
DAY = 86_400_000

SECRET = SealedSecret("s-1", "default", b"\x00sealed", "k-1", NOW, "boss")


async def add(database: Database, secret: SealedSecret, *, now_ms: int = NOW) -> None:
    async with database.begin() as connection:
        await signing_secrets.add(connection, secret, overlap_ms=DAY, now_ms=now_ms)


async def active(database: Database, now_ms: int) -> list[str]:
    async with database.connect() as connection:
        return [secret.id for secret in await signing_secrets.active(connection, now_ms)]


async def list_all(database: Database) -> list[SealedSecret]:
    async with database.connect() as connection:
        return await signing_secrets.list_all(connection, "default")


async def test_a_secret_is_read_as_it_was_written(database: Database) -> None:
    await add(database, SECRET)
    assert await list_all(database) == [SECRET]


async def test_the_previous_secret_retires_after_the_overlap(database: Database) -> None:
    """At the exact millisecond. It stays in the list."""
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-2", created_at=NOW + 5), now_ms=NOW + 5)
    assert await active(database, NOW + 5 + DAY - 1) == ["s-2", "s-1"]
    assert await active(database, NOW + 5 + DAY) == ["s-2"]
    assert [secret.retires_at for secret in await list_all(database)] == [None, NOW + 5 + DAY]


async def test_a_third_secret_does_not_extend_the_first(database: Database) -> None:
    """The first retires after the second's overlap, not after the third's."""
    for number in (1, 2, 3):
        await add(database, SECRET._replace(id=f"s-{number}"), now_ms=NOW + number)
    found = [(secret.id, secret.retires_at) for secret in await list_all(database)]
    assert found == [("s-3", None), ("s-2", NOW + 3 + DAY), ("s-1", NOW + 2 + DAY)]


async def test_a_shorter_overlap_retires_all_older_secrets(database: Database) -> None:
    """After a leak only the new secret is active."""
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-2"))
    async with database.begin() as connection:
        leaked = SECRET._replace(id="s-3")
        await signing_secrets.add(connection, leaked, overlap_ms=0, now_ms=NOW)
    assert await active(database, NOW) == ["s-3"]


async def test_the_newest_secret_is_the_one_without_an_end(
    database: Database,
) -> None:
    """Even if a gateway whose clock is behind adds a secret that looks older."""
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-0", created_at=NOW - 5000))
    assert await active(database, NOW) == ["s-0", "s-1"]


async def test_of_two_concurrent_secrets_one_has_no_end(database: Database) -> None:
    """All gateways sign with the same secret."""
    await asyncio.gather(*(add(database, SECRET._replace(id=f"s-{n}")) for n in range(4)))
    assert [secret.retires_at for secret in await list_all(database)].count(None) == 1


async def test_workspaces_share_no_secrets(database: Database) -> None:
    """A new secret of one workspace retires none of another."""
    async with database.begin() as connection:
        await workspaces.create(connection, "other", now_ms=NOW)
    await add(database, SECRET)
    await add(database, SECRET._replace(id="s-9", workspace="other"))
    assert await list_all(database) == [SECRET]
    assert sorted(await active(database, NOW)) == ["s-1", "s-9"]


@pytest.mark.parametrize("wrong", [SECRET, SECRET._replace(id="s-2", workspace="unknown")])
async def test_a_secret_needs_a_new_id_and_a_workspace(
    database: Database, wrong: SealedSecret
) -> None:
    """A refused secret retires no other."""
    await add(database, SECRET)
    with pytest.raises(IntegrityError):
        await add(database, wrong)
    assert await list_all(database) == [SECRET]


async def test_resealing_changes_the_seal_only(database: Database) -> None:
    await add(database, SECRET)
    async with database.begin() as connection:
        await signing_secrets.reseal(connection, "s-1", sealed=b"anew", sealed_with="k-2")
    assert await list_all(database) == [SECRET._replace(sealed=b"anew", sealed_with="k-2")]


async def test_a_new_secret_raises_the_generation(database: Database) -> None:
    """The generation makes gateways read again."""
    await add(database, SECRET)
    async with database.connect() as connection:
        assert await workspaces.generation(connection) == 1
