"""The order of measurements."""

from tests.bench.plan import Cell, requests_of, rounds

CELLS = [(Cell("preview", 1), ["relay", "floor"]), (Cell("execute", 1), ["relay", "floor"])]


def test_subjects_are_interleaved() -> None:
    order = [(step.cell.row, step.subject) for step in rounds(CELLS, 1)]
    assert order == [
        ("preview", "relay"),
        ("preview", "floor"),
        ("execute", "relay"),
        ("execute", "floor"),
    ]


def test_every_other_round_is_reversed() -> None:
    """What always comes second would meet the noise that the first has left."""
    steps = list(rounds(CELLS, 3))
    first, second, third = steps[:4], steps[4:8], steps[8:]
    assert second == first[::-1]
    assert third == first


def test_few_connections_send_fewer_requests() -> None:
    assert [requests_of(connections, 2000) for connections in (1, 8, 32, 128)] == [
        *(500, 1500, 2000, 2000),
    ]
    assert requests_of(128, 10) == 128
