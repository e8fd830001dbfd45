"""Ask for a preview, look at it, execute it; ask again and get the same answer."""

from gateway.signatures import verify
from tests.support.gateways import SIGNING_KEY, Relay
from tests.support.target import Target


async def test_a_preview_is_sent_byte_for_byte_and_signed(relay: Relay, target: Target) -> None:
    """What the caller wrote, spaces and all, is what the target gets, with valid signatures."""
    body = '{"test":  "h\\u00e9llo", "n": 1.50}'
    asked = f'{{"action": "webhook.save", "params": {{"url": "{target.url}", "body": {body}}}}}'
    preview = await relay.post(
        "/actions/preview", content=asked, headers={"Content-Type": "application/json"}
    )
    assert preview.json()["effect"]["body"] == body
    assert not target.deliveries

    run = (await relay.execute(preview.json()["preview_id"], "order-1")).json()

    assert (run["status"], run["error"]) == ("success", None)
    assert run["result"] == {"status_code": 200, "response": "OK", "truncated": False}
    [delivery] = target.deliveries
    assert delivery.line == "POST /hook HTTP/1.1"
    assert delivery.body == body.encode()
    headers = {name.lower(): value for name, value in delivery.headers}
    assert headers["webhook-id"] == run["run_id"]
    assert verify(SIGNING_KEY, headers, delivery.body, now=int(headers["webhook-timestamp"]))


async def test_a_retry_gets_the_same_answer(relay: Relay, target: Target) -> None:
    """The same key again, with a preview that never was, is answered by the run it had."""
    first = await relay.execute(await relay.preview_id(target.url), "order-2")
    again = await relay.execute("expired-or-invalid", "order-2")

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Idempotency-Expires"] == first.headers["Idempotency-Expires"]
    ours, theirs = first.json(), again.json()
    assert ours.pop("request_id") != theirs.pop("request_id")
    assert ours == theirs
    assert len(target.deliveries) == 1
