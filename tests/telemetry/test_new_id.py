"""Ids of requests, previews and runs."""

from uuid import RFC_4122, UUID

from gateway.telemetry.ids import new_id


def test_an_id_is_a_random_uuid() -> None:
    """Version 4 of RFC 9562, in its canonical form, and never the same twice."""
    ids = [new_id() for _ in range(1000)]
    uuids = [UUID(text) for text in ids]
    assert [str(uuid) for uuid in uuids] == ids
    assert {(uuid.version, uuid.variant) for uuid in uuids} == {(4, RFC_4122)}
    assert len(set(ids)) == 1000
    # Every bit that is not fixed takes both values.
    fixed = UUID("00000000-0000-f000-c000-000000000000").int
    ones, zeros = 0, 0
    for uuid in uuids:
        ones, zeros = ones | uuid.int, zeros | ~uuid.int
    assert ones & zeros & ~fixed == (1 << 128) - 1 - fixed
