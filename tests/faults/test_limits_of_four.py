"""Four gateways, one quota: what one has granted the others know."""

import asyncio

from tests.faults.fleet import Site
from tests.faults.forks import Forks
from tests.faults.storm import Plan, burst, executed, stormy
from tests.faults.wire import Connection
from tests.target import Target

# 16 lines of key A, then 48 of three keys: 3,072 requests.
PLAN = Plan(of_key=240, of_workspace=480, lines=4, times=48)


async def test_no_window_holds_more_than_its_limit_and_a_burst(
    site: Site, forks: Forks, target: Target
) -> None:
    """Of a key and of a workspace, whatever the window's length; and no less is granted. Who is
    refused is told when to come back, comes back then, and is not refused.
    """
    async with stormy(site, forks, target, PLAN) as storm:
        await storm.ask("A")
        alone = len(storm.all)
        await storm.ask("ABC")
        connection = await Connection.to(storm.urls[-1])
        secret, preview_id = storm.secrets["A"], next(storm.previews)
        while (refused := await executed(connection, preview_id, secret)).status == 200:
            storm.granted["A"].append(0)
        await connection.close()
    assert alone
