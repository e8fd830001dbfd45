"""Redis keys share one hash tag a workspace, and no name reaches the keys of another."""

from collections.abc import Callable
from hashlib import sha256
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from stores.redis import names

WORKSPACES = [
    "default",
    "a",
    "a:preview",
    "a}",
    "{a}",
    "{",
    "}",
    "{}",
    "{}a",
    "}:preview:x",
    "a b",
    " ",
    "a%20b",
    "a/b",
    "größe",
    "gro\u0308ße",
    "工作区",
    "🙂",
    "*",
    "a\r\nb",
]
IDS = ["1", "tenantA:1", ":1", "preview:1", "run:1", "}:run:1", "a b", "ключ", "", "%3A1"]


def bucket(workspace: str, key_id: str) -> str:
    return names.bucket(workspace, "execute", key_id)


MAKERS = [names.preview, names.reservation, names.run, names.changed, bucket]
OF_ALL = [names.outbox, names.in_flight]


@pytest.mark.parametrize("workspace", WORKSPACES)
def test_all_keys_of_a_workspace_share_a_slot(workspace: str) -> None:
    """Every key of a workspace has the same non-empty hash tag, whatever names contain."""
    made = [make(workspace, name).encode() for make in MAKERS for name in IDS]
    made += [make(workspace).encode() for make in OF_ALL]
    tags = {key[key.index(b"{") + 1 : key.index(b"}")] for key in made}
    assert len(tags) == 1
    assert tags.pop()
    assert len({key_slot(key) for key in made}) == 1


def test_no_two_names_make_one_key() -> None:
    """A key determines its kind, workspace and id: no two triples share one."""
    made = [make(workspace, name) for make in MAKERS for workspace in WORKSPACES for name in IDS]
    made += [make(workspace) for make in OF_ALL for workspace in WORKSPACES]
    made += [names.bucket(workspace, "preview") for workspace in WORKSPACES]
    assert len(set(made)) == len(made)


@given(st.tuples(st.text(min_size=1), st.text()), st.tuples(st.text(min_size=1), st.text()))
def test_keys_are_equal_only_for_equal_names(
    ours: tuple[str, str], theirs: tuple[str, str]
) -> None:
    """Two workspaces never share a key, whatever their names and ids contain."""
    for make in MAKERS:
        assert (make(*ours) == make(*theirs)) == (ours == theirs)


def test_no_run_is_reached_from_another_workspace() -> None:
    """The prefix of a workspace's runs starts no key of another workspace."""
    for ours, theirs in permutations(WORKSPACES, 2):
        assert not any(names.run(ours, it).startswith(names.run_prefix(theirs)) for it in IDS)


@pytest.mark.parametrize("make", MAKERS)
def test_a_workspace_needs_a_name(make: Callable[[str, str], str]) -> None:
    """An empty name is refused: `{}` is no hash tag."""
    with pytest.raises(ValueError, match="a workspace needs a name"):
        make("", "1")


@pytest.mark.parametrize("key", ["1", "tenantA:1", "ключ", "x" * 255])
def test_an_idempotency_key_is_kept_as_its_digest(key: str) -> None:
    """The key of a reservation has the SHA-256 of the caller's key instead of the key."""
    digest = sha256(key.encode()).hexdigest()
    assert names.reservation("w", key) == f"relay:{{w}}:reservation:{digest}"


def test_keys_are_named_relay_workspace_kind_id() -> None:
    """Who looks into Redis finds `relay:{workspace}:kind:id`."""
    assert names.preview("w", "p-1") == "relay:{w}:preview:p-1"
    assert names.run("w", "r-1") == "relay:{w}:run:r-1"
    assert names.run_prefix("w") + "r-1" == names.run("w", "r-1")
    assert names.changed("w", "r-1") == "relay:{w}:changed:r-1"
    assert names.outbox("w") == "relay:{w}:outbox"
    assert names.in_flight("w") == "relay:{w}:in_flight"
    assert names.bucket("w", "execute") == "relay:{w}:quota:execute"
    assert names.bucket("w", "execute", "k:1") == "relay:{w}:quota:execute:k%3A1"
    assert names.preview("a b", "p:1") == "relay:{a%20b}:preview:p%3A1"
    assert names.run("a/b", "r:1") == "relay:{a%2Fb}:run:r%3A1"
    assert names.changed("ä", "r:1") == "relay:{%C3%A4}:changed:r%3A1"
