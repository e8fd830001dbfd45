"""A jump of the server's clock is noticed for as long as leases may be misjudged."""

from datetime import timedelta

import pytest

from stores.redis.server.clock import ServerClock


class Clocks:
    """The clock of this machine, and that of the server."""

    def __init__(self, lease: int = 20) -> None:
        self.here, self.server = 1000.0, 1_700_000_000.0
        self.clock = ServerClock(timedelta(seconds=lease), lambda: self.here)

    def passes(self, seconds: float, *, server: float | None = None) -> float:
        """What is noticed after this time; `server`: how far its clock went meanwhile."""
        self.here += seconds
        self.server += seconds if server is None else server
        return self.clock.jump(int(self.server), asked=self.here)


@pytest.mark.parametrize(
    ("server", "jump"), [(-590, -600), (3, -7), (6, 0), (10, 0), (14, 0), (17, 7), (610, 600)]
)
def test_a_jump_beyond_the_bound_is_noticed(server: float, jump: float) -> None:
    """Five seconds against ten that passed here, whichever way."""
    clocks = Clocks()
    assert clocks.passes(0) == 0
    assert clocks.passes(10, server=server) == jump


def test_a_slow_drift_is_no_jump() -> None:
    """Clocks that are slewed move by half a millisecond a second."""
    clocks = Clocks()
    assert {clocks.passes(10, server=10.005) for _ in range(10_000)} == {0}


@pytest.mark.parametrize("lease", [6, 20, 305])
@pytest.mark.parametrize(("jump", "longer"), [(600, 0), (-600, 600)])
def test_it_is_noticed_while_leases_may_be_misjudged(lease: int, jump: float, longer: int) -> None:
    """A lease that began before a jump back lasts longer by the jump."""
    clocks, lasts = Clocks(lease), lease + longer
    clocks.passes(0)
    assert clocks.passes(10, server=10 + jump) == jump
    assert clocks.passes(lasts - 1) == jump
    assert clocks.passes(2) == 0


def test_a_jump_that_is_undone_ends_with_the_leases_of_now() -> None:
    """Runs that began in between had leases that end early."""
    clocks = Clocks()
    clocks.passes(0)
    assert clocks.passes(10, server=-590) == -600
    assert clocks.passes(10, server=610) == 600
    assert clocks.passes(21) == 0


def test_a_slow_reply_is_ignored() -> None:
    """A gateway that was stopped between question and reply takes its own stop for no jump."""
    clocks = Clocks()
    clocks.passes(0)
    asked = clocks.here
    clocks.here += 60
    assert clocks.clock.jump(clocks.server, asked=asked) == 0
    assert clocks.passes(0, server=60) == 0
