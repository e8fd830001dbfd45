"""A step of connecting an account is taken once, and the right to refresh has one owner."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from stores.redis import names
from stores.redis.oauth.access_tokens import AccessTokens, Busy, Held, MayRefresh
from stores.redis.oauth.handshakes import TTL, Handshakes
from stores.redis.scripts import Scripts

HOUR = timedelta(hours=1)


async def test_a_step_is_read_often_and_taken_once(scripts: Scripts) -> None:
    """Of fifty that take it at once, one gets it; a reader after that gets nothing."""
    handshakes = Handshakes(scripts)
    await handshakes.keep("state", "s-1", b"doc")
    assert await handshakes.find("state", "s-1") == b"doc"
    assert await handshakes.find("ticket", "s-1") is None
    taken = await asyncio.gather(*(handshakes.take("state", "s-1") for _ in range(50)))
    assert sorted(filter(None, taken)) == [b"doc"]
    assert await handshakes.find("state", "s-1") is None


async def test_a_lost_reply_loses_no_step(scripts: Scripts) -> None:
    """The same call gets it again, another one does not."""
    key = names.handshake("state", "s-1")
    await Handshakes(scripts).keep("state", "s-1", b"doc")
    for _ in range(2):
        assert await scripts.call("oauth_take", [key], "call-1", HOUR) == [b"step", b"doc"]
    assert await scripts.call("oauth_take", [key], "call-2", HOUR) == [b"nothing"]


async def test_a_step_ends(scripts: Scripts) -> None:
    """Its time is counted once, also where it is kept twice, and is short once it is taken. Redis
    sees no name.
    """
    handshakes = Handshakes(scripts)
    key = names.handshake("ticket", "secret-name")
    assert "secret-name" not in key
    ends = await handshakes.keep("ticket", "secret-name", b"doc")
    again = await handshakes.keep("ticket", "secret-name", b"doc")
    assert abs(again - ends) < 2000
    assert timedelta(minutes=10) == TTL


async def test_one_call_may_refresh(scripts: Scripts) -> None:
    """Fifty ask at once; the owner may ask again, and its end lets the others have the token."""
    tokens = AccessTokens(scripts)
    calls = [str(uuid4()) for _ in range(50)]
    answers = await asyncio.gather(*(tokens.begin("w", "c-1", call) for call in calls))
    owners = [call for call, it in zip(calls, answers, strict=True) if isinstance(it, MayRefresh)]
    assert len(owners) == 1
    assert sum(isinstance(it, Busy) for it in answers) == 49
    assert isinstance(await tokens.begin("w", "c-1", owners[0]), MayRefresh)
    await tokens.end("w", "c-1", "another", b"")
    assert isinstance(await tokens.begin("w", "c-1", calls[-1] + "x"), Busy)
    await tokens.end("w", "c-1", owners[0], b"token", HOUR)
    assert await tokens.begin("w", "c-1", "later") == Held(b"token")
    await tokens.drop("w", "c-1", b"older")
    assert await tokens.begin("w", "c-1", "later") == Held(b"token")
    await tokens.drop("w", "c-1", b"token")
    assert isinstance(await tokens.begin("w", "c-1", "later"), MayRefresh)


async def test_a_right_to_refresh_ends_by_itself(scripts: Scripts) -> None:
    """A gateway that died does not hold it for ever; another connection has its own."""
    tokens = AccessTokens(scripts, lock=timedelta(milliseconds=1))
    assert isinstance(await tokens.begin("w", "c-1", "dead"), MayRefresh)
    assert isinstance(await tokens.begin("w", "c-2", "other"), MayRefresh)
    async with asyncio.timeout(5):
        while not isinstance(await tokens.begin("w", "c-1", "next"), MayRefresh):
            await asyncio.sleep(0.01)
