"""Where in a body an error lies."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from gateway.problem import pointer, validation_detail


class Item(Struct, forbid_unknown_fields=True):
    count: int


class Order(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=3)]
    items: list[Item] = []
    notes: dict[str, str] = {}
    grid: list[list[int]] = []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ""),
        (("",), "/"),
        (("params", "url"), "/params/url"),
        (("a/b",), "/a~1b"),
        (("a~b",), "/a~0b"),
        (("~1",), "/~01"),
        (("~/",), "/~0~1"),
        (("items", "0"), "/items/0"),
    ],
)
def test_a_pointer_is_spelled_as_rfc_6901_says(names: tuple[str, ...], expected: str) -> None:
    """A tilde and a slash inside of a name are escaped, the tilde first."""
    assert pointer(*names) == expected


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ("3", "", "Expected `object`, got `int`."),
        ('{"name": 1}', "/name", "Expected `str`, got `int`."),
        ('{"name": "long"}', "/name", "Expected `str` of length <= 3."),
        ("{}", "/name", "Object missing required field `name`."),
        ('{"nam": "a"}', "/nam", "Object contains unknown field `nam`."),
        ('{"name": "a", "items": [{"count": 1}, {"count": "x"}]}', "/items/1/count", None),
        ('{"name": "a", "items": [{}]}', "/items/0/count", None),
        ('{"name": "a", "items": [{"count": 1, "x": 2}]}', "/items/0/x", None),
        ('{"name": "a", "items": 5}', "/items", "Expected `array`, got `int`."),
        ('{"name": "a", "grid": [[1], [2, "x"]]}', "/grid/1/1", None),
        ('{"name": "a", "notes": {"k": 1}}', "/notes", "Expected `str`, got `int`."),
    ],
)
def test_an_error_is_located(body: str, where: str, what: str | None) -> None:
    """The pointer names the field, also a missing or unknown one; the detail is a sentence."""
    found, detail = validation_detail(error_in(body, Order))
    assert found == where
    assert what is None or detail == what
    assert detail.endswith(".")
    assert "`$" not in detail


@pytest.mark.parametrize("name", ["a/b", "a~b", "a.b", "a[0]", "", "a`b", "ключ"])
def test_an_unknown_field_of_any_name_is_located(name: str) -> None:
    """The name is escaped in the pointer, whatever it holds."""
    body = msgspec.json.encode({"name": "a", name: 1}).decode()
    assert validation_detail(error_in(body, Order))[0] == pointer(name)


def error_in(body: str, kind: Any) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=kind)
    return caught.value
