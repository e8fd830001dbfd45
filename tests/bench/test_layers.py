"""A sample belongs to the innermost frame that is known."""

import pytest

from tests.bench.layers import layer_of, shares

MAIN = "thread (1): MainThread;run (asyncio/runners.py:118)"
ENDPOINT = f"{MAIN};preview (gateway/api/actions.py:52)"


@pytest.mark.parametrize(
    ("stack", "layer"),
    [
        (MAIN, "loop"),
        (f"{MAIN};app (starlette/routing.py:62)", "starlette"),
        (ENDPOINT, "endpoints"),
        (f"{ENDPOINT};preview (gateway/execution/engine.py:64)", "execution"),
        (f"{ENDPOINT};call (stores/redis/scripts.py:9);pack (redis/connection.py:1)", "redis"),
        (f"{MAIN};send (gateway/egress/client.py:9);_request (aiohttp/client.py:500)", "egress"),
        (
            f"{MAIN};turn (gateway/audit/shipper.py:9);execute (sqlalchemy/engine/base.py:1)",
            "shipper",
        ),
        ("thread (2): otlp;post (requests/sessions.py:1)", "otlp"),
        (f"{ENDPOINT};encode (json/encoder.py:1)", "endpoints"),
        ("thread (3): x;main (somewhere.py:1)", "other"),
    ],
)
def test_the_innermost_known_module_decides(stack: str, layer: str) -> None:
    assert layer_of(stack) == layer


def test_shares_are_of_all_samples() -> None:
    assert shares([f"{MAIN} 30", f"{ENDPOINT} 60", "main (somewhere.py:1) 10"]) == {
        "endpoints": 0.6,
        "loop": 0.3,
        "other": 0.1,
    }
    assert shares([]) == {}
