"""A deadline is a millisecond of the server's clock: a transaction holds that clock still."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from stores.approvals import Decider, Decision
from stores.redis import names
from stores.redis.approvals import (
    Approvals,
)
from stores.redis.scripts import SOURCES
from tests.support.approvals import found, hold
from tests.support.edited import Edited
from tests.support.valkey import Valkey

# Sets a field to now plus this many milliseconds.
SET_FIELD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], now + ARGV[2])
"""
APPROVAL, PREVIEW = names.approval("w", "p-1"), names.preview("w", "p-1")
KEYS = [APPROVAL, PREVIEW, names.pending("w"), names.outbox("w"), names.notices("w")]


def decision(word: Decision) -> list[Any]:
    decider = Decider(decision=word, subject="ann", key="k", role="approver")
    record = msgspec.json.encode(decider)
    return ["p-1", "sha256:d", "ann", record, b"[]", b'{"event":"e"}', "channel", 1]


async def at_deadline(
    valkey: Valkey, field: str, left_ms: int, script: str, keys: list[str], args: list[Any]
) -> list[Any]:
    """The answer of the script, this many milliseconds before the deadline in this field."""
    async with valkey.async_client() as client:
        pipeline = client.pipeline(transaction=True)
        pipeline.eval(SET_FIELD, 1, APPROVAL, field, left_ms)
        pipeline.eval(SOURCES[script], len(keys), *keys, *args)
        _, answer = await pipeline.execute()
    return list(answer)


@pytest.mark.parametrize(
    ("left_ms", "approved", "denied"),
    [
        (2, [b"decided", b"approved"], [b"decided", b"denied"]),
        (1, [b"decided", b"approved"], [b"decided", b"denied"]),
        (0, [b"ended", b"expired"], [b"ended", b"expired"]),
        (-1, [b"ended", b"expired"], [b"ended", b"expired"]),
    ],
)
async def test_a_decision_is_in_time_until_the_last_millisecond(
    valkey: Valkey, left_ms: int, approved: list[bytes], denied: list[bytes]
) -> None:
    """At `decide_by` it is too late, and nothing executable is there."""
    async with valkey.async_client() as client:
        approvals = Approvals(Edited(client))
        cases: list[tuple[Decision, list[bytes]]] = [("approve", approved), ("deny", denied)]
        for word, wanted in cases:
            await hold(approvals)
            answer = await at_deadline(valkey, "decide_by", left_ms, "decide", KEYS, decision(word))
            assert answer == wanted
            assert await client.exists(PREVIEW) == (wanted == [b"decided", b"approved"])
            await client.delete(APPROVAL, PREVIEW)


@pytest.mark.parametrize(("left_ms", "state"), [(1, b"approved"), (0, b"unused"), (-1, b"unused")])
async def test_an_approval_is_used_until_the_last_millisecond(
    valkey: Valkey, left_ms: int, state: bytes
) -> None:
    async with valkey.async_client() as client:
        await hold(Approvals(Edited(client)))
        await client.hset(APPROVAL, "state", "approved")
        answer = await at_deadline(valkey, "use_by", left_ms, "approval", KEYS[:2], [])
        assert answer[2] == state


async def test_an_execute_at_the_deadline_of_the_decision_is_answered_from_it(
    valkey: Valkey,
) -> None:
    """`pending` a millisecond before it, `expired` at it."""
    run = [names.reservation("w", "k"), names.run("w", "r"), names.outbox("w")]
    buckets = [names.bucket("w", "execute", key) for key in ("k", "")]
    keys = [PREVIEW, *run, names.in_flight("w"), *buckets, APPROVAL]
    args = ["r", "p-1", names.run_prefix("w"), 1000, 1000, "", "", "{}", 0, 0, 0, 0, ""]
    async with valkey.async_client() as client:
        await hold(Approvals(Edited(client)), within=timedelta(hours=1))
        for left_ms, state in ((1, b"pending"), (0, b"expired")):
            answer = await at_deadline(valkey, "decide_by", left_ms, "reserve", keys, args)
            assert (answer[0], answer[2]) == (b"not_approved", state)
        assert (await found(Approvals(Edited(client)))).state == "expired"
