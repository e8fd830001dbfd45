"""The scripts of Studio fit each other and the API, and the library in them is as published.

`make test-all` installs what this needs.
"""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.typescript import DECLARATIONS, FOLDER, PACKAGES, declarations, problems

WEB = FOLDER.parent.parent / "gateway" / "studio" / "web"
VENDORED = WEB / "vendor" / "lit-html"


def test_the_types_of_the_api_are_those_of_its_document() -> None:
    """After a change: python -m tests.support.typescript declare."""
    assert DECLARATIONS.read_text() == declarations()


def test_the_vendored_files_are_those_of_the_package() -> None:
    """Byte for byte; npm has compared the package with the hash in the lock."""
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    locked = lock["packages"]["node_modules/lit-html"]
    package = PACKAGES / "lit-html"
    assert json.loads((package / "package.json").read_text())["version"] == locked["version"]
    vendored = [it for it in VENDORED.rglob("*") if it.is_file()]
    assert {it.suffix for it in vendored} == {"", ".js", ".ts"}
    for file in vendored:
        published = package / file.relative_to(VENDORED)
        assert sha256(file.read_bytes()).digest() == sha256(published.read_bytes()).digest(), file


def test_the_lock_holds_hashes_and_no_addresses() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: it for name, it in lock["packages"].items() if name}
    assert len(packages) > 20
    assert all(it["integrity"].startswith("sha512-") for it in packages.values())
    assert not any("resolved" in it for it in packages.values())


def test_the_scripts_have_no_type_error() -> None:
    assert problems() == ""


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("views/audit.js", "check.checked_at", "check.cheked_at"),
        ("views/approval.js", "data.decide_by", "data.decideby"),
        ("views/admin/keys.js", "it.last_used_at", "it.last_used"),
        ("views/form.js", "field.choices", "field.choises"),
    ],
)
def test_a_misspelt_field_is_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    """Of an answer of the API, and of what one script gives to another."""
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy)
    text = (copy / file).read_text()
    assert right in text
    (copy / file).write_text(text.replace(right, wrong, 1))
    settings = {
        "extends": str(FOLDER / "tsconfig.json"),
        "include": [str(copy / "**" / "*.js")],
        "exclude": [str(copy / "vendor")],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    found = problems(tmp_path / "tsconfig.json").splitlines()
    assert all(file in line for line in found), found
    assert wrong.partition(".")[2] in found[0]
