"""Targets that cannot be connected to are suspended, for one workspace, and probed again."""

import ssl

import pytest

from gateway.egress.breaker import CIRCUITS, FAILURES, PAUSE, Breaker
from gateway.egress.client import Egress
from gateway.egress.connections import CONNECTIONS_MAX, Connections
from gateway.egress.guard import Guard
from gateway.outcomes import Answered, NoResponse, NotSent, Outcome, TargetRefused
from tests.egress.test_client import effect, send
from tests.support.clocks import Clock
from tests.support.gateways import LOOPBACK, unsigned
from tests.support.target import Target

TARGET = "bank.example:443"
AWAY = NotSent("The target refused the connection.")
ANSWERED = Answered(status_code=500, response="", truncated=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


def fail(breaker: Breaker, times: int, target: str = TARGET, workspace: str = "w") -> None:
    for _ in range(times):
        breaker.record(workspace, target, AWAY)


def test_consecutive_failures_to_connect_suspend_a_target(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    assert (breaker.suspended("w"), breaker.admit("w", TARGET)) == ([], True)
    fail(breaker, 1)
    assert (breaker.suspended("w"), breaker.admit("w", TARGET)) == ([TARGET], False)
    assert 0 < breaker.pause("w", TARGET) <= PAUSE


@pytest.mark.parametrize("outcome", [ANSWERED, NoResponse("It closed the connection.")])
def test_a_connection_starts_the_count_again(breaker: Breaker, outcome: Outcome) -> None:
    """Whatever the target then answers."""
    fail(breaker, FAILURES - 1)
    breaker.record("w", TARGET, outcome)
    fail(breaker, FAILURES - 1)
    assert breaker.suspended("w") == []


def test_a_refusal_of_the_guard_says_nothing_about_the_target(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.record("w", TARGET, TargetRefused("It is not public."))
    assert breaker.suspended("w") == []
    fail(breaker, 1)
    assert breaker.suspended("w") == [TARGET]


def test_an_attempt_without_time_says_nothing_about_the_target(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.record("w", TARGET, NotSent("Relay had no time left.", tried=False))
    assert breaker.suspended("w") == []
    fail(breaker, 1)
    assert breaker.suspended("w") == [TARGET]


async def test_a_crowd_at_other_targets_suspends_none(target: Target) -> None:
    """Nor does a deadline that has passed: the target was never tried."""
    guard = Guard(networks=LOOPBACK)
    connections = Connections(guard, ssl.create_default_context())
    egress = Egress(connections, guard, unsigned)
    for _ in range(CONNECTIONS_MAX):
        await connections._places.acquire()
    for within in [0.01] * FAILURES + [-1.0] * FAILURES:
        outcome = await send(egress, effect(target.url), within=within)
        assert outcome == NotSent("Relay had no time left to try the target.", tried=False)
    for _ in range(CONNECTIONS_MAX):
        connections._places.release()
    for _ in range(FAILURES):
        await send(egress, effect(target.url), within=-1.0)
    assert egress.breaker.suspended("w") == []
    await connections.close()


def test_no_workspace_suspends_a_target_for_another(breaker: Breaker) -> None:
    """And no port one for another port."""
    fail(breaker, FAILURES)
    assert breaker.suspended("v") == []
    assert breaker.admit("v", TARGET)
    assert breaker.admit("w", "bank.example:8443")


def test_one_probe_is_admitted_after_each_pause(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += PAUSE
    assert breaker.suspended("w") == []
    assert [breaker.admit("w", TARGET) for _ in range(3)] == [True, False, False]
    breaker.record("w", TARGET, AWAY)
    assert breaker.suspended("w") == [TARGET]
    clock.now += PAUSE
    assert breaker.admit("w", TARGET)
    breaker.record("w", TARGET, ANSWERED)
    assert all(breaker.admit("w", TARGET) for _ in range(3))


def test_a_probe_that_never_ends_does_not_suspend_for_ever(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    for _ in range(3):
        clock.now += PAUSE
        assert breaker.admit("w", TARGET)
        assert not breaker.admit("w", TARGET)


def test_the_memory_is_bounded(breaker: Breaker) -> None:
    """The oldest circuits go first, open ones too."""
    fail(breaker, FAILURES)
    for number in range(CIRCUITS):
        fail(breaker, 1, target=f"t{number}:443")
    assert len(breaker._circuits) == CIRCUITS
    assert breaker.suspended("w") == []
