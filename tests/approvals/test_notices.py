"""Notices reach each channel at least once, and say no more than they may."""

import asyncio
import base64
from datetime import timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from gateway.approvals.notices import AT_ONCE_PER_CHANNEL, Tempo
from gateway.egress.guard import Guard
from gateway.telemetry import metrics
from stores.redis.approvals import Approvals
from stores.redis.client import Store
from stores.redis.notices import Notices
from stores.redis.outbox import Outbox
from tests.support.approvals import decide, hold, withdraw
from tests.support.notices import channel, message, notifier, turn, types
from tests.support.target import Target, hang, listening, reset, status

SECRET = b"0123456789abcdef0123456789abcdef"
AT_ONCE = Tempo(deadline=2.0, pauses=(timedelta(),) * 4)
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
def approvals(store: Store) -> Approvals:
    return Approvals(store.scripts)


def counted(event: str, outcome: str) -> float:
    return float(metrics.approval_notices.labels(event, outcome)._value.get())


async def due(store: Store) -> int:
    return (await Outbox(store.scripts).collect("w", limit=1)).notices


async def test_a_receiver_verifies_a_notice(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """With the public library; the message has the facts and the page."""
    decide_by = await hold(approvals)
    public_url = "https://relay.example"
    opened = notifier(store, channel(target.url), secrets=[SECRET], public_url=public_url)
    async with opened as ours:
        await turn(ours)
    [delivery] = target.deliveries
    headers = {name.lower(): value for name, value in delivery.headers}
    webhook = Webhook(f"whsec_{base64.b64encode(SECRET).decode()}")
    verified = webhook.verify(delivery.body, headers)
    assert headers["webhook-id"] == "approval_p-1_requested"
    assert verified["type"] == "approval.requested"
    assert verified["data"] == {
        "id": "p-1",
        "action": "webhook.save",
        "summary": "POST bank.example/",
        "method": "POST",
        "host": "bank.example",
        "digest": "sha256:d",
        "requester": "agent",
        "needed": 1,
        "decide_by": verified["data"]["decide_by"],
        "warnings": [],
        "url": "https://relay.example/studio/approvals/p-1",
    }
    assert decide_by
    assert await due(store) == 0
    [kept] = await Notices(store.scripts).answers("w", ["c-duty"])
    assert kept
    assert b'"outcome":"sent","status_code":200' in kept


async def test_every_attempt_has_one_id_and_one_body(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """Whatever the receiver does with the attempts before: an error, a reset, a redirect."""
    await hold(approvals)
    async with notifier(store, channel(target.url), secrets=[SECRET], tempo=AT_ONCE) as ours:
        for answer in (status(500), reset, status(302, b"", "Location: /"), status(204, b"")):
            target.answer = answer
            await turn(ours)
        await turn(ours)
    assert len(target.deliveries) == 4
    assert len({it.header("webhook-id") for it in target.deliveries}) == 1
    assert len({it.body for it in target.deliveries}) == 1


async def test_a_notice_is_given_up_after_five_attempts(
    store: Store, approvals: Approvals, target: Target
) -> None:
    before = counted("requested", "given_up")
    await hold(approvals)
    target.answer = status(500)
    async with notifier(store, channel(target.url), tempo=AT_ONCE) as ours:
        for _ in range(7):
            await turn(ours)
    assert len(target.deliveries) == 5
    assert counted("requested", "given_up") == before + 1
    assert await due(store) == 0


async def test_a_failure_pauses(store: Store, approvals: Approvals, target: Target) -> None:
    """The next attempt is seconds away."""
    await hold(approvals)
    target.answer = status(500)
    async with notifier(store, channel(target.url)) as ours:
        for _ in range(3):
            await turn(ours)
    assert len(target.deliveries) == 1


async def test_another_gateway_sends_what_a_dead_one_took(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """Between the taking and the sending, for the event and for one channel."""
    await hold(approvals)
    await decide(approvals, "ann")
    notices = Notices(store.scripts)
    await notices.take("w", taker="dead", lease=timedelta(), limit=9)
    async with notifier(store, channel(target.url)) as ours:
        taken = await notices.take("w", taker="dying", lease=timedelta(), limit=9)
        [approved] = [notice for notice in taken if notice.event == "approved"]
        await notices.spread("w", approved, ["c-duty"])
        await notices.take("w", taker="dead", lease=timedelta(), limit=9)
        await turn(ours)
    assert types(target.deliveries) == ["approval.approved"]


async def test_two_gateways_send_each_notice_once(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """While both live; the lease is longer than a send."""
    for number in range(8):
        await hold(approvals, preview_id=f"p-{number}")
    ours, theirs = notifier(store, channel(target.url)), notifier(store, channel(target.url))
    async with ours as one, theirs as other:
        while await due(store):
            await asyncio.gather(turn(one), turn(other))
    assert sorted(it.header("webhook-id") for it in target.deliveries) == [
        f"approval_p-{number}_requested" for number in range(8)
    ]


async def test_a_channel_that_hangs_delays_no_other(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """It holds few sends at once, each with a deadline; the other channel gets all at once."""
    async with listening() as broken:
        broken.answer = hang
        for number in range(AT_ONCE_PER_CHANNEL + 5):
            await hold(approvals, preview_id=f"p-{number}")
        channels = channel(broken.url, "broken"), channel(target.url, "duty")
        async with notifier(store, *channels, tempo=Tempo(deadline=30.0)) as ours:
            await ours.turn()
            async with asyncio.timeout(10):
                while len(target.deliveries) < AT_ONCE_PER_CHANNEL:
                    await target.arrived.wait()
                    target.arrived.clear()
            assert broken.connections <= AT_ONCE_PER_CHANNEL


async def test_the_guard_refuses_a_channel_that_is_forbidden_now(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """Its name may resolve to another address than when it was created."""
    before = counted("requested", "refused")
    await hold(approvals)
    async with notifier(store, channel(target.url), guard=Guard()) as ours:
        await turn(ours)
    local = channel(target.url.replace("127.0.0.1", "localhost.localdomain"))
    await hold(approvals, preview_id="p-2")
    async with notifier(store, local, guard=Guard(ports=[80])) as ours:
        await turn(ours)
    assert not target.connections
    assert counted("requested", "refused") == before + 2


async def test_a_reminder_comes_once(store: Store, approvals: Approvals, target: Target) -> None:
    await hold(approvals, remind=MILLISECOND)
    async with notifier(store, channel(target.url)) as ours:
        while len(target.deliveries) < 2:
            await turn(ours)
        for _ in range(3):
            await turn(ours)
    assert sorted(types(target.deliveries)) == ["approval.reminder", "approval.requested"]


@pytest.mark.parametrize("ending", ["approve", "deny", "withdraw"])
async def test_nothing_asks_for_a_decision_after_the_end(
    store: Store, approvals: Approvals, target: Target, ending: str
) -> None:
    """No request that waited for its channel, and no reminder."""
    await hold(approvals, remind=MILLISECOND)
    if ending == "withdraw":
        await withdraw(approvals)
    else:
        await decide(approvals, "ann", ending)  # type: ignore[arg-type]
    async with notifier(store, channel(target.url)) as ours:
        while await due(store):
            await turn(ours)
    endings = {"approve": ["approval.approved"], "deny": ["approval.denied"], "withdraw": []}
    assert types(target.deliveries) == endings[ending]


async def test_without_a_channel_nothing_is_kept(store: Store, approvals: Approvals) -> None:
    await hold(approvals)
    async with notifier(store) as ours:
        await turn(ours)
    assert await due(store) == 0


async def test_channels_that_were_never_read_are_no_missing_ones(
    store: Store, approvals: Approvals
) -> None:
    """The notice waits until the gateway knows its channels."""
    await hold(approvals)
    async with notifier(store, channels_of=lambda workspace: None) as ours:
        await turn(ours)
    assert await due(store) == 1


async def test_a_channel_that_is_unknown_here_may_be_known_elsewhere(
    store: Store, approvals: Approvals, target: Target
) -> None:
    """A gateway reads changes within two seconds; until then its attempt fails."""
    await hold(approvals)
    notices = Notices(store.scripts)
    [event] = await notices.take("w", taker="t", lease=timedelta(), limit=1)
    await notices.spread("w", event, ["c-new"])
    async with notifier(store, tempo=AT_ONCE) as lagging:
        await turn(lagging)
    async with notifier(store, channel(target.url, "new")) as ours:
        await turn(ours)
    assert message(target.deliveries[0])["data"]["id"] == "p-1"
