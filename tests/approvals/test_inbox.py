"""What waits for a decision, one approval after another."""

from gateway.access.principal import Principal
from gateway.approvals.inbox import Inbox
from stores.redis import names
from stores.redis.approvals import Approvals
from stores.redis.client import Store
from tests.support.approvals import decide, hold


async def test_what_ends_during_a_listing_is_left_out(store: Store) -> None:
    """And what follows it is listed, though a whole page was gone."""
    approvals, listed = Approvals(store.scripts), list[str]()
    for preview_id in "abcd":
        await hold(approvals, preview_id=preview_id)
    waiting = Inbox(approvals).pending(Principal(workspace="w"), limit=2, before=None)
    async for found in waiting:
        listed.append(found.preview_id)
        if found.preview_id == "d":
            await decide(approvals, "ann", "deny", preview_id="c")
            await store.client.delete(names.approval("w", "b"))
    assert listed == ["d", "a"]
