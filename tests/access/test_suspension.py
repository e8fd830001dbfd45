"""A gateway that was suspended admits no request until it has read its keys again."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.access.key_cache import KeyCache, Paces
from gateway.access.sealing import Sealer
from gateway.access.suspension import AWAKE, CLOCK, Suspension
from gateway.api.readiness import keys_check
from gateway.problems import StoreUnavailable, Unauthenticated
from tests.access.test_admission import bringing
from tests.support.admissions import admission
from tests.support.clocks import Clock
from tests.support.keyed import BY, PEPPER, Keyed, keyed_gateway
from tests.support.valkey import Valkey


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def suspension(clock: Clock) -> Suspension:
    return Suspension(clock)


def test_a_refresh_in_time_means_no_suspension(clock: Clock, suspension: Suspension) -> None:
    """Before the first refresh there is no suspension."""
    clock.now += 10 * AWAKE
    assert not suspension.was_suspended
    for _ in range(3):
        with suspension.refreshing():
            pass
        clock.now += AWAKE
        assert not suspension.was_suspended


def test_no_refresh_in_time_means_a_suspension(clock: Clock, suspension: Suspension) -> None:
    """Until a look has ended, not begun."""
    with suspension.refreshing():
        pass
    clock.now += AWAKE + 0.001
    assert suspension.was_suspended
    with suspension.refreshing():
        assert suspension.was_suspended
    assert not suspension.was_suspended


def test_a_look_that_lasts_is_no_sleep(clock: Clock, suspension: Suspension) -> None:
    """A database that hangs is waited for twice as long; executions go on meanwhile."""
    with suspension.refreshing():
        pass
    clock.now += 1
    with suspension.refreshing():
        clock.now += 3 * AWAKE
        assert not suspension.was_suspended
    assert not suspension.was_suspended


def test_a_failed_refresh_does_not_end_a_suspension(clock: Clock, suspension: Suspension) -> None:
    """What was revoked meanwhile is not known yet. Who was awake stays so: executions go on."""
    with suspension.refreshing():
        pass
    for _ in range(3):
        clock.now += AWAKE
        look_in_vain(suspension)
        assert not suspension.was_suspended
    clock.now += AWAKE + 0.001
    look_in_vain(suspension)
    assert suspension.was_suspended


def look_in_vain(suspension: Suspension) -> None:
    with pytest.raises(OSError, match="away"), suspension.refreshing():
        raise OSError("away")


def test_the_clock_goes_on_with_the_machine() -> None:
    """On Linux there is one that counts the time for which it was suspended."""
    assert getattr(time, "CLOCK_BOOTTIME", CLOCK) == CLOCK
    before = time.clock_gettime(CLOCK)
    assert before <= Suspension()._clock() <= time.clock_gettime(CLOCK)


def test_looks_are_closer_than_that() -> None:
    """With room for one that is slow."""
    assert 2 * Paces().refresh < timedelta(seconds=AWAKE)


async def test_a_key_that_was_revoked_meanwhile_does_not_get_in(
    valkey: Valkey, tmp_path: Path, clock: Clock, suspension: Suspension
) -> None:
    """503, and to come again; then 401. A key that is genuine gets in when it comes again."""
    async with keyed_gateway(valkey.url, tmp_path) as keyed:
        secret = await keyed.key("operator")
        state = keyed.state
        key_cache = KeyCache(state["database"].existing, Sealer(()), suspension=suspension)
        await key_cache.refresh()
        door = admission(key_cache, lambda: [PEPPER])
        assert door.admit(bringing(secret), "runs:read")
        await revoke(keyed, secret)
        clock.now += AWAKE + 1
        for given in (secret, keyed.admin):
            with pytest.raises(StoreUnavailable) as refused:
                door.admit(bringing(given), "runs:read")
            assert refused.value.headers["Retry-After"] == "1"
        assert keys_check(door, key_cache, lambda: [PEPPER]).verdict == "failed"
        await key_cache.refresh()
        with pytest.raises(Unauthenticated):
            door.admit(bringing(secret), "runs:read")
        assert door.admit(bringing(keyed.admin), "runs:read")
        await key_cache.close()


async def revoke(keyed: Keyed, secret: str) -> None:
    await (await keyed.services()).keys.revoke_key("default", secret[9:17], actor=BY)
