"""A request to a slow Redis shares one patience among its calls: 503 in under 2 s."""

from tests.support.clocks import timed
from tests.support.gateways import gateway
from tests.support.proxy import proxy
from tests.support.valkey import Valkey

UNKNOWN = "/previews/00000000-0000-4000-8000-000000000000"


async def test_a_request_of_two_calls_does_not_wait_twice(valkey: Valkey) -> None:
    """The preview is answered after 0.7 s, its approval never."""
    async with proxy(valkey.socket) as way, gateway(way.url) as relay:
        assert (await relay.get(UNKNOWN)).status_code == 404

        def silent_from_now_on(reply: bytes) -> bytes:
            way.slow = 9.0
            return reply

        way.slow, way.alter = 0.7, silent_from_now_on
        answer, seconds = await timed(relay.get(UNKNOWN))
    assert answer.status_code == 503
    assert 0.7 < seconds < 2
