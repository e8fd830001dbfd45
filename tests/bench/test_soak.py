"""When a series is flat."""

from tests.bench.soak import COUNT_GROWTH, MEMORY_GROWTH, Reading, facts, growth


def test_a_peak_is_no_growth() -> None:
    """Medians of thirds: one collection that comes late changes nothing."""
    grown = growth([80.0, 81.0, 80.0, 95.0, 80.0, 81.0, 80.0, 81.0, 81.0])
    assert grown == (80.0, 81.0)
    assert grown.flat(parts=MEMORY_GROWTH)


def test_a_leak_is_growth() -> None:
    """A megabyte a minute over nine minutes."""
    grown = growth([80.0 + minute for minute in range(9)])
    assert not grown.flat(parts=MEMORY_GROWTH)


def test_descriptors_may_differ_by_a_few() -> None:
    assert growth([40.0] * 3 + [41.0] * 3 + [40.0 + COUNT_GROWTH] * 3).flat(number=COUNT_GROWTH)
    assert not growth([40.0] * 3 + [43.0] * 3 + [44.0] * 3).flat(number=COUNT_GROWTH)


def test_each_resource_has_its_verdict() -> None:
    readings = [Reading(60.0 + n, 80.0 + 2 * n, 40.0, 9.0) for n in range(9)]
    told = {fact.name: fact.value for fact in facts(400.0, readings)}
    assert told["soak: memory flat"] == 0.0
    assert told["soak: descriptors flat"] == told["soak: threads flat"] == 1.0
