"""The checks of the lease are needed: without them, a run that was reported `unknown` changes."""

from datetime import timedelta

import pytest

from stores.redis.previews import NewPreview, Previews
from stores.redis.reservations import Lost, Released, Reserved, Settled
from stores.redis.runs import Runs
from tests.support.edited import Edited, without
from tests.support.reservations import ORIGIN, reservation
from tests.support.valkey import Valkey

CHECK = "if now >= tonumber(lease_until) then return {'lost'} end"


@pytest.mark.parametrize("script", ["settle", "release"])
@pytest.mark.parametrize("checked", [True, False])
async def test_a_run_ends_within_its_lease_or_not_at_all(
    valkey: Valkey, script: str, checked: bool
) -> None:
    async with valkey.async_client() as client:
        source = {} if checked else {script: without(script, CHECK)}
        scripts = Edited(client, **source)
        await Previews(scripts).save(
            "w", NewPreview("p-1", b"{}", ORIGIN, by=b"{}", target="a.example:443")
        )
        runs, mine = Runs(scripts), reservation()
        assert isinstance(await runs.reserve(mine, lease=timedelta()), Reserved)
        if script == "settle":
            ended: object = await runs.settle(mine, state="success", doc=b"{}")
        else:
            ended = await runs.release(mine)
        kind = Lost if checked else {"settle": Settled, "release": Released}[script]
        assert isinstance(ended, kind)
