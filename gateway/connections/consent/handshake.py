"""What is known of an account that is being connected, from the request to the callback, and why it
is not connected.

Each step is sealed and bound to its own random name, and so cannot be read or swapped in Redis.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from gateway.access.sealing import Forged, Sealer, UnknownKey
from gateway.transaction import Actor
from stores.redis.oauth.handshakes import Handshakes, Step


class NotConnected(Exception):
    """`reason`: one word, for the audit. The message is a sentence for people, without a secret.
    `link`: a page of the provider that may help.
    """

    def __init__(self, reason: str, sentence: str, *, link: str | None = None) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.link = link


class Ticket(Struct, frozen=True, kw_only=True):
    """What an administrator has asked for. `scopes`: what the provider has to grant, beside those
    that say who it is. `key`: the id of the administrator's API key, if any.
    """

    workspace: str
    provider: str
    actions: Sequence[str]
    scopes: Sequence[str]
    expected_account: str | None
    principal: str
    key: str | None

    def actor(self, address: str, request_id: str) -> Actor:
        """The administrator, as the actor of what the browser at this address finishes."""
        return Actor(self.principal, address=address, request_id=request_id, key=self.key)


class State(Struct, frozen=True, kw_only=True):
    """`browser`: the digest of the cookie that the browser got at the start."""

    ticket: Ticket
    verifier: str
    nonce: str
    redirect_uri: str
    browser: str

    def __repr__(self) -> str:
        return "State(…)"


Doc = TypeVar("Doc", Ticket, State)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Steps:
    """Every method raises RedisUnavailable."""

    def __init__(self, handshakes: Handshakes, sealer: Sealer) -> None:
        self._handshakes = handshakes
        self.sealer = sealer

    async def keep(self, step: Step, name: str, doc: Ticket | State) -> int:
        """When it ends, in epoch milliseconds. Raises UnknownKey."""
        plain = msgspec.json.encode(doc)
        sealed, key_id = self.sealer.seal(plain, bound_to=f"{step}/{digest(name)}")
        return await self._handshakes.keep(step, name, key_id.encode() + b" " + sealed)

    async def ticket(self, name: str, *, take: bool) -> Ticket | None:
        """None where it has expired or was taken. `take`: it is then gone."""
        handshakes = self._handshakes
        doc = await (handshakes.take if take else handshakes.find)("ticket", name)
        return self._unsealed("ticket", name, doc, Ticket)

    async def take_state(self, name: str) -> State | None:
        """None where it has expired or was taken."""
        doc = await self._handshakes.take("state", name)
        return self._unsealed("state", name, doc, State)

    def _unsealed(self, step: Step, name: str, doc: bytes | None, kind: type[Doc]) -> Doc | None:
        if doc is None:
            return None
        key_id, _, sealed = doc.partition(b" ")
        bound_to = f"{step}/{digest(name)}"
        try:
            plain = self.sealer.unseal(sealed, key_id.decode(), bound_to=bound_to)
            return msgspec.json.decode(plain, type=kind)
        except (UnknownKey, Forged, msgspec.DecodeError):
            return None
