"""Send the notices of approvals to the channels of their workspace, each at least once.

Every gateway sends what is due; a lease keeps others from sending it meanwhile. All attempts have
one `webhook-id`, by which a receiver knows what comes again. A channel that hangs or fails delays
neither a request nor another channel: a send has its own deadline and a channel few at once.

A notice has the host and the path of the target and no more of the URL, no header value and
nothing of the body. The summary of an action repeats the URL with its query, so notices have a
summary of their own.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct

from gateway.approvals.channel_answers import ChannelAnswer, answer_of, channel_effect
from gateway.approvals.documents import page
from gateway.egress.client import Egress
from gateway.telemetry import metrics
from gateway.telemetry.background import in_background, repeat
from gateway.telemetry.ids import new_id
from gateway.telemetry.logs import log_event
from gateway.telemetry.spans import Field
from gateway.timestamps import timestamp
from stores import tasks
from stores.redis.notices import Event, Notice, Notices
from stores.sql.channels import Channel

PACE = timedelta(seconds=1)
# Longer than a send, so that a notice is taken again only if its gateway has died.
LEASE = timedelta(seconds=15)
BATCH = 100
# Ten channels that hang leave room for others.
AT_ONCE = 200
AT_ONCE_PER_CHANNEL = 20

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600))


class Tempo(NamedTuple):
    """`deadline`: seconds for one send, from DNS to the last byte. `pauses`: before the attempts
    after the first; then the notice is given up.
    """

    deadline: float = 8.0
    pauses: Sequence[timedelta] = PAUSES


TEMPO = Tempo()

log = logging.getLogger("relay.approvals")


class Facts(Struct, frozen=True, kw_only=True):
    """What is kept of a held preview for its notices. `escalate`: names of channels."""

    action: str
    summary: str
    method: str
    host: str
    digest: str
    requester: str
    needed: int
    warnings: Sequence[str] = ()
    escalate: Sequence[str] = ()


class Data(Struct, kw_only=True):
    id: str
    action: str
    summary: str
    method: str
    host: str
    digest: str
    requester: str
    needed: int
    decide_by: str
    warnings: Sequence[str]
    url: str | None


class Message(Struct, kw_only=True):
    type: str
    timestamp: str
    data: Data


_facts = msgspec.json.Decoder(Facts)


class Notifier:
    def __init__(
        self,
        notices: Notices,
        egress: Egress,
        channels_of: Callable[[str], Sequence[Channel] | None],
        due: Callable[[], Collection[str]],
        *,
        public_url: str | None = None,
        tempo: Tempo = TEMPO,
    ) -> None:
        """`channels_of`: a workspace's; None while they are not known. `due`: the workspaces in
        which notices are due.
        """
        self._notices = notices
        self._egress = egress
        self._channels_of = channels_of
        self._due = due
        self._public_url = public_url
        self._tempo = tempo
        self._sending: dict[asyncio.Task[None], str] = {}
        self._outcomes: Counter[metrics.NoticeOutcome] = Counter()

    async def watch(self) -> None:
        await repeat(self.turn, lambda: PACE)

    async def turn(self) -> None:
        """Start to send what is due; raises RedisUnavailable."""
        if self._outcomes:
            fields: dict[str, Field] = dict(self._outcomes.items())
            log_event(log, "approvals.notices", fields)
            self._outcomes.clear()
        for workspace in self._due():
            channels = self._channels_of(workspace)
            while channels is not None and await self._start(workspace, channels):
                pass

    async def settle(self) -> None:
        """Wait for the sends that have started."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def close(self) -> None:
        """Leave the sends to other gateways, which take them after the lease."""
        await tasks.end(self._sending)

    async def _start(self, workspace: str, channels: Sequence[Channel]) -> bool:
        """Whether there are new notices to take at once."""
        limit = min(BATCH, AT_ONCE - len(self._sending))
        if limit <= 0:
            return False
        taken = await self._notices.take(workspace, taker=new_id(), lease=LEASE, limit=limit)
        for notice in taken:
            if not notice.channel:
                await self._spread(workspace, notice, channels)
            elif [*self._sending.values()].count(notice.channel) >= AT_ONCE_PER_CHANNEL:
                before = notice.attempt - 1
                await self._notices.postpone(workspace, notice, PACE, attempts=before)
            else:
                task = asyncio.create_task(self._send(workspace, notice, channels))
                self._sending[task] = notice.channel
                task.add_done_callback(self._sent)
        return any(not notice.channel for notice in taken)

    def _sent(self, task: asyncio.Task[None]) -> None:
        """A send that could not record its outcome comes again after its lease."""
        del self._sending[task]
        if not task.cancelled() and (error := task.exception()):
            fields = {"error": type(error).__name__}
            log.warning("approvals.notice_not_recorded", extra={"fields": fields})

    async def _spread(self, workspace: str, notice: Notice, channels: Sequence[Channel]) -> None:
        if not notice.facts or _superseded(notice):
            await self._notices.end(workspace, notice)
            return
        escalate = _facts.decode(notice.facts).escalate
        if notice.event == "reminder":
            _log_unknown(workspace, {*escalate} - {channel.name for channel in channels})
        reached = [
            channel.id
            for channel in channels
            if not channel.escalation_only
            or (notice.event == "reminder" and channel.name in escalate)
        ]
        await self._notices.spread(workspace, notice, reached)

    async def _send(self, workspace: str, notice: Notice, channels: Sequence[Channel]) -> None:
        outcome, answer = await self._attempt(workspace, notice, channels)
        if outcome in ("failed", "refused"):
            if notice.attempt <= len(self._tempo.pauses):
                pause = self._tempo.pauses[notice.attempt - 1]
                await self._notices.postpone(workspace, notice, pause, attempts=notice.attempt)
            else:
                outcome = "given_up"
        if outcome not in ("failed", "refused"):
            await self._notices.end(workspace, notice)
        if answer:
            await self._notices.answered(workspace, notice.channel, msgspec.json.encode(answer))
        self._outcomes[outcome] += 1
        metrics.approval_notices.labels(notice.event, outcome).inc()

    async def _attempt(
        self, workspace: str, notice: Notice, channels: Sequence[Channel]
    ) -> tuple[metrics.NoticeOutcome, ChannelAnswer | None]:
        """A channel that this gateway does not know yet, or that was deleted, is a failure."""
        if not notice.facts or _superseded(notice):
            return "superseded", None
        channel = next((it for it in channels if it.id == notice.channel), None)
        if channel is None:
            return "failed", None
        outcome = await self._egress.send_notice(
            channel_effect(channel, message(notice, self._public_url)),
            workspace=workspace,
            message_id=f"approval_{notice.preview_id}_{notice.event}",
            deadline=time.monotonic() + self._tempo.deadline,
        )
        answer = answer_of(outcome)
        return answer.outcome, answer


@asynccontextmanager
async def notifying(notifier: Notifier) -> AsyncIterator[None]:
    """Send notices while the block lasts."""
    try:
        async with in_background(notifier.watch()):
            yield
    finally:
        await notifier.close()


def message(notice: Notice, public_url: str | None) -> bytes:
    """The body, the same in every attempt."""
    facts = msgspec.structs.asdict(_facts.decode(notice.facts))
    del facts["escalate"]
    data = Data(
        **facts,
        id=notice.preview_id,
        decide_by=timestamp(notice.decide_by_ms),
        url=page(public_url, notice.preview_id),
    )
    kind = f"approval.{notice.event}"
    return msgspec.json.encode(Message(type=kind, timestamp=timestamp(notice.at_ms), data=data))


def _log_unknown(workspace: str, names: Collection[str]) -> None:
    """A policy may name channels that do not exist: they are per workspace, and may come later."""
    for name in names:
        fields = {"workspace": workspace, "channel": name}
        log.warning("approvals.channel_unknown", extra={"fields": fields})


def _superseded(notice: Notice) -> bool:
    """Nothing is left to decide, so there is no use in asking for a decision."""
    asking: tuple[Event, ...] = ("requested", "reminder")
    return notice.event in asking and notice.state != "pending"
