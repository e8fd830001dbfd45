"""No secret of a connection is in what Relay answers, logs, traces, records or keeps in clear."""

from pathlib import Path

from tests.flows.test_connections import connected, preview_id, previewed
from tests.support.collector import Collector
from tests.support.gateways import Relay
from tests.support.keyed import keyed_gateway
from tests.support.observed import Lines
from tests.support.target import Answer, Target, reset, status
from tests.support.valkey import Valkey
from tests.telemetry.test_secrets import kept, leaks, listed, telemetry_of

SECRET = "connection-canary-0123456789"
PASSWORD = "password-canary-0123456789"
ANSWERS: list[Answer] = [status(200), status(401), status(500), reset]


async def used(relay: Relay, target: Target) -> bytes:
    """All answers to a use of three kinds of connections, and to their refusals."""
    kinds = {
        "bearer": {"secret": SECRET},
        "basic": {"kind": "basic", "user": "ann", "secret": PASSWORD},
        "header": {"kind": "header", "header": "X-Api-Key", "secret": SECRET},
    }
    answers = []
    for label, given in kinds.items():
        connection = await connected(relay, target, label, **given)
        answers.append(await relay.get(f"/connections/{connection}"))
        for answer in ANSWERS:
            target.answer = answer
            held = await preview_id(relay, target, label)
            answers.append(await relay.get(f"/previews/{held}"))
            answers += [await relay.execute(held), await relay.execute(held)]
        held = await preview_id(relay, target, label)
        answers.append(await relay.delete(f"/connections/{connection}"))
        answers += [await relay.execute(held), await previewed(relay, target, label)]
    for wrong in ({"secret": f"{SECRET}\n"}, {"hosts": ["10.0.0.1"]}, {"kind": SECRET}):
        asked = {"label": "x", "kind": "bearer", "secret": SECRET, "hosts": ["a.example"], **wrong}
        answers.append(await relay.post("/connections", json=asked))
    answers.append(await relay.get("/connections"))
    return b"".join(answer.content for answer in answers)


async def test_no_secret_of_a_connection_leaks(
    valkey: Valkey, collector: Collector, target: Target, lines: Lines, tmp_path: Path
) -> None:
    """It arrives at the target, and nowhere else."""
    canaries = {"secret": SECRET.encode(), "password": PASSWORD.encode()}
    with valkey.client() as client:
        async with keyed_gateway(
            valkey.url, tmp_path, otlp_traces_endpoint=collector.endpoint
        ) as keyed:
            slots = {"answers": await used(keyed.relay, target)}
            slots["lists"] = await listed(keyed.relay)
            slots |= await kept(keyed, client, tmp_path)
    slots |= telemetry_of(collector, lines)
    sent = repr([delivery.headers for delivery in target.deliveries]).encode()
    assert leaks(canaries, slots) == set()
    assert leaks(canaries, {"target": sent}) == {("secret", "target"), ("password", "target")}
