"""A workspace with a key that makes keys keeps one, however many are revoked at once."""

import asyncio

from stores.sql.apikeys import LastAdmin, Revoked
from tests.sql.test_api_keys import ADMIN, NOW, Keys, keys

__all__ = ["keys"]

ANOTHER = ADMIN._replace(id="adminbbb")
COUNT = [
    ANOTHER,
    ANOTHER._replace(scopes=("keys:manage",)),
    ANOTHER._replace(scopes=("audit:read", "keys:manage")),
    ANOTHER._replace(live=False),
    ANOTHER._replace(expires_at=NOW + 1),
]
DO_NOT_COUNT = [
    ANOTHER._replace(role="operator"),
    ANOTHER._replace(scopes=("runs:read",)),
    ANOTHER._replace(scopes=()),
    ANOTHER._replace(scopes=("keys:manager",)),
    ANOTHER._replace(expires_at=NOW),
    ANOTHER._replace(revoked_at=NOW, revoked_by="boss"),
]


async def test_the_last_admin_is_not_revoked(keys: Keys) -> None:
    """Nor is anything else changed by the attempt."""
    for last in COUNT:
        await keys.insert(last)
        before = await keys.generation()
        assert await keys.revoke(last) == LastAdmin(), last
        assert await keys.find(last) == last
        assert await keys.generation() == before
        await keys.clear()


async def test_an_admin_beside_another_is_revoked(keys: Keys) -> None:
    """And then the other is the last."""
    for other in COUNT:
        await keys.insert(ADMIN, other)
        assert isinstance(await keys.revoke(ADMIN), Revoked), other
        assert await keys.revoke(other) == LastAdmin(), other
        await keys.clear()


async def test_another_that_cannot_make_keys_does_not_count(keys: Keys) -> None:
    """Neither does one that ends with its overlap, nor one of another workspace."""
    replaced = ANOTHER._replace(replaced_by="adminaaa")
    for other in (*DO_NOT_COUNT, replaced, ANOTHER._replace(workspace="other")):
        await keys.insert(ADMIN, other)
        assert await keys.revoke(ADMIN) == LastAdmin(), other
        await keys.clear()


async def test_one_that_makes_no_keys_is_revoked_though_it_is_alone(keys: Keys) -> None:
    """Nothing is lost with it: one that has expired makes none either."""
    for key in DO_NOT_COUNT:
        await keys.insert(key)
        assert isinstance(await keys.revoke(key), Revoked), key
        await keys.clear()


async def test_of_two_admins_revoked_at_once_one_stays(keys: Keys) -> None:
    """Ten times over, in both orders."""
    for turn in range(10):
        await keys.insert(ADMIN, ANOTHER)
        both = (ADMIN, ANOTHER)[:: (-1) ** turn]
        done = await asyncio.gather(*(keys.revoke(key) for key in both))
        assert sorted(type(answer).__name__ for answer in done) == ["LastAdmin", "Revoked"]
        assert len(await keys.usable()) == 1
        await keys.clear()
