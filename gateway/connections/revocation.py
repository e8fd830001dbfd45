"""Give a grant back to the provider when its connection is deleted.

Google ends every grant of the account to Relay at once, and so is asked only where no other
connection is of the account.
"""

import logging
import time
from typing import Literal

from msgspec import Struct

from gateway.access.sealing import Forged, Sealer, UnknownKey
from gateway.config.secret import Secret
from gateway.connections.answers import posted
from gateway.connections.grants import unseal_kept
from gateway.connections.providers import FACTS, Client
from gateway.egress.client import Egress
from gateway.outcomes import Answered, Outcome
from stores.sql.connections import SealedConnection

SECONDS = 5.0

log = logging.getLogger("relay.connections")


class Revocation(Struct, frozen=True):
    """`state`: `kept` where another connection needs the grant, `by_owner` where the provider lets
    only the account's owner end it. `detail`: what is left to do.
    """

    state: Literal["revoked", "failed", "kept", "by_owner"]
    detail: str


async def revoke(
    gone: SealedConnection, client: Client | None, sealer: Sealer, egress: Egress, *, shared: bool
) -> Revocation:
    """Of a connection that was deleted. `shared`: whether another one is of the same account."""
    facts = client.facts if client else FACTS[gone.row.provider]
    by_hand = f"The owner of {gone.row.account} can end Relay's access at {facts.removal}."
    if shared:
        return Revocation("kept", "Another connection is of the same account.")
    if facts.revoke is None:
        return Revocation("by_owner", by_hand)
    try:
        token = Secret(unseal_kept(sealer, gone).token.encode())
    except (UnknownKey, Forged):
        return Revocation("failed", by_hand)
    effect = posted(facts.revoke, {"token": token.reveal().decode()})
    if _accepted(await egress.ask(effect, deadline=time.monotonic() + SECONDS)):
        return Revocation("revoked", f"{facts.title} has ended Relay's access to the account.")
    fields = {"provider": gone.row.provider, "connection": gone.row.id}
    log.warning("connections.revocation_failed", extra={"fields": fields})
    return Revocation("failed", by_hand)


def _accepted(outcome: Outcome) -> bool:
    """Slack answers 200 in any case."""
    if not isinstance(outcome, Answered) or not outcome.accepted:
        return False
    return '"ok":false' not in outcome.response.replace(" ", "")
