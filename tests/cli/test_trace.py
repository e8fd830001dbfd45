"""`relay trace` prints the link of a run's trace and, from Tempo, its spans."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import relay
from tests.support.collector import Collector, collecting
from tests.support.gateways import Relay, gateway
from tests.support.target import Target
from tests.support.tempo import StandIn, exported, made, storing
from tests.support.valkey import Valkey

GRAFANA = "https://grafana.example"
UNSET = {"TEMPO_URL": "", "GRAFANA_URL": "", "TRACE_LINK_TEMPLATE": ""}
TRACE_ID = f"{1:032x}"


async def run(*arguments: str, **env: str) -> Result:
    """In a thread, for the gateway and Tempo answer in this one."""
    command = ["trace", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, relay, command, env={**UNSET, **env})


class Traced(NamedTuple):
    relay: Relay
    collector: Collector
    tempo: StandIn

    async def executed(self, target: Target) -> dict[str, str]:
        """A run whose five spans have arrived."""
        response = await self.relay.execute(await self.relay.preview_id(target.url), "key-1")
        await self.collector.of_request(response.json()["request_id"], count=5)
        return dict(response.json())


@pytest.fixture
async def traced(valkey: Valkey) -> AsyncIterator[Traced]:
    async with collecting() as collector, storing(lambda: collector.raw) as tempo:
        given = {"otlp_traces_endpoint": collector.endpoint, "grafana_url": GRAFANA}
        async with gateway(valkey.url, **given) as client:
            yield Traced(client, collector, tempo)


async def test_a_run_is_shown_as_a_tree_with_its_link(traced: Traced, target: Target) -> None:
    """Each span below its parent; the link is the run's."""
    document = await traced.executed(target)
    url = str(traced.relay.base_url)
    result = await run(document["run_id"], "--url", url, TEMPO_URL=traced.tempo.url)
    assert result.exit_code == 0, result.output
    *tree, link = result.stdout.splitlines()
    assert link == document["trace_link"]
    names = [line.lstrip("│├└─ ").split("  ")[0] for line in tree[1:]]
    assert names == ["POST /actions/execute", "reserve", "guard", "POST", "settle"]
    assert tree[1].startswith("└── ")
    assert all(line.startswith("    ") for line in tree[2:])
    assert "http.response.status_code=200" in tree[1]


async def test_without_tempo_there_is_the_link(traced: Traced, target: Target) -> None:
    """And what to set for more; JSON for machines."""
    document = await traced.executed(target)
    result = await run(document["run_id"], "--url", str(traced.relay.base_url), "--json")
    assert json.loads(result.stdout) == {
        "id": document["run_id"],
        "link": document["trace_link"],
        "spans": [],
    }
    assert result.stderr == "For the spans, set TEMPO_URL.\n"


async def test_a_trace_id_needs_no_gateway() -> None:
    """Hostile names move no cursor; a span without its parent stands at the root."""
    spans = exported(
        made("root", 1), made("\x1b[2Jchild", 2, parent=1, start_ms=3), made("lost", 4, parent=9)
    )
    async with storing(lambda: spans) as tempo:
        result = await run(TRACE_ID, "--url", "http://127.0.0.1:1", TEMPO_URL=tempo.url)
        missing = await run(f"{2:032x}", TEMPO_URL=tempo.url)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    assert "·[2Jchild  +3.0 ms  1.0 ms" in result.stdout
    assert "lost" in result.stdout
    assert (missing.exit_code, missing.stderr) == (
        1,
        "Error: Tempo does not have this trace (yet)\n",
    )


@pytest.mark.parametrize(
    ("arguments", "env", "status", "text"),
    [
        (["not/an id"], {}, 2, "give the id of a run"),
        (["run-1", "--url", "ftp://a"], {}, 2, "the URL of the gateway must be like"),
        (["run-1", "--url", "http://127.0.0.1:1"], {}, 1, "the gateway cannot be reached"),
        ([TRACE_ID], {"TEMPO_URL": "http://127.0.0.1:1"}, 1, "Tempo cannot be reached"),
    ],
)
async def test_what_cannot_be_shown_is_one_sentence(
    arguments: list[str], env: dict[str, str], status: int, text: str
) -> None:
    result = await run(*arguments, **env)
    assert result.exit_code == status
    assert text in result.stderr


async def test_an_unknown_run_is_reported(traced: Traced) -> None:
    """With the gateway's own words."""
    result = await run("never-was", "--url", str(traced.relay.base_url))
    assert result.exit_code == 1
    assert "the gateway answers 404" in result.stderr
    assert "run_not_found" in result.stderr
