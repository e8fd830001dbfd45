"""A gateway is killed between a send and its answer; the client asks the other one."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from relay_client import Run
from tests.support.clients import KINDS, Client, Kind, opened
from tests.support.fleet import Site, gateways
from tests.support.forks import Fork, Forks
from tests.support.held import Gate
from tests.support.line import Instant, Line, Step, line
from tests.support.target import Target

# The body, which may come in a piece of its own.
EXECUTE = re.compile(b'{"preview_id"')


class Passage(NamedTuple):
    """`client`: of the first gateway, until it is killed."""

    client: Client
    between: Line
    first: Fork


@asynccontextmanager
async def passing(site: Site, forks: Forks, kind: Kind) -> AsyncIterator[Passage]:
    """An address that leads to the first gateway, and to the second one once that is dead."""
    async with gateways(forks, site.env(), site.env()) as (first, second):

        async def reach() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            alive = second if first.ended else first
            return await asyncio.open_connection("127.0.0.1", int(alive.url.rpartition(":")[2]))

        async with line(reach) as between:
            url = f"http://127.0.0.1:{between.port}"
            async with opened(kind, url) as client:
                yield Passage(client, between, first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("moment", "replayed"), [("before", False), ("after", True)])
async def test_an_answer_that_was_lost_with_its_gateway_is_the_run(
    site: Site, forks: Forks, target: Target, kind: Kind, moment: Instant, replayed: bool
) -> None:
    """Killed before it got the request, or after it answered: one delivery, and its run."""
    async with passing(site, forks, kind) as (client, between, first):
        preview = await client.preview("webhook.save", url=target.url)
        between.at(Step(EXECUTE, moment), first.kill)
        executing = asyncio.create_task(client.execute(preview))
        async with asyncio.timeout(10):
            await between.reached.wait()
        between.restore()
        run = await executing
    assert (run.status, run.replayed) == ("success", replayed)
    assert len(target.deliveries) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_send_without_an_answer_is_unknown(
    site: Site, forks: Forks, target: Target, kind: Kind
) -> None:
    """Killed while the target had the request: it is not sent again, and the run says so."""
    async with passing(site, forks, kind) as (client, _, first):
        preview = await client.preview("webhook.save", url=target.url)
        gate = Gate(target)
        executing = asyncio.create_task(client.execute(preview, key="order-1"))
        async with asyncio.timeout(10):
            await target.arrived.wait()
        first.kill()
        assert site.end_leases() == 1
        run = await executing
        again = await client.execute(preview, key="order-1")
        gate.open.set()
    assert is_unknown(run)
    assert (again.run_id, again.status, again.replayed) == (run.run_id, "unknown", True)
    assert len(target.deliveries) == 1


def is_unknown(run: Run) -> bool:
    assert run.error
    return run.unknown and run.error.code == "interrupted" and not run.error.safe_to_retry
