"""A real gateway under load, scraped by a real Prometheus, judged by the gate."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.cli.gate.judgement import LIGHT, Judgement, gate
from gateway.cli.gate.verdicts import Criterion, Verdict
from gateway.timestamps import duration
from tests.support.gate_cases import requests
from tests.support.gateways import Relay, client, gateway_process, until
from tests.support.prometheus import History, needs_prometheus, prometheus
from tests.support.target import Target
from tests.support.valkey import Valkey

pytestmark = needs_prometheus

EXECUTIONS, VERSIONS, REFUSED = 64, 300, 60
SINCE = duration("3m")


def idle_before(instance: str) -> History:
    """A quiet past of this replica, so that minutes can be judged; none of light or webhook."""
    past = History()
    counters = {**requests("200", 100, "/runs"), "process_cpu_seconds_total": 0.2}
    past.replica(
        "relay", counters, {"up": 1, "process_resident_memory_bytes": 10e6}, instance=instance
    )
    return past


async def work(relay: Relay, target: Target) -> None:
    async def one(key: int) -> None:
        response = await relay.execute(await relay.preview_id(target.url), f"key-{key}")
        assert response.json()["status"] == "success"

    for first in range(0, EXECUTIONS, 4):
        await asyncio.gather(*(one(key) for key in range(first, first + 4)))
    for _ in range(VERSIONS):
        await relay.get("/version")


async def slow_lights(relay: Relay) -> int:
    """What the gateway itself tells of its light endpoints."""
    families = text_string_to_metric_families((await relay.get("/metrics")).text)
    samples = [sample for family in families for sample in family.samples]
    light = [sample for sample in samples if sample.labels.get("endpoint") in LIGHT]
    name = "http_request_duration_seconds"
    every = sum(sample.value for sample in light if sample.name == f"{name}_count")
    fast = sum(s.value for s in light if s.name == f"{name}_bucket" and s.labels["le"] == "0.05")
    assert every == EXECUTIONS + VERSIONS
    return int(every - fast)


async def seen(url: str, there: Callable[[list[Criterion]], bool]) -> Judgement:
    """What the gate says once Prometheus has scraped what is waited for."""
    found: list[Judgement] = []

    async def scraped() -> bool:
        found.append(await gate(url, "relay", window=SINCE, baseline=None))
        return there(found[-1].criteria)

    await until(scraped, patience=20)
    return found[-1]


async def test_a_gateway_under_load_is_judged(
    own_valkey: Valkey, target: Target, tmp_path: Path
) -> None:
    """All pass; then the store is away and the errors fail; then the replica cannot be seen."""
    with gateway_process({"REDIS_URL": own_valkey.url}) as process:
        instance = process.url.removeprefix("http://")
        past = idle_before(instance)
        with prometheus(tmp_path, targets={"relay": [instance]}, history=past) as url:
            async with client(process.url) as relay:
                await work(relay, target)
                slow = await slow_lights(relay)
                well = await seen(
                    url, lambda rows: rows[3].samples == EXECUTIONS + VERSIONS and not rows[0].note
                )

                own_valkey.stop()
                executions = (relay.execute("any", str(key)) for key in range(REFUSED))
                answers = await asyncio.gather(*executions)
                assert {answer.status_code for answer in answers} == {503}
            failing = await seen(url, lambda rows: rows[1].note == f"{REFUSED} answers of 5xx")
            process.kill()
            blind = await seen(url, lambda rows: rows[0].note == f"not scraped: {instance}")

    light, webhook, memory = well.criteria[3:6]
    kept = slow * 100 <= EXECUTIONS + VERSIONS
    assert light.verdict == (Verdict.PASSED if kept else Verdict.FAILED)
    assert (light.samples, light.note) == (EXECUTIONS + VERSIONS, f"{slow} were slower")
    assert 0 < (webhook.measured or 0) < 1.2
    assert 20e6 < (memory.measured or 0) < 150e6
    others = [row.verdict for row in well.criteria if row is not light]
    assert others == [Verdict.PASSED] * 6, well.criteria
    assert well.exit_status == (0 if kept else 1)

    assert failing.criteria[1].verdict is Verdict.FAILED
    assert failing.exit_status == 1
    assert (blind.criteria[0].verdict, blind.exit_status) == (Verdict.NOT_JUDGED, 1)
