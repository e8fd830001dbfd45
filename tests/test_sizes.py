"""The sizes of style.md: what is short can be read."""

import ast
import statistics
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("gateway", "stores", "deploy/client")


def tracked() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listing.stdout.splitlines()


def longer_than(limit: int, folder: str, suffix: str) -> dict[str, int]:
    files = list((ROOT / folder).rglob(f"*{suffix}"))
    assert files
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    return {name: length for name, length in lengths.items() if length > limit}


@pytest.mark.parametrize(
    ("folder", "suffix", "limit"),
    [
        ("gateway", ".py", 300),
        ("stores", ".py", 300),
        ("deploy/client", ".py", 300),
        ("tests", ".py", 250),
        ("stores/redis/lua", ".lua", 50),
    ],
)
def test_no_file_is_long(folder: str, suffix: str, limit: int) -> None:
    """Source up to 300 lines, tests 250, Lua 50."""
    assert longer_than(limit, folder, suffix) == {}


def test_the_root_is_small() -> None:
    """At most 16 entries are in the root of the repository."""
    assert 1 < len({name.split("/")[0] for name in tracked()}) <= 16


def function_lengths() -> list[int]:
    """Lines of each function of the source, from its `def` to its end."""
    files = [file for folder in SOURCES for file in (ROOT / folder).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted((node.end_lineno or 0) - node.lineno + 1 for node in functions)


def test_functions_are_short() -> None:
    """The median is 3 to 8 lines, none is over 30."""
    lengths = function_lengths()
    assert len(lengths) > 100
    assert 3 <= statistics.median(lengths) <= 8
    assert lengths[-1] <= 30


def test_a_package_is_one_topic() -> None:
    """At most 12 modules, and 16 where a module is one resource or one part of a store."""
    wide = {"gateway/api", "stores/redis"}
    modules = Counter(
        str(file.parent.relative_to(ROOT))
        for folder in SOURCES
        for file in (ROOT / folder).rglob("*.py")
        if file.name != "__init__.py" and "migrations" not in file.parts
    )
    assert len(modules) > 20
    assert {
        name: count for name, count in modules.items() if count > (16 if name in wide else 12)
    } == {}
