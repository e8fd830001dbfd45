"""Who asks, as authenticated, and what he may do and how often."""

from msgspec import Struct

from gateway.access.roles import SCOPES, Scope
from stores.audit_entries import ANONYMOUS
from stores.redis.limits import Quota, Rates, Slots

DEFAULT_WORKSPACE = "default"


class Principal(Struct, kw_only=True):
    """One for each request. `id`: the public id of the key. `named`: of a key that somebody has
    named without having it. `quota`: what the store said is left, once it was asked.
    """

    workspace: str = DEFAULT_WORKSPACE
    id: str = ANONYMOUS
    named: str = ""
    live: bool = True
    scopes: frozenset[Scope] = SCOPES
    address: str = ""
    request_id: str = ""
    previews: Rates = Rates()
    executes: Rates = Rates()
    slots: Slots = Slots()
    quota: Quota | None = None

    def heard(self, quota: Quota | None) -> None:
        self.quota = quota
