"""A HEAD is answered without a body."""

import time

from gateway.egress.client import Egress
from gateway.outcomes import Answered
from tests.egress.test_client import effect, egress, raw, send
from tests.support.target import Target, hang

__all__ = ["egress"]  # the fixture


async def test_an_answer_to_head_has_no_body(egress: Egress, target: Target) -> None:
    """Whatever length it names. The same answer to a GET is awaited until the deadline."""
    target.answer = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then=hang)
    began = time.monotonic()
    outcome = await send(egress, effect(target.url, "HEAD", None))
    assert outcome == Answered(status_code=200, response="", truncated=False)
    assert time.monotonic() - began < 5
    got = await send(egress, effect(target.url, "GET", None), within=0.3)
    assert got == Answered(status_code=200, response="", truncated=True)
    names = {name.lower() for name, _ in target.deliveries[0].headers}
    assert "content-length" not in names
