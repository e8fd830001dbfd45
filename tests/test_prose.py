"""Turns of phrase that strangers have to read twice stay out of docstrings and messages."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BANNED = re.compile(
    r"\b(whoever|whomever|whatever it is|who asks|so long|he|his|him|himself|nobody|somebody|"
    r"(?:is|are|be|was) told|told of|(?:is|are) said|as it should be|heard|"
    r"robust|seamless|comprehensive|leverages?)\b",
    re.IGNORECASE,
)


def prose(source: str) -> Iterator[tuple[int, str]]:
    """The line and the text of every comment and string."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def found(source: str) -> list[tuple[int, str]]:
    return [(line, match[0]) for line, text in prose(source) for match in BANNED.finditer(text)]


@pytest.mark.parametrize("folder", ["gateway", "stores"])
def test_no_banned_turn_is_in_the_source(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    turns = {str(file.relative_to(ROOT)): found(file.read_text()) for file in files}
    assert {name: lines for name, lines in turns.items() if lines} == {}


def test_no_banned_turn_is_in_a_script() -> None:
    for file in (ROOT / "stores" / "redis" / "lua").rglob("*.lua"):
        comments = re.findall(r"--.*", file.read_text())
        assert [match[0] for text in comments for match in BANNED.finditer(text)] == [], file.name


def test_the_list_finds_what_it_bans() -> None:
    assert found('# Whoever asks is told so.\nx = "as it should be"') == [
        (1, "Whoever"),
        (1, "is told"),
        (2, "as it should be"),
    ]
