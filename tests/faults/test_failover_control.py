"""Leaving a demoted server is needed, and so is that it refuses to read: without the one every call
is 503 for good, without the other stale data is served.
"""

import pytest

from stores.redis import scripts
from stores.redis.previews import Live, NewPreview, Previews
from tests.faults.test_store_connections import in_step, pair, switch
from tests.support.edited import Edited, without
from tests.support.gateways import gateway
from tests.support.passage import passage
from tests.support.reservations import ORIGIN
from tests.support.target import Target
from tests.support.valkey import Valkey

__all__ = ["pair"]  # the fixture


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_demoted_server_is_left(
    pair: tuple[Valkey, Valkey], target: Target, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    """It answers, and refuses each write, on connections that it never closes."""
    if not leaves:
        monkeypatch.setattr(scripts, "ELSEWHERE", set[str]())
    primary, replica = pair
    await in_step(replica)
    async with passage(primary) as name, gateway(name.url) as relay:
        preview_id = await relay.preview_id(target.url)
        await switch(primary, replica)
        name.valkey = replica
        for _ in range(3):
            answer = await relay.execute(preview_id, "order-1")
            assert answer.status_code == (200 if leaves else 503)
    assert len(target.deliveries) == leaves


@pytest.mark.parametrize("flagged", [True, False])
async def test_a_replica_refuses_to_read(own_valkey: Valkey, flagged: bool) -> None:
    """Without its first line a script reads there what may be old."""
    flag = "#!lua flags=allow-oom\n"
    async with own_valkey.async_client() as client:
        source = {} if flagged else {"find": without("find", flag)}
        previews = Previews(Edited(client, **source))
        await previews.save("w", NewPreview("p-1", b"{}", ORIGIN))
        await client.replicaof("127.0.0.1", "1")
        if flagged:
            with pytest.raises(Exception, match="read only replica"):
                await previews.find("w", "p-1")
        else:
            assert isinstance(await previews.find("w", "p-1"), Live)
