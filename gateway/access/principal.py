"""The authenticated caller: identity, scopes and limits."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from gateway.access.roles import SCOPES, Scope
from stores.audit_entries import ANONYMOUS, NOWHERE
from stores.redis.limits import Rates, Slots

DEFAULT_WORKSPACE = "default"


class Assertion(NamedTuple):
    """What an identity-aware proxy has signed of a person. `groups`: those that have a role here.
    `until_ms`: until when a decision of this person counts, since the proxy says later nothing more
    of it; epoch milliseconds.
    """

    subject: str
    groups: Sequence[str]
    until_ms: int


class Principal(Struct, kw_only=True, frozen=True):
    """One for each request. `id`: the public id of the API key. `claimed_key`: the id of a known
    key that the request named without having its secret. `subject`: the person or program behind
    the key. `makers`: subjects and ids of the keys that made this key, however many steps before.
    `assertion`: of a person that brings no key; `id` is then the subject too.
    `via`: for a call of a tool, `mcp` and the name that the client claims.
    """

    workspace: str = DEFAULT_WORKSPACE
    id: str = ANONYMOUS
    subject: str = ANONYMOUS
    role: str = ""
    makers: Sequence[str] = ()
    assertion: Assertion | None = None
    claimed_key: str = ""
    via: str = ""
    live: bool = True
    scopes: frozenset[Scope] = SCOPES
    address: str = ""
    request_id: str = ""
    previews: Rates = Rates()
    executes: Rates = Rates()
    slots: Slots = Slots()


def unauthenticated(address: str, request_id: str) -> Principal:
    """A caller before, or without, authentication: in no workspace, with no scope."""
    return Principal(workspace=NOWHERE, scopes=frozenset(), address=address, request_id=request_id)
