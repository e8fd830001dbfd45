"""What holds for every action."""

import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from gateway.actions.action import Action, Provider
from gateway.actions.registry import registered
from gateway.http.schemas import inlined

NAMES = ("google", "microsoft", "slack", "github")
ALL = registered(webhook_url=None, providers=dict.fromkeys(NAMES, Provider(enabled=True)))
# Its fields were described before examples were asked for.
NEW = [action for action in ALL.values() if action.name != "webhook.save"]


def members(schema: dict[str, Any], where: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every field of the params, also of what lies within."""
    found = []
    for name, one in schema.get("properties", {}).items():
        found.append((f"{where}/{name}", one))
        for inner in (one, one.get("items", {}), *one.get("anyOf", ())):
            found += members(inner, f"{where}/{name}")
            for kind in inner.get("anyOf", ()):
                found += members(kind, f"{where}/{name}")
    return found


@pytest.mark.parametrize("action", NEW, ids=lambda it: it.name)
def test_every_field_has_a_description_and_an_example_that_is_valid(action: Action[Any]) -> None:
    fields = members(inlined(action.params))
    assert len(fields) > 3
    for where, field in fields:
        if where == "/headers":
            continue
        assert field.get("description"), where
        assert field.get("examples"), where
        for example in field["examples"]:
            Draft202012Validator(field).validate(example)


@pytest.mark.parametrize("action", ALL.values(), ids=lambda it: it.name)
def test_no_pattern_takes_a_line_feed_at_its_end(action: Action[Any]) -> None:
    """Python finds `$` before it, so that it would go into a URL, a method or a summary."""
    for where, field in members(inlined(action.params)):
        for schema in (field, *field.get("anyOf", ())):
            for example in field.get("examples", ()) if "pattern" in schema else ():
                assert re.search(schema["pattern"], example), where
                assert not re.search(schema["pattern"], f"{example}\n"), where


def test_an_action_without_its_provider_is_not_enabled() -> None:
    without = registered(webhook_url=None, providers={})
    assert {it.name for it in without.values() if it.enabled} == {"webhook.save", "http.request"}
    assert all(it.enabled for it in ALL.values())


def test_an_action_is_named_after_its_provider() -> None:
    for action in ALL.values():
        provider = action.name.partition(".")[0]
        assert action.provider == (provider if provider in NAMES else "independent")


def test_what_needs_a_connection_has_a_field_for_it() -> None:
    for action in ALL.values():
        fields = {field.name for field in msgspec.structs.fields(action.params)}
        assert ("connection" in fields) == (action.connects != "never")
