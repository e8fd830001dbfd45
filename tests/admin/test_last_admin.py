"""A workspace with a key that makes keys keeps one, however many are revoked at once."""

import asyncio

from stores.sql.api_keys import LastAdmin, Revoked
from tests.stores.sql.test_api_keys import ADMIN as BRIEF
from tests.stores.sql.test_api_keys import NOW, Keys, keys

__all__ = ["keys"]

DAY = 24 * 3600 * 1000
ADMIN = BRIEF._replace(expires_at=NOW + 30 * DAY)
ANOTHER = ADMIN._replace(id="adminbbb")
MANAGE = ANOTHER._replace(scopes=("keys:manage",))
MORE = ANOTHER._replace(scopes=("audit:read", "keys:manage"))
TEST = ANOTHER._replace(live=False)
# Keys that make keys; of each, others beside which it may go, and others beside which it stays.
MAKERS = [
    (ADMIN, [ANOTHER, ANOTHER._replace(expires_at=NOW + DAY + 1)], [MANAGE, MORE, TEST]),
    (ADMIN._replace(scopes=("keys:manage",)), [ANOTHER, MANAGE, MORE], [TEST]),
    (ADMIN._replace(scopes=("audit:read", "keys:manage")), [ANOTHER, MORE], [MANAGE, TEST]),
    (ADMIN._replace(live=False), [ANOTHER, TEST], [MANAGE]),
    (ADMIN._replace(expires_at=NOW + 1), [ANOTHER], [TEST]),
]
DO_NOT_COUNT = [
    ANOTHER._replace(role="operator"),
    ANOTHER._replace(scopes=("runs:read",)),
    ANOTHER._replace(scopes=()),
    ANOTHER._replace(scopes=("keys:manager",)),
    ANOTHER._replace(expires_at=NOW),
    ANOTHER._replace(expires_at=NOW + DAY),
    ANOTHER._replace(revoked_at=NOW, revoked_by="boss"),
]


async def test_the_last_admin_is_not_revoked(keys: Keys) -> None:
    """Nor is anything else changed by the attempt."""
    for last, _, _ in MAKERS:
        await keys.insert(last)
        before = await keys.generation()
        assert await keys.revoke(last) == LastAdmin(), last
        assert await keys.find(last) == last
        assert await keys.generation() == before
        await keys.clear()


async def test_an_admin_beside_another_that_can_as_much_is_revoked(keys: Keys) -> None:
    """Then the other one is the last. A live key beside a narrower one or a test key stays:
    no key could make one like it again.
    """
    for key, enough, too_little in MAKERS:
        for other in (*enough, *too_little):
            await keys.insert(key, other)
            goes = other in enough
            assert isinstance(await keys.revoke(key), Revoked if goes else LastAdmin), other
            if goes:
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
        if key.manages and key.expires_at > NOW:
            continue
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
        assert len(await keys.active()) == 1
        await keys.clear()
