"""What a key may do: the scopes of each role, and who may hand out which.

What is not here is denied.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, cast, get_args

Scope = Literal[
    "actions:read",
    "actions:preview",
    "actions:execute",
    "previews:read",
    "runs:read",
    "audit:read",
    "keys:manage",
    "secrets:manage",
    "approvals:read",
    "approvals:decide",
    "policy:manage",
    "actions:http",
    "connections:read",
    "connections:manage",
]
Role = Literal["viewer", "developer", "operator", "approver", "auditor", "admin"]

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
_READING: frozenset[Scope] = frozenset(
    {"actions:read", "previews:read", "runs:read", "connections:read"}
)
# A caller that previews may read approvals; the handlers show it those of its own subject.
_ACTING: frozenset[Scope] = frozenset({"actions:preview", "actions:execute", "approvals:read"})

ROLES: Mapping[Role, frozenset[Scope]] = {
    "viewer": _READING,
    # Executes with a test key only; see `granted`.
    "developer": _READING | _ACTING,
    "operator": _READING | _ACTING,
    # Neither previews nor executes; see gateway/approvals.
    "approver": _READING | {"approvals:read", "approvals:decide"},
    "auditor": frozenset({"audit:read"}),
    "admin": SCOPES,
}

# What a key of these roles has only if its scopes name it: any request with any connection.
_ON_REQUEST: Mapping[Role, frozenset[Scope]] = {
    "developer": frozenset({"actions:http"}),
    "operator": frozenset({"actions:http"}),
}

# From the weakest to the strongest, where the groups of a person give several roles.
RANKS: Sequence[Role] = ("viewer", "auditor", "developer", "operator", "approver", "admin")


def strongest(roles: Collection[str]) -> Role | None:
    """The strongest of these roles; None if there is none."""
    return max((role for role in RANKS if role in roles), key=RANKS.index, default=None)


def granted(role: str, scopes: Sequence[str] | None, *, live: bool) -> frozenset[Scope]:
    """What a key of this role may do; `scopes` narrow it, and may add `actions:http` to a role that
    acts. An unknown role may do nothing.
    """
    named = cast("Role", role)
    held = ROLES.get(named, frozenset())
    if role == "developer" and live:
        held -= {"actions:execute"}
    if scopes is None:
        return held
    return (held | _ON_REQUEST.get(named, frozenset())) & frozenset(scopes)


def may_grant(
    granter: frozenset[Scope], asked: frozenset[Scope], *, granter_live: bool, asked_live: bool
) -> bool:
    """Whether a key may grant these scopes: only its own, and a test key only to test keys."""
    return asked <= granter and (granter_live or not asked_live)
