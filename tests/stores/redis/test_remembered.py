"""What was approved last is kept for a while: the newest of each kind, and not too many kinds."""

from datetime import timedelta

from stores.redis.client import Store
from stores.redis.remembered import DOC_MAX, KINDS_MAX, Remembered
from stores.redis.scripts import Scripts

HOUR = timedelta(hours=1)


async def test_the_newest_of_a_kind_is_kept(scripts: Scripts) -> None:
    """Whatever bytes it holds; kinds and workspaces know nothing of each other."""
    remembered = Remembered(scripts)
    await remembered.keep("w", "a", "p-1", b"first", ttl=HOUR)
    await remembered.keep("w", "a", "p-2", b'{"a": " b\n \x00"}', ttl=HOUR)
    found = await remembered.find("w", "a")
    assert found
    assert (found.preview_id, found.doc) == ("p-2", b'{"a": " b\n \x00"}')
    assert await remembered.find("w", "b") is None
    assert await remembered.find("x", "a") is None


async def test_it_ends_after_its_time(scripts: Scripts) -> None:
    """Although another kind is kept longer."""
    remembered = Remembered(scripts)
    await remembered.keep("w", "long", "p-1", b"doc", ttl=HOUR)
    await remembered.keep("w", "short", "p-2", b"doc", ttl=timedelta())
    assert await remembered.find("w", "short") is None
    assert await remembered.find("w", "long")


async def test_a_workspace_keeps_the_newest_kinds(store: Store) -> None:
    remembered = Remembered(store.scripts)
    for number in range(KINDS_MAX + 3):
        await remembered.keep("w", f"{number:03}", "p", b"doc", ttl=HOUR)
    kept = [number for number in range(5) if await remembered.find("w", f"{number:03}")]
    assert kept == [3, 4]
    assert await store.client.hlen("relay:{w}:remembered") == KINDS_MAX


async def test_a_large_document_is_not_kept(scripts: Scripts) -> None:
    remembered = Remembered(scripts)
    await remembered.keep("w", "fits", "p", b"x" * DOC_MAX, ttl=HOUR)
    await remembered.keep("w", "large", "p", b"x" * (DOC_MAX + 1), ttl=HOUR)
    assert await remembered.find("w", "fits")
    assert await remembered.find("w", "large") is None
