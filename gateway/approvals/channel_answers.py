"""What channels answered last, and a test that asks one now."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, assert_never

import msgspec
from msgspec import Struct

from gateway.effects import Effect
from gateway.egress.client import Egress
from gateway.outcomes import Answered, NoResponse, NotSent, Outcome, TargetRefused
from gateway.telemetry.ids import new_id
from gateway.timestamps import timestamp
from gateway.version import VERSION
from stores.redis.notices import Notices
from stores.sql.channels import Channel

DEADLINE = timedelta(seconds=8)


class ChannelAnswer(Struct, frozen=True, kw_only=True):
    """`outcome`: `sent` if it answered 2xx, `refused` if its URL is not allowed. `detail`: why it
    failed. `at_ms`: epoch milliseconds.
    """

    outcome: Literal["sent", "failed", "refused"]
    status_code: int | None = None
    detail: str = ""
    at_ms: int


class _TestData(Struct):
    channel: str


class _TestMessage(Struct):
    type: str
    timestamp: str
    data: _TestData


_answer = msgspec.json.Decoder(ChannelAnswer)


class ChannelTester:
    """Every method raises RedisUnavailable."""

    def __init__(self, notices: Notices, egress: Egress) -> None:
        self._notices = notices
        self._egress = egress

    async def last(self, workspace: str, channels: Sequence[Channel]) -> list[ChannelAnswer | None]:
        """What each answered last, to a notice or to a test; None if that was not kept."""
        found = await self._notices.answers(workspace, [it.id for it in channels])
        return [None if it is None else _answer.decode(it) for it in found]

    async def test(self, workspace: str, channel: Channel) -> ChannelAnswer:
        """Send it a message that says that it is a test, signed like a notice."""
        data = _TestMessage("channel.test", timestamp(_now_ms()), _TestData(channel.name))
        outcome = await self._egress.send_notice(
            channel_effect(channel, msgspec.json.encode(data)),
            workspace=workspace,
            message_id=f"channel_test_{new_id()}",
            deadline=time.monotonic() + DEADLINE.total_seconds(),
        )
        answer = answer_of(outcome)
        await self._notices.answered(workspace, channel.id, msgspec.json.encode(answer))
        return answer


def answer_of(outcome: Outcome) -> ChannelAnswer:
    now_ms = _now_ms()
    match outcome:
        case Answered(status_code=code, success=True):
            return ChannelAnswer(outcome="sent", status_code=code, at_ms=now_ms)
        case Answered(status_code=code):
            detail = f"It answered {code}."
            return ChannelAnswer(outcome="failed", status_code=code, detail=detail, at_ms=now_ms)
        case NoResponse(detail) | NotSent(detail):
            return ChannelAnswer(outcome="failed", detail=detail, at_ms=now_ms)
        case TargetRefused(detail):
            return ChannelAnswer(outcome="refused", detail=detail, at_ms=now_ms)
        case _ as unforeseen:
            assert_never(unforeseen)


def _now_ms() -> int:
    return round(time.time() * 1000)


def channel_effect(channel: Channel, body: bytes) -> Effect:
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": f"relay-gateway/{VERSION}",
        "Content-Type": "application/json",
    }
    return Effect(method="POST", url=channel.url, headers=headers, body=body, summary="")
