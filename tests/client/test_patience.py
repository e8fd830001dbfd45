"""How long a call pauses and when it gives up, on a clock of its own."""

import pytest
from opentelemetry.sdk.trace import TracerProvider

from relay_client.calls import Calls, Lost, Pause, Request
from relay_client.problem_body import ProblemBody
from relay_client.problems import NoAnswer, NoReplica
from relay_client.retries import Patience, Tries


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


LOST = NoAnswer("It was lost.")


def later(seconds: float | None) -> NoReplica:
    return NoReplica(ProblemBody(code="no_replica"), retry_after=seconds)


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_pauses_double_up_to_eight_seconds(chance: float, share: float) -> None:
    """Chance takes up to half of each, so that clients do not come back together."""
    tries = Tries(Patience(tries=9, clock=Clock(), chance=lambda: chance))
    pauses = [tries.pause(LOST) for _ in range(8)]
    assert pauses == [share * whole for whole in (0.25, 0.5, 1, 2, 4, 8, 8, 8)]


def test_the_pause_is_what_the_gateway_asks_for() -> None:
    tries = Tries(Patience(clock=Clock()))
    assert [tries.pause(later(seconds)) for seconds in (3, 0)] == [3, 0]


@pytest.mark.parametrize(("asked", "goes_on"), [(59, True), (60, False), (61, False)])
def test_no_pause_goes_beyond_the_deadline(asked: float, goes_on: bool) -> None:
    """The refusal is raised at once."""
    tries = Tries(Patience(deadline=60, clock=Clock()))
    if goes_on:
        assert tries.pause(later(asked)) == asked
    else:
        with pytest.raises(NoReplica):
            tries.pause(later(asked))


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_a_call_is_tried_so_often(tries: int) -> None:
    """The first one counts."""
    left = Tries(Patience(tries=tries, clock=Clock()))
    for _ in range(tries - 1):
        left.pause(LOST)
    with pytest.raises(NoAnswer):
        left.pause(LOST)


def test_a_try_may_take_what_is_left_of_the_deadline() -> None:
    clock = Clock()
    tries = Tries(Patience(timeout=60, deadline=100, clock=clock))
    assert tries.timeout == 60
    clock.now += 70
    assert tries.timeout == 30
    clock.now += 40
    assert tries.timeout == 0.1


def test_a_call_does_no_io() -> None:
    """It is driven by hand: what it yields is a request, a pause, and the same request again."""
    call = Calls("http://host/", None, Patience(clock=Clock())).run("r-1")
    first = next(call)
    assert isinstance(first, Request)
    assert (first.method, first.url, first.body) == ("GET", "http://host/runs/r-1", None)
    pause = call.send(Lost(ConnectionError("reset")))
    assert isinstance(pause, Pause)
    assert call.send(None) == first


def test_a_call_belongs_to_the_trace_of_its_caller() -> None:
    """As W3C's traceparent, where the process uses OpenTelemetry."""
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("order") as span:
        request = next(Calls("http://host", None, Patience()).run("r-1"))
    assert isinstance(request, Request)
    assert f"-{span.get_span_context().trace_id:032x}-" in request.headers["traceparent"]
