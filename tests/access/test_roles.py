"""Every role with every scope, and who may hand out what."""

from typing import get_args

import pytest

from gateway.access.roles import ROLES, SCOPES, Role, Scope, granted, may_grant

# role: live key, test key; each letter a scope of the header.
HEADER = get_args(Scope)
TABLE = {
    # read preview execute previews runs, audit keys secrets, approvals decide policy, http, read
    # and manage connections
    "viewer": ("x..xx.......x.", "x..xx.......x."),
    "developer": ("xx.xx...x...x.", "xxxxx...x...x."),
    "operator": ("xxxxx...x...x.", "xxxxx...x...x."),
    "approver": ("x..xx...xx..x.", "x..xx...xx..x."),
    "auditor": (".....x........", ".....x........"),
    "admin": ("xxxxxxxxxxxxxx", "xxxxxxxxxxxxxx"),
}


def test_every_role_is_in_the_table() -> None:
    assert set(TABLE) == set(ROLES) == set(get_args(Role))


@pytest.mark.parametrize("role", TABLE)
@pytest.mark.parametrize("live", [True, False])
def test_a_role_has_the_scopes_of_the_table(role: str, live: bool) -> None:
    row = TABLE[role][0 if live else 1]
    assert [scope in granted(role, None, live=live) for scope in HEADER] == [c == "x" for c in row]


def test_scopes_narrow_a_role_and_never_widen_it() -> None:
    assert granted("operator", ["runs:read"], live=True) == {"runs:read"}
    assert granted("viewer", ["runs:read", "keys:manage"], live=True) == {"runs:read"}
    assert granted("developer", ["actions:execute"], live=True) == frozenset()
    assert granted("admin", [], live=True) == frozenset()


def test_only_scopes_that_are_named_add_any_request_to_a_role_that_acts() -> None:
    """An operator or developer may make any request only with a key that names `actions:http`."""
    wanted = ["actions:http", "actions:preview", "keys:manage"]
    for role in ("operator", "developer"):
        assert "actions:http" not in granted(role, None, live=True)
        assert granted(role, wanted, live=True) == {"actions:http", "actions:preview"}
    for role in ("viewer", "approver", "auditor"):
        assert "actions:http" not in granted(role, wanted, live=True)


@pytest.mark.parametrize("role", ["", "root", "Admin", "admin "])
def test_an_unknown_role_may_do_nothing(role: str) -> None:
    assert granted(role, None, live=True) == frozenset()


VIEWER, OPERATOR = granted("viewer", None, live=True), granted("operator", None, live=True)


@pytest.mark.parametrize(
    ("granter", "granter_live", "asked", "asked_live", "may"),
    [
        (SCOPES, True, SCOPES, True, True),
        (OPERATOR, True, VIEWER, True, True),
        (OPERATOR, True, OPERATOR, True, True),
        (OPERATOR, True, OPERATOR | {"keys:manage"}, True, False),
        (VIEWER, True, OPERATOR, True, False),
        (SCOPES, True, SCOPES, False, True),
        (SCOPES, False, VIEWER, True, False),
        (SCOPES, False, SCOPES, False, True),
        (SCOPES - {"audit:read"}, True, frozenset({"audit:read"}), False, False),
    ],
)
def test_a_key_grants_only_what_it_has(
    granter: frozenset[Scope],
    granter_live: bool,
    asked: frozenset[Scope],
    asked_live: bool,
    may: bool,
) -> None:
    answer = may_grant(granter, asked, granter_live=granter_live, asked_live=asked_live)
    assert answer is may
