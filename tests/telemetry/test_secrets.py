"""A secret that passes through Relay is in no span, metric, line or problem."""

import json

from tests.collector import Collector
from tests.target import Target, reset, status
from tests.telemetry.conftest import Lines, Traced

CANARY = "hunter2-0123456789-canary"


async def test_no_canary_sings(
    traced: Traced, collector: Collector, target: Target, lines: Lines
) -> None:
    """URL, headers, body, signing secret, answer, key: whatever becomes of the run."""
    secret = {
        "url": f"{target.url}/{CANARY}?token={CANARY}",
        "headers": {"Authorization": f"Bearer {CANARY}", "X-Key": CANARY},
        "body": {"card": CANARY},
    }
    asked = {"action": "webhook.save", "params": secret}
    problems = b""
    async with traced() as relay:
        relay.headers["Authorization"] = f"Bearer {CANARY}"
        for answer in (status(200, CANARY.encode()), status(500, CANARY.encode()), reset):
            target.answer = answer
            made = await relay.post("/actions/preview", json=asked)
            assert made.status_code == 200, made.text
            preview_id = made.json()["preview_id"]
            key = {"Idempotency-Key": f"{CANARY}-{preview_id}"}
            for _ in range(2):
                ran = await relay.post(
                    "/actions/execute", json={"preview_id": preview_id}, headers=key
                )
                assert ran.status_code == 200
        unreachable = {**secret, "url": f"http://127.0.0.1:1/{CANARY}?t={CANARY}"}
        forbidden = {**secret, "url": f"http://10.0.0.1/{CANARY}"}
        wrong = {**secret, "method": CANARY}
        for params in (unreachable, forbidden, wrong):
            made = await relay.post("/actions/preview", json={**asked, "params": params})
            if made.status_code == 200:
                made = await relay.post(
                    "/actions/execute", json={"preview_id": made.json()["preview_id"]}
                )
            assert made.status_code >= 400
            problems += made.content
        problems += (await relay.get(f"/runs/{CANARY}")).content
        problems += (await relay.get(f"/nowhere?{CANARY}")).content
        exposed = (await relay.get("/metrics")).content

    assert len(target.deliveries) == 3
    assert CANARY in json.dumps(str(target.deliveries))
    for where in (lines.text.encode(), exposed, problems, collector.raw):
        assert where
    found = [
        name
        for name, where in {
            "lines": lines.text.encode(),
            "metrics": exposed,
            "problems": problems,
            "spans": b"".join(
                repr(span).encode()
                for span in collector.spans
                if span.attributes.get("url.path") != f"/runs/{CANARY}"
            ),
        }.items()
        if CANARY.encode() in where or b"canary" in where
    ]
    assert found == []
