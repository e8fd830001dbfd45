"""`relay channels`: create, list and delete, through the guard."""

from pathlib import Path

import pytest

from tests.support.commanded import Typed, typed

URL = "https://hooks.example.com/T-1"


@pytest.fixture
def relay(migrated_file: str, tmp_path: Path) -> Typed:
    return typed(migrated_file, tmp_path)


def listed(relay: Typed) -> list[dict[str, object]]:
    channels: list[dict[str, object]] = relay.json("channels", "list")["channels"]
    return channels


def test_a_channel_is_created_listed_and_deleted(relay: Typed) -> None:
    made = relay.json("channels", "create", "duty", URL, "--escalation-only")
    assert listed(relay) == [made]
    assert (made["url"], made["escalation_only"], made["created_by"]) == (URL, True, "cli")
    assert "escalations" in relay.well("channels", "list").stdout
    relay.well("channels", "delete", made["id"])
    assert listed(relay) == []


def test_a_forbidden_target_is_refused(relay: Typed) -> None:
    refused = relay.declined("channels", "create", "duty", "https://169.254.169.254/")
    assert refused == "The target is not a public address."
    assert listed(relay) == []
