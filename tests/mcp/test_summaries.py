"""What a process remembers of the previews that it has shown."""

import pytest

from gateway.mcp.summaries import Summaries
from tests.support.gateways import Relay, gateway
from tests.support.held import scripts_run
from tests.support.mcp import Agent, problem
from tests.support.target import Target
from tests.support.valkey import Valkey


@pytest.mark.parametrize(
    ("workspace", "preview_id", "summary"), [("x", "p", "s"), ("w", "q", "s"), ("w", "p", "t")]
)
def test_each_part_counts(workspace: str, preview_id: str, summary: str) -> None:
    """Another workspace, preview or summary is not known."""
    summaries = Summaries()
    summaries.add("w", "p", "s")
    assert summaries.has("w", "p", "s")
    assert not summaries.has(workspace, preview_id, summary)


def test_the_oldest_is_forgotten() -> None:
    summaries = Summaries(limit=2)
    for name in ("a", "b", "c"):
        summaries.add("w", name, "s")
    assert [summaries.has("w", name, "s") for name in ("a", "b", "c")] == [False, True, True]


async def test_an_execute_asks_the_store_as_over_http(
    relay: Relay, target: Target, valkey: Valkey
) -> None:
    """As often for a preview that this process has shown, and for its replay."""
    agent = Agent(relay)
    first, second = await agent.preview(target.url), await relay.preview_id(target.url)
    counts = []
    for _ in range(2):
        before = scripts_run(valkey)
        await relay.execute(second)
        between = scripts_run(valkey)
        await agent.execute(first)
        counts.append((between - before, scripts_run(valkey) - between))
    assert [by_http for by_http, _ in counts] == [by_tool for _, by_tool in counts]


async def test_replicas_agree(relay: Relay, valkey: Valkey, target: Target) -> None:
    """One that did not make the preview looks it up, and so refuses another summary too."""
    preview = await Agent(relay).preview(target.url)
    async with gateway(valkey.url) as other:
        refused = await Agent(other).execute(preview, summary="Look at a page")
        assert problem(refused)["code"] == "invalid_params"
        run = await Agent(other).execute(preview)
    assert run["structuredContent"]["status"] == "success"
    # Spent: nothing is sent, and each replica answers with the run.
    again = await Agent(relay).execute(preview, summary="Look at a page")
    assert again["structuredContent"]["run_id"] == run["structuredContent"]["run_id"]
