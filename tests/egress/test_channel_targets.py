"""A channel's name is resolved when it is created and at each notice; either may refuse it."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from gateway.egress.client import Egress, open_egress
from gateway.egress.guard import Guard
from gateway.outcomes import NotSent, TargetRefused
from gateway.problems import TargetForbidden
from tests.egress.test_client import effect
from tests.support.dialled import Answer, Resolver, spied
from tests.support.gateways import unsigned

URL = "https://hooks.example.com/T-1"
PUBLIC, INSIDE = ["93.184.215.14"], ["10.0.0.1"]


async def send(egress: Egress) -> object:
    return await egress.send_notice(
        effect(URL), workspace="w", message_id="m", deadline=time.monotonic() + 5
    )


@pytest.mark.parametrize(
    ("answers", "creatable", "sent"),
    [
        ([PUBLIC, PUBLIC], True, NotSent),
        ([PUBLIC, INSIDE], True, TargetRefused),
        ([INSIDE, INSIDE], False, TargetRefused),
        ([PUBLIC + INSIDE, PUBLIC + INSIDE], False, TargetRefused),
        ([OSError("no such name"), PUBLIC], True, NotSent),
    ],
)
async def test_a_name_is_judged_by_what_it_resolves_to_now(
    monkeypatch: pytest.MonkeyPatch, answers: Sequence[Answer], creatable: bool, sent: type
) -> None:
    """The spy refuses each connection: an allowed one is not sent, a refused one not tried."""
    resolver = Resolver({"hooks.example.com": answers})
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver.getaddrinfo)
    async with open_egress(Guard(https_only=True), unsigned) as egress:
        with spied() as connects:
            if creatable:
                await egress.check_target(URL)
            else:
                with pytest.raises(TargetForbidden):
                    await egress.check_target(URL)
            assert connects == []
            assert isinstance(await send(egress), sent)
            assert bool(connects) == (sent is NotSent)


async def test_a_channel_that_fails_suspends_no_target_of_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of runs to the same host; negative control: sends of runs suspend it."""
    async with open_egress(Guard(https_only=True), unsigned) as egress:
        resolver = Resolver({"hooks.example.com": [PUBLIC]})
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver.getaddrinfo)
        with spied():
            for _ in range(6):
                await send(egress)
            assert egress.breaker.suspended("w") == []
            for number in range(6):
                await egress.send(
                    effect(URL), workspace="w", run_id=f"r-{number}", deadline=time.monotonic() + 5
                )
        assert egress.breaker.suspended("w") == ["hooks.example.com:443"]
