"""A read of thousands of keys delays no request and takes little memory."""

import asyncio
import tracemalloc

from gateway.access.api_keys import digest, make
from gateway.access.snapshot import CHUNK, _keys
from stores.sql.api_keys import ApiKey

MANY = 10 * CHUNK


def keys() -> list[ApiKey]:
    made = [make(live=True) for _ in range(MANY)]
    return [
        ApiKey(
            one.id, "default", "CI", True, "developer", None, digest(b"p", one.text), 0, "cli", 1
        )
        for one in made
    ]


async def test_others_run_while_keys_are_read() -> None:
    """After each 500 keys."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    await _keys(keys())
    turning.cancel()
    assert turns == MANY // CHUNK


async def test_a_key_takes_half_a_kilobyte() -> None:
    """With the digest and the id; keys of one kind share what they may do."""
    made = keys()
    tracemalloc.start()
    known = await _keys(made)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    strings = sum(len(one.digest) + len(one.id) + 82 for one in made) / MANY
    assert held / MANY + strings < 500
    assert len({id(one.scopes) for one in known.values()}) == 1
