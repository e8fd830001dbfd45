"""What a request leaves behind is free at once: no cycle of references waits for the collector."""

import gc

import pytest

from gateway.http.requests import BODY_MAX
from gateway.problem import Problem
from tests.support.gateways import Relay, until

JSON = {"Content-Type": "application/json"}
REFUSED = {
    "too large": ("POST", "/actions/execute", b" " * (BODY_MAX + 1), JSON),
    "malformed": ("POST", "/actions/execute", b"{", JSON),
    "twice": ("POST", "/actions/execute", b'{"preview_id": "a", "preview_id": "b"}', JSON),
    "no JSON": ("POST", "/actions/execute", b"{}", {}),
    "a key": ("POST", "/actions/execute", b"{}", {**JSON, "Idempotency-Key": '"'}),
    "not found": ("POST", "/actions/execute", b'{"preview_id": "a"}', JSON),
    "params": ("POST", "/actions/preview", b'{"action": "webhook.save", "params": {}}', JSON),
    "no path": ("GET", "/nothing", b"", {}),
    "no method": ("DELETE", "/version", b"", {}),
    "a query": ("GET", "/runs?x=1", b"", {}),
}


@pytest.mark.parametrize("asked", REFUSED.values(), ids=REFUSED)
async def test_a_refusal_is_free_at_once(
    relay: Relay, asked: tuple[str, str, bytes, dict[str, str]]
) -> None:
    """With it go its frames, and the body that they read."""
    method, path, body, headers = asked
    gc.freeze()  # what other tests left
    gc.disable()
    try:
        for _ in range(5):
            response = await relay.request(method, path, content=body, headers=headers)
            assert 400 <= response.status_code < 500

        async def free() -> bool:
            return not [one for one in gc.get_objects() if isinstance(one, Problem)]

        await until(free, patience=2)
    finally:
        gc.enable()
        gc.unfreeze()
