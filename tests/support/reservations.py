"""Reservations of the previews of the fixture `previews`, and the runs that they open."""

from datetime import timedelta

from stores.redis.reservations import Reservation, Run
from stores.redis.runs import Runs

LEASE = timedelta(seconds=20)
ORIGIN = b'{"action":"webhook.save","provider":"independent"}'


def reservation(
    run_id: str = "run-1", *, key: str = "order-1", preview_id: str = "p-1"
) -> Reservation:
    return Reservation("w", key, preview_id, run_id)


async def found(runs: Runs, run_id: str = "run-1") -> Run:
    run = await runs.inspect("w", run_id)
    assert isinstance(run, Run)
    return run
