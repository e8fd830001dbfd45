"""A target that cannot be connected to is left alone for a while; replays come first."""

from gateway.egress.breaker import FAILURES
from tests.flows.test_outcomes import refusing_port
from tests.support.gateways import Relay
from tests.support.target import Target, listening


async def test_a_suspended_target_costs_no_attempt(relay: Relay, target: Target) -> None:
    """503 with Retry-After, before anything is reserved: the preview can be executed later. Other
    targets and replays are served.
    """
    answered = await relay.execute(await relay.preview_id(target.url), "order-0")
    with refusing_port() as port:
        preview_id = await relay.preview_id(f"http://127.0.0.1:{port}/hook")
        for number in range(FAILURES):
            refused = await relay.execute(preview_id, f"order-{number + 1}")
            assert (refused.status_code, refused.json()["code"]) == (502, "target_unreachable")
        suspended = await relay.execute(preview_id, "order-9")
    body = suspended.json()
    assert (suspended.status_code, body["code"]) == (503, "target_suspended")
    assert (suspended.headers["Retry-After"], body["safe_to_retry"]) == ("10", True)
    assert (await relay.get(f"/previews/{preview_id}")).status_code == 200
    replay = await relay.execute(answered.json()["preview_id"], "order-0")
    assert replay.headers["Idempotent-Replayed"] == "true"
    other = await relay.execute(await relay.preview_id(target.url), "order-10")
    assert other.json()["status"] == "success"


async def test_a_replay_of_a_suspended_target_comes_first(relay: Relay) -> None:
    """A key that has a run gets it, although its target is suspended."""
    async with listening() as target:
        preview_id = await relay.preview_id(target.url)
        first = (await relay.execute(preview_id, "order-1")).json()
        later = await relay.preview_id(target.url)
    for number in range(FAILURES + 1):  # the first meets the connection that was kept
        await relay.execute(later, f"order-2-{number}")
        later = await relay.preview_id(target.url)
    assert (await relay.execute(later, "order-3")).json()["code"] == "target_suspended"
    again = await relay.execute(preview_id, "order-1")
    assert (again.status_code, again.json()["run_id"]) == (200, first["run_id"])
