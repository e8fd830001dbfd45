"""Turns of phrase that strangers have to read twice stay out of docstrings and messages."""

import ast
import gc
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


def parsed(source: str) -> ast.Module:
    """A collection in the midst of `ast.parse` breaks it (github.com/python/cpython, 106905)."""
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()


def docstrings_and_comments(source: str) -> Iterator[tuple[int, str]]:
    """What a test tells its reader; other strings are its data."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""
            yield getattr(node, "lineno", 1), getattr(node, "name", "").replace("_", " ")
    for line, text in prose(source):
        if text.startswith("#"):
            yield line, text


def found(source: str) -> list[tuple[int, str]]:
    return [(line, match[0]) for line, text in prose(source) for match in BANNED.finditer(text)]


@pytest.mark.parametrize("folder", ["gateway", "stores", "deploy/client"])
def test_no_banned_turn_is_in_the_source(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    turns = {str(file.relative_to(ROOT)): found(file.read_text()) for file in files}
    assert {name: lines for name, lines in turns.items() if lines} == {}


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda it: it.stem)
def test_no_banned_turn_is_in_a_test(file: Path) -> None:
    """In its docstrings, comments and names."""
    told = docstrings_and_comments(file.read_text())
    assert [(line, match[0]) for line, text in told for match in BANNED.finditer(text)] == []


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
