"""Which channels a reminder reaches, and how rules ask for one."""

from datetime import timedelta

import pytest

from gateway.approvals.policy import Policy
from gateway.approvals.policy_file import PreviewFacts
from stores.redis.approvals import Approvals
from stores.redis.client import Store
from tests.support.approvals import hold
from tests.support.notices import channel, notifier, turn, types
from tests.support.target import Target, listening

GIVEN = PreviewFacts("webhook.save", "POST", "https://bank.example/")
MINUTE_MS = 60_000
MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("needs", "remind_ms", "escalate"),
    [
        ((), 0, ()),
        (("approvals = 1",), 0, ()),
        (("remind = '10m'",), 10 * MINUTE_MS, ()),
        (("remind = '10m', escalate = ['a']", "approvals = 2"), 10 * MINUTE_MS, ("a",)),
        (("remind = '10m'", "remind = '5m'"), 5 * MINUTE_MS, ()),
        (
            ("remind = '5m', escalate = ['a', 'b']", "remind = '9m', escalate = ['b', 'c']"),
            5 * MINUTE_MS,
            ("a", "b", "c"),
        ),
    ],
)
def test_the_strictest_reminder_wins(
    needs: tuple[str, ...], remind_ms: int, escalate: tuple[str, ...]
) -> None:
    """The earliest time, and the channels of all rules."""
    rules = [f'[[rule]]\nname = "r{n}"\nneed = {{ {need} }}' for n, need in enumerate(needs)]
    asked = Policy("\n".join(rules)).requirement(GIVEN)
    assert (asked.remind_ms, asked.escalate) == (remind_ms, escalate)


def test_a_reminder_is_no_later_than_the_deadline_allows() -> None:
    """Of the rule itself; another rule may have a shorter one, and then none is sent."""
    Policy('[[rule]]\nname = "r"\nneed = { within = "5m", remind = "4m59s" }')


@pytest.mark.parametrize(("escalate", "reached"), [(["boss"], 1), (["other"], 0), ([], 0)])
async def test_an_escalation_channel_gets_the_reminders_that_name_it(
    store: Store,
    target: Target,
    escalate: list[str],
    reached: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And no other notice; the other channels get all. A name without a channel is logged."""
    await hold(Approvals(store.scripts), remind=MILLISECOND, escalate=escalate)
    async with listening() as boss:
        channels = channel(target.url), channel(boss.url, "boss", escalation_only=True)
        async with notifier(store, *channels) as ours:
            while len(target.deliveries) < 2:
                await turn(ours)
            await turn(ours)
        assert types(boss.deliveries) == ["approval.reminder"] * reached
    assert sorted(types(target.deliveries)) == ["approval.reminder", "approval.requested"]
    unknown = [it for it in caplog.records if it.message == "approvals.channel_unknown"]
    assert len(unknown) == escalate.count("other")
