"""Remember what was approved, so that an approver sees what differs from the last time.

Off unless a rule has `remember`: otherwise no body outlives its preview. What is kept is for
people's eyes alone: it approves nothing. A gateway that ends before it has kept it loses it.
"""

import logging
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.approvals.policies import Asked
from stores.redis.approvals import Approval
from stores.redis.remembered import Previous, Remembered
from stores.redis.scripts import RedisUnavailable

log = logging.getLogger("relay.approvals")


class _Effect(Struct):
    method: str
    url: str


class _Document(Struct):
    action: str
    effect: _Effect


_document = msgspec.json.Decoder(_Document)
_asked = msgspec.json.Decoder(Asked)


async def remember(remembered: Remembered, workspace: str, approved: Approval) -> None:
    """Keep the document of an approval, as its rules ask."""
    ttl = timedelta(milliseconds=_asked.decode(approved.requirement).requirement.remember_ms)
    if not ttl or approved.doc is None:
        return
    try:
        await remembered.keep(
            workspace, _kind(approved), approved.preview_id, approved.doc, ttl=ttl
        )
    except RedisUnavailable as error:  # the decision stands
        log.warning("approvals.not_remembered", extra={"fields": {"error": str(error)}})


async def previous(remembered: Remembered, workspace: str, found: Approval) -> Previous | None:
    """What was approved last of the same kind; None if nothing is kept. Raises RedisUnavailable."""
    if found.doc is None:
        return None
    kept = await remembered.find(workspace, _kind(found))
    return None if kept is None or kept.preview_id == found.preview_id else kept


def _kind(found: Approval) -> str:
    """Action, method, host and path, and the requester."""
    document = _document.decode(found.doc or b"")
    url = urlsplit(document.effect.url)
    same = [document.action, document.effect.method, url.netloc, url.path, found.requester]
    return sha256(msgspec.json.encode(same)).hexdigest()
