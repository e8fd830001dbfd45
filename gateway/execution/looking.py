"""What a preview says, without spending it: a caller that executes may have to repeat it."""

from typing import NamedTuple

import msgspec
from msgspec import Struct

from gateway.approvals.inbox import Inbox
from stores.redis.previews import Live, NoPreview, Previews


class Seen(NamedTuple):
    """`pending`: it waits for a decision."""

    summary: str
    pending: bool = False


class _Summary(Struct):
    summary: str


_decoder = msgspec.json.Decoder(_Summary)


async def look_at(previews: Previews, inbox: Inbox, workspace: str, preview_id: str) -> Seen | None:
    """A preview that is live or held; None if it is spent or gone. Raises RedisUnavailable."""
    match await previews.find(workspace, preview_id):
        case Live(document):
            return Seen(_decoder.decode(document).summary)
        case NoPreview():
            found = await inbox.look_for(workspace, preview_id)
            if found and found.doc:
                return Seen(_decoder.decode(found.doc).summary, pending=found.state == "pending")
    return None
