"""Notices of approvals: which are due, to which channels, and how often each was tried.

The scripts that change an approval add its notices in the same step. A gateway takes what is due
for the time of a lease, so that a gateway that dies loses none.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple, cast

from stores.redis import names
from stores.redis.scripts import Scripts, UnknownAnswer

# A channel that was not used for longer is worth a test.
ANSWERS_KEPT = timedelta(days=30)

Event = Literal["requested", "reminder", "approved", "denied", "expired"]


class Notice(NamedTuple):
    """`channel`: empty for the notice of an event that was not spread yet. `attempt`: from 1.
    `state`: of the approval now, empty if it is gone. `facts`: JSON, as they were held. `at_ms`:
    when the event happened. `taker`: the call that took the notice.
    """

    name: str
    event: Event
    preview_id: str
    channel: str
    attempt: int
    state: str
    facts: bytes
    at_ms: int
    decide_by_ms: int
    taker: str


class Notices:
    """Every method raises RedisUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def take(
        self, workspace: str, *, taker: str, lease: timedelta, limit: int
    ) -> list[Notice]:
        """The notices that are due, for the time of the lease. `taker`: new for each call."""
        _, *found = await self._scripts.call(
            "due", _keys(workspace), names.approval_prefix(workspace), taker, lease, limit
        )
        return [_notice(taker, fields) for fields in found]

    async def spread(self, workspace: str, notice: Notice, channels: Sequence[str]) -> None:
        """Replace the notice of an event by one for each channel."""
        await self._scripts.call("spread", _keys(workspace), notice.name, *channels)

    async def end(self, workspace: str, notice: Notice) -> None:
        await self.spread(workspace, notice, ())

    async def postpone(
        self, workspace: str, notice: Notice, pause: timedelta, *, attempts: int
    ) -> bool:
        """Make it due again after the pause. `attempts`: how many count. False if another gateway
        has taken it since.
        """
        match await self._scripts.call(
            "postpone", _keys(workspace), notice.name, notice.taker, attempts, pause
        ):
            case [b"postponed"]:
                return True
            case [b"not_taken"]:
                return False
            case other:
                raise UnknownAnswer(other)

    async def answered(self, workspace: str, channel_id: str, answer: bytes) -> None:
        """Keep what the channel answered last. `answer`: JSON."""
        key = names.channel_answer(workspace, channel_id)
        await self._scripts.call("answered", [key], answer, ANSWERS_KEPT)

    async def answers(self, workspace: str, channel_ids: Sequence[str]) -> list[bytes | None]:
        """What each channel answered last, as `answered` kept it."""
        keys = [names.channel_answer(workspace, it) for it in channel_ids]
        if not keys:
            return []
        _, *found = await self._scripts.call("answers", keys)
        return found


def _keys(workspace: str) -> list[str]:
    return [names.notices(workspace), names.notice_attempts(workspace)]


def _notice(taker: str, fields: Sequence[Any]) -> Notice:
    name, attempt, state, facts, at_ms, decide_by_ms = fields
    event, preview_id, *channel = name.decode().split(":")
    return Notice(
        name=name.decode(),
        event=cast("Event", event),
        preview_id=preview_id,
        channel=channel[0] if channel else "",
        attempt=attempt,
        state=state.decode(),
        facts=facts,
        at_ms=at_ms,
        decide_by_ms=decide_by_ms,
        taker=taker,
    )
