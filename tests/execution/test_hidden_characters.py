"""Characters that a reader of a preview does not see are named, with the field that has them."""

from typing import Any

import pytest

from gateway.effects import Effect
from gateway.execution.hidden_characters import hidden_characters


def warnings(**changes: Any) -> list[str]:
    parts: dict[str, Any] = {
        "method": "POST",
        "url": "https://example.org/hook",
        "headers": {"Accept": "*/*"},
        "body": b"{}",
        "summary": "POST it",
    }
    return hidden_characters(Effect(**{**parts, **changes}))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://example.org/\u202ehook"}, "URL"),
        ({"summary": "send\u200b it"}, "summary"),
        ({"headers": {"Accept": "*/*", "X-A": "a\u2066b"}}, "header X-A"),
        ({"body": '{"a": "b\u202ec"}'.encode()}, "body"),
        ({"body": '{"a\u202e": 1}'.encode()}, "body"),
        ({"body": b'{"a": "b\\u202Ec"}'}, "body"),
    ],
)
def test_each_field_is_named(change: dict[str, Any], field: str) -> None:
    """URL, summary, each header, and strings and names of the body, written out or escaped."""
    [warning] = warnings(**change)
    assert warning.startswith(f"The {field} has hidden characters: U+20")


@pytest.mark.parametrize(
    "code",
    [0x00, 0x1B, 0x7F, 0x9F, 0xAD, 0x61C, 0x180E, 0x200B, 0x200F, 0x2028, 0x202A, 0x202E, 0x2060,
     0x2064, 0x2066, 0x2069, 0x206F, 0x3164, 0xFE00, 0xFEFF, 0xFFA0, 0xE0001, 0xE0020, 0xE007F,
     0xE0100, 0xE01EF],
)  # fmt: skip
def test_each_kind_of_hidden_character(code: int) -> None:
    """Bidi controls, zero width, tags, variation selectors, fillers; escaped as JSON does, too."""
    assert warnings(summary=chr(code)) == [f"The summary has hidden characters: U+{code:04X}."]
    units = chr(code).encode("utf-16-be")
    escaped = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    assert warnings(body=f'"{escaped}"'.encode()) == [
        f"The body has hidden characters: U+{code:04X}."
    ]


@pytest.mark.parametrize(
    "body",
    [
        '"hé 漢字 עברית ❤\ufe0f"',
        '"\\u00e9"',
        '"\\\\u202e"',
        '"a\\n\\tb"',
        '"\u200a\u2010\u2030\u205f"',
    ],
)
def test_visible_characters_are_no_warning(body: str) -> None:
    """Letters of any script, an emoji, an escaped backslash, and neighbours of each range."""
    assert warnings(body=body.encode()) == []


def test_many_are_counted() -> None:
    """Five are named, so that a warning stays short."""
    text = "".join(chr(0x2060 + n) for n in range(8))
    [warning] = warnings(body=text.encode())
    assert warning.endswith("U+2060, U+2061, U+2062, U+2063, U+2064 and 3 more.")


def test_a_body_that_is_no_text_is_none() -> None:
    """Bytes that are not UTF-8 are shown in base64, which hides nothing."""
    assert warnings(body=b"\xff\xfe") == []
