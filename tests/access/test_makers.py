"""Keys that are older than the column `makers` know who made them by `created_by`."""

from stores.sql.database import Database
from tests.support.services import key_cache, services


async def test_the_makers_of_an_old_key_are_followed_up(database: Database) -> None:
    """Through keys that have no makers themselves, up to one that has, and a circle ends."""
    ids = [(await services(database).key()).key.id for _ in range(5)]
    top, middle, leaf, one, other = ids
    async with database.begin() as connection:
        for key_id, maker in ((middle, top), (leaf, middle), (one, other), (other, one)):
            changed = "UPDATE api_keys SET makers = NULL, created_by = $1 WHERE id = $2"
            await connection.execute(changed, maker, key_id)
        named = "UPDATE api_keys SET subject = $1 WHERE id = $2"
        await connection.execute(named, "ann", top)
    read = key_cache(database)
    await read.refresh()
    found = read.find(leaf)
    assert found
    assert {top, middle, "ann"} < {*found.makers}
    circle = read.find(one)
    assert circle
    assert {*circle.makers} == {one, other}


async def test_a_circle_of_rotations_ends(database: Database) -> None:
    """Only hands in the database can make one; nothing in it may decide."""
    ids = [(await services(database).key()).key.id for _ in range(2)]
    async with database.begin() as connection:
        for old, new in (ids, ids[::-1]):
            ended = "UPDATE api_keys SET replaced_by = $1, expires_at = 1800000000000 WHERE id = $2"
            await connection.execute(ended, new, old)
    read = key_cache(database, clock=lambda: 1_800_000_001.0)
    await read.refresh()
    assert not read.may_decide("default", ids[0], live=True)
