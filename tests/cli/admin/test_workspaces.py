"""`relay workspaces`: names and limits."""

import asyncio
from pathlib import Path

import pytest

from stores.sql.database import open_database
from tests.support.commanded import Typed, typed
from tests.support.services import audited

NO_LIMITS = dict.fromkeys(("preview", "execute", "runs_at_once", "runs_at_once_per_target"))


@pytest.fixture
def relay(migrated_file: str, tmp_path: Path) -> Typed:
    return typed(migrated_file, tmp_path)


def limits(relay: Typed, name: str) -> dict[str, int | None]:
    (found,) = [w for w in relay.json("workspaces", "list")["workspaces"] if w["name"] == name]
    return {limit: found[limit] for limit in NO_LIMITS}


def test_a_workspace_is_made_without_limits_of_its_own(relay: Typed) -> None:
    assert relay.well("workspaces", "create", "team").stdout == "Workspace team is created.\n"
    assert limits(relay, "team") == NO_LIMITS
    names = [one["name"] for one in relay.json("workspaces", "list")["workspaces"]]
    assert names == ["default", "team"]


def test_limits_change_alone(relay: Typed) -> None:
    """Those that are not named stay; `default` takes one back."""
    set_limits = "workspaces", "limits", "default"
    relay.well(*set_limits, "--preview", "7", "--execute", "5", "--runs-at-once", "3")
    done = relay.well(*set_limits, "--preview", "default", "--runs-at-once-per-target", "2")
    assert done.stdout == (
        "Workspace default: preview default, execute 5, runs at once 3, "
        "runs at once per target 2.\n"
    )
    changed = {"execute": 5, "runs_at_once": 3, "runs_at_once_per_target": 2}
    assert limits(relay, "default") == NO_LIMITS | changed


def test_a_table_shows_the_limits(relay: Typed) -> None:
    relay.well("workspaces", "limits", "default", "--execute", "12345")
    lines = relay.well("workspaces", "list").stdout.splitlines()
    assert lines[-1].split()[0] == "default"
    assert lines[-1].split()[2:] == ["-", "12345", "-", "-"]


@pytest.mark.parametrize("limit", ["1", "1000000", "default"])
def test_a_limit_that_is_one_is_taken(relay: Typed, limit: str) -> None:
    relay.well("workspaces", "limits", "default", "--preview", limit)


@pytest.mark.parametrize("limit", ["0", "1000001", "-1", "1.5", "", "٣", "none", "9" * 5000])
def test_an_invalid_limit_is_a_usage_error(relay: Typed, limit: str) -> None:
    done = relay("workspaces", "limits", "default", "--preview", limit)
    assert done.exit_code == 2
    assert "nor `default`" in " ".join(done.stderr.split())


def test_no_limit_at_all_is_a_usage_error(relay: Typed) -> None:
    done = relay("workspaces", "limits", "default")
    assert (done.exit_code, "Name a limit" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "default"), "The workspace 'default' already exists."),
        (
            ("create", "Team"),
            "'Team' is not a workspace name: a workspace's name has 1 to 63 characters of",
        ),
        (("create", "a/b"), "'a/b' is not a workspace name"),
        (("limits", "team", "--preview", "1"), "There is no workspace 'team'."),
    ],
)
def test_what_is_declined_is_one_line(relay: Typed, words: tuple[str, ...], said: str) -> None:
    assert relay.declined("workspaces", *words).startswith(said)


def test_the_audit_of_a_workspace_begins_with_it(relay: Typed) -> None:
    """What changes nothing is no entry."""
    relay.well("workspaces", "create", "team")
    for _ in range(2):
        relay.well("workspaces", "limits", "team", "--preview", "7", "--execute", "default")

    async def entries() -> list[tuple[str, str, str, str]]:
        async with open_database(None, relay.folder) as database:
            found = await audited(database, "team")
            return [(e.event, e.principal, e.subject, e.detail) for e in found]

    assert asyncio.run(entries()) == [
        ("workspace.created", "cli", "team", ""),
        ("workspace.changed", "cli", "team", "preview 7, execute default"),
    ]
