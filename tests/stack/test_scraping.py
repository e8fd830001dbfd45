"""Prometheus with the configuration of the stack finds and scrapes each replica."""

from pathlib import Path

from tests.stack.conftest import Stack
from tests.support.gateways import until
from tests.support.stack.files import dashboard_queries, rules
from tests.support.stack.replicas import PORT
from tests.support.stack.scraper import Prometheus, prometheus, scraping
from tests.support.target import Target


async def exemplars(asked: Prometheus, query: str) -> list[str]:
    now = (await asked.ask("query", query="time()"))["result"][0]
    found = await asked.ask("query_exemplars", query=query, start=str(now - 60), end=str(now))
    return [exemplar["labels"]["trace_id"] for each in found for exemplar in each["exemplars"]]


async def test_each_replica_is_scraped_and_leads_to_its_traces(
    stack: Stack, target: Target, tmp_path: Path
) -> None:
    """DNS gives three targets; HAProxy is scraped too, exemplars have trace ids, and Prometheus
    answers every query of the dashboard.
    """
    answers = [
        await stack.relay.execute(await stack.relay.preview_id(target.url), f"order-{number}")
        for number in range(9)
    ]
    assert {answer.json()["status"] for answer in answers} == {"success"}
    async with prometheus(stack.net, tmp_path) as asked:
        await scraping(asked, 4)
        addresses = [f"{replica.address}:{PORT}" for replica in stack.replicas]
        (job, _), *relays = await asked.targets_up()
        assert (job, relays) == ("haproxy", [("relay", address) for address in addresses])

        runs = 'sum by (instance) (action_exec_total{job="relay",status="success"})'
        counted = (await asked.ask("query", query=runs))["result"]
        assert {each["metric"]["instance"] for each in counted} == set(addresses)
        assert sum(int(each["value"][1]) for each in counted) == len(answers)

        async def stored() -> bool:
            return bool(await exemplars(asked, 'action_latency_seconds_bucket{job="relay"}'))

        await until(stored)
        ids = await exemplars(asked, 'http_request_duration_seconds_bucket{job="relay"}')
        assert {len(trace_id) for trace_id in ids} == {32}

        for query in dashboard_queries():
            await asked.ask("query", query=query)
        loaded = (await asked.ask("rules"))["groups"]
        assert sum(len(group["rules"]) for group in loaded) == len(rules())
